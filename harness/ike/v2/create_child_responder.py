# SPDX-License-Identifier: GPL-2.0-or-later
"""CREATE_CHILD_SA for a CHILD_SA as its responder (RFC 7296 1.3.1, 1.3.3, 2.25.1)."""

from __future__ import annotations

from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import NotifyType, ProtocolId
from harness.ike.key_exchange import InvalidKeyExchangeData, respond
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import KeyExchange, Nonce, Notify
from harness.ike.v2.child_negotiation import (
    Agreement,
    Disagreement,
    agree_as_responder,
    answer_payloads,
    make_child,
)
from harness.ike.v2.child_sa import ChildRecord, ChildState
from harness.ike.v2.children import install
from harness.ike.v2.collisions import Collision, Contender
from harness.ike.v2.create_child import CreateChild, await_delete
from harness.ike.v2.events import Reason
from harness.ike.v2.followup import await_followup
from harness.ike.v2.host import Answer
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.message import Arrival
from harness.ike.v2.rekey_ike import RekeyIke, answer_rekey_ike, is_ike_rekey
from harness.ike.v2.unfinished import Unfinished


def answer_create_child(sa: IkeSa, arrival: Arrival, now: float) -> Answer:
    """What CREATE_CHILD_SA is answered with, whichever kind of SA it wants."""
    if sa.state in (IkeState.HALF_OPEN, IkeState.CONNECTING):
        return _error(NotifyType.INVALID_SYNTAX)
    if is_ike_rekey(arrival):
        return answer_rekey_ike(sa, arrival, now)
    if not sa.alive or isinstance(sa.busy_with, RekeyIke):
        return _error(NotifyType.TEMPORARY_FAILURE)
    old = None
    mark = arrival.notify(NotifyType.REKEY_SA)
    if mark is not None:
        old = sa.children.outbound(mark.spi)
        if old is None or mark.protocol != ProtocolId.ESP:
            unknown = Notify(NotifyType.CHILD_SA_NOT_FOUND, b"", mark.protocol, mark.spi)
            return Answer((unknown,))
        if old.state in (ChildState.CLOSING, ChildState.REKEYED) or old.collision is not None:
            return _error(NotifyType.TEMPORARY_FAILURE)
    elif len(sa.children) >= sa.host.settings.most_children:
        return _error(NotifyType.NO_ADDITIONAL_SAS)
    try:
        return _agreed(sa, arrival, old, now)
    except Disagreement as disagreement:
        return Answer((disagreement.notify or Notify(NotifyType.NO_PROPOSAL_CHOSEN),))


def _agreed(sa: IkeSa, arrival: Arrival, old: ChildRecord | None, now: float) -> Answer:
    configs = sa.connection.children if old is None else (old.config,)
    agreement = agree_as_responder(sa, arrival, configs, key_exchange=True)
    nonce_i = arrival.nonce
    if nonce_i is None:
        raise Disagreement(Reason.INVALID_SYNTAX, Notify(NotifyType.INVALID_SYNTAX))
    public, shared = _key_exchange(sa, arrival, agreement)
    nonce_r = sa.host.draw(Purpose.NONCE, sa.host.settings.nonce_size)
    wanted = answer_payloads(agreement)
    payloads = (*wanted[:-2], Nonce(nonce_r), *public, *wanted[-2:])

    def complete(secrets: tuple[bytes, ...]) -> None:
        child = make_child(sa, agreement, nonce_i, nonce_r, secrets)
        if old is None:
            install(sa, child, agreement.config, now)
            return
        spi = child.inbound_spi
        # The peer receives on the new SA once it has our answer, and then closes the old one.
        install(sa, child, agreement.config, now, rekeyed=old.sa.inbound_spi, hold=True)
        if _rekeys(sa.busy_with, old):
            old.collision = Collision(Contender(nonce_i, nonce_r), spi)
            old.replacement = spi
        else:
            await_delete(sa, old, spi, now)

    additional = tuple(method for _, method in agreement.selection.suite.additional)
    if additional:
        unfinished = Unfinished(additional, shared, lambda: _wanted(sa, old), complete)
        return Answer((*payloads, await_followup(sa, unfinished)))
    return Answer(payloads, lambda sent: complete(shared))


def _wanted(sa: IkeSa, old: ChildRecord | None) -> bool:
    """Whether nothing happened to the SA that is being rekeyed since the peer asked for that."""
    if not sa.alive or old is None:
        return sa.alive
    return sa.children.inbound(old.sa.inbound_spi) is old and old.state in (
        ChildState.INSTALLED,
        ChildState.REKEYING,
    )


def _rekeys(task: object, record: ChildRecord) -> bool:
    return isinstance(task, CreateChild) and task.rekeying == record.sa.inbound_spi


def _key_exchange(
    sa: IkeSa, arrival: Arrival, agreement: Agreement
) -> tuple[tuple[Payload, ...], tuple[bytes, ...]]:
    """KEr and the shared secret, both empty without a group; raises `Disagreement`."""
    group, ke = agreement.selection.suite.group, arrival.ke
    if group is None:
        return (), ()
    if ke is None or ke.group != group.id:
        wanted = Notify(NotifyType.INVALID_KE_PAYLOAD, group.id.to_bytes(2, "big"))
        raise Disagreement(Reason.NO_PROPOSAL_CHOSEN, wanted)
    try:
        public, shared = respond(group, ke.data, drawing(sa.host.draw, Purpose.SECRET))
    except InvalidKeyExchangeData:
        notify = Notify(NotifyType.INVALID_SYNTAX)
        raise Disagreement(Reason.INVALID_SYNTAX, notify) from None
    return (KeyExchange(group.id, public),), (shared,)


def _error(kind: int) -> Answer:
    return Answer((Notify(kind),))
