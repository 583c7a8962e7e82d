# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_AUTH as its initiator, with the first CHILD_SA (RFC 7296 1.2, RFC 6023 without one)."""

from __future__ import annotations

from harness.ike.constants_v2 import ExchangeType, NotifyType, PayloadType
from harness.ike.payload import Payload, first
from harness.ike.payloads_v2 import Authentication, Identification, Notify
from harness.ike.signatures import SignatureFailure
from harness.ike.v2.child_negotiation import (
    ChildOffer,
    Disagreement,
    agree_as_initiator,
    local_traffic,
    make_child,
    offer_payloads,
    remote_traffic,
)
from harness.ike.v2.children import install
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.established import become_established, close_others
from harness.ike.v2.events import ChildSaFailed, Reason
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.informational import DeleteChild, DeleteIke, FarewellTask
from harness.ike.v2.message import Arrival
from harness.ike.v2.mobility import ADDRESS_LISTS
from harness.ike.v2.proof import (
    Unproven,
    certificate_requests,
    check_peer,
    own_identity,
    own_proof,
)
from harness.ike.v2.reauthentication import replaced_by, take_over

CHILD_ERRORS = frozenset(
    {
        NotifyType.NO_PROPOSAL_CHOSEN,
        NotifyType.TS_UNACCEPTABLE,
        NotifyType.NO_ADDITIONAL_SAS,
        NotifyType.SINGLE_PAIR_REQUIRED,
        NotifyType.INTERNAL_ADDRESS_FAILURE,
        NotifyType.FAILED_CP_REQUIRED,
        NotifyType.INVALID_SELECTORS,
    }
)
_ANSWERS = frozenset(
    {
        NotifyType.USE_TRANSPORT_MODE,
        NotifyType.MOBIKE_SUPPORTED,
        NotifyType.INITIAL_CONTACT,
        *ADDRESS_LISTS,
        *CHILD_ERRORS,
    }
)


class AuthTask:
    """IKE_AUTH: proves this end, checks the peer, and makes the first CHILD_SA."""

    exchange = int(ExchangeType.IKE_AUTH)
    outlives = False

    def __init__(self) -> None:
        self._offer: ChildOffer | None = None
        self._message_id = 0

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """IDi, [CERT], [CERTREQ], [IDr], AUTH, [SA, TSi, TSr], and what this end can do."""
        connection = sa.connection
        self._message_id = sa.requests.next_id
        identity = own_identity(sa, connection)
        try:
            proof = own_proof(sa, connection, identity, self._message_id)
        except SignatureFailure as failure:
            sa.fail(Reason.AUTHENTICATION_FAILED, now, detail=str(failure))
            return None
        wanted = connection.remote_id
        payloads: list[Payload] = [identity, *proof[:-1], *certificate_requests(connection)]
        if wanted is not None:
            payloads.append(Identification(PayloadType.IDr, wanted.type, wanted.data))
        payloads.append(proof[-1])
        if connection.initial_contact and not _known_already(sa):
            payloads.append(Notify(NotifyType.INITIAL_CONTACT))
        if connection.mobike:
            payloads.append(Notify(NotifyType.MOBIKE_SUPPORTED))
        if connection.children and not (connection.childless and sa.abilities.childless):
            self._offer = first_offer(sa, sa.first_child or connection.children[0])
            payloads.extend(offer_payloads(self._offer))
        return tuple(payloads)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Establish the IKE SA and its first CHILD_SA, or say why not."""
        error = arrival.error
        if error is not None and first(arrival.payloads, Authentication) is None:
            sa.fail(_reason(error.notify_type), now, error.notify_type)
            return
        try:
            sa.peer = check_peer(sa, sa.connection, arrival.payloads, self._message_id, now)
        except Unproven as unproven:
            # The responder believes in this SA: tell it (RFC 7296 2.21.2).
            sa.tasks.clear()
            sa.queue(FarewellTask(NotifyType.AUTHENTICATION_FAILED, str(unproven)), now)
            return
        sa.abilities.mobike = (
            sa.connection.mobike and arrival.notify(NotifyType.MOBIKE_SUPPORTED) is not None
        )
        nonces = sa.keys.origin if sa.keys else None
        become_established(sa, now)
        if arrival.notify(NotifyType.INITIAL_CONTACT) is not None and sa.peer is not None:
            close_others(sa, sa.peer, now)
        sa.report_notifies(arrival, _ANSWERS)
        if self._offer is None or nonces is None:
            take_over(sa, now, None)
            return
        if error is not None:
            reason = _reason(error.notify_type)
            sa.emit(ChildSaFailed(sa.spi, self._offer.config.name, reason, error.notify_type))
            _leave_to_old(sa, now)
            return
        try:
            agreement = agree_as_initiator(sa, self._offer, arrival)
        except Disagreement as disagreement:
            sa.emit(ChildSaFailed(sa.spi, self._offer.config.name, disagreement.reason))
            # The responder has a CHILD_SA that this end does not want.
            sa.queue(DeleteChild.unwanted(self._offer.spi), now)
            _leave_to_old(sa, now)
            return
        child = make_child(sa, agreement, nonces.nonce_i, nonces.nonce_r)
        install(sa, child, agreement.config, now)
        take_over(sa, now, agreement.config.name)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """Nothing is left to undo."""


def first_offer(sa: IkeSa, config: ChildConfig) -> ChildOffer:
    """The offer of IKE_AUTH, which has no key exchange of its own (RFC 7296 1.2)."""
    return ChildOffer(
        config,
        sa.host.new_child_spi(),
        tuple(proposal.choices(key_exchange=False) for proposal in config.proposals),
        local_traffic(sa, config),
        remote_traffic(sa, config),
        config.transport,
        b"",
    )


def _leave_to_old(sa: IkeSa, now: float) -> None:
    """Close an IKE SA without the CHILD_SA that it was to take over: the old one still has it."""
    if replaced_by(sa) is not None:
        sa.queue(DeleteIke(), now)


def _known_already(sa: IkeSa) -> bool:
    """Whether this end has another IKE SA with the same peer, so that it is no first contact."""
    return any(
        other is not sa and other.alive and other.connection == sa.connection
        for other in sa.host.all_sas()
    )


def _reason(notify: int) -> Reason:
    match notify:
        case NotifyType.NO_PROPOSAL_CHOSEN:
            return Reason.NO_PROPOSAL_CHOSEN
        case NotifyType.TS_UNACCEPTABLE:
            return Reason.TS_UNACCEPTABLE
        case NotifyType.AUTHENTICATION_FAILED:
            return Reason.AUTHENTICATION_FAILED
        case NotifyType.INVALID_SYNTAX:
            return Reason.INVALID_SYNTAX
        case _:
            return Reason.REFUSED
