# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_AUTH as its responder (RFC 7296 1.2, 2.21.2)."""

from __future__ import annotations

from harness.ike.constants_v2 import AuthMethod, NotifyType, PayloadType
from harness.ike.payload import Payload, first
from harness.ike.payloads_v2 import (
    Authentication,
    Identification,
    Notify,
    SecurityAssociation,
)
from harness.ike.signatures import SignatureFailure
from harness.ike.v2.child_negotiation import (
    Agreement,
    Disagreement,
    agree_as_responder,
    answer_payloads,
    make_child,
)
from harness.ike.v2.children import install
from harness.ike.v2.connection import Connection, Identity, SharedKey
from harness.ike.v2.established import become_established, close_others
from harness.ike.v2.events import ChildSaFailed, Reason
from harness.ike.v2.host import Answer
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.message import Arrival, Sent
from harness.ike.v2.mobility import ADDRESS_LISTS
from harness.ike.v2.proof import Unproven, check_peer, handshake_of, own_identity, own_proof

_EXPECTED = frozenset(
    {
        NotifyType.INITIAL_CONTACT,
        NotifyType.MOBIKE_SUPPORTED,
        *ADDRESS_LISTS,
        NotifyType.USE_TRANSPORT_MODE,
        NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED,
        NotifyType.NON_FIRST_FRAGMENTS_ALSO,
    }
)


def answer_auth(sa: IkeSa, arrival: Arrival, now: float) -> Answer | None:
    """What IKE_AUTH is answered with: the proof of this end and a CHILD_SA, or an error."""
    if sa.state is not IkeState.HALF_OPEN or sa.handshake is None:
        return Answer((Notify(NotifyType.INVALID_SYNTAX),))
    if sa.handshake.additional and sa.handshake.intermediates < len(sa.handshake.additional):
        return _refusal(sa, "The peer left out a key exchange that was agreed on.", now)
    message_id = arrival.plain.message.message_id
    try:
        connection, peer = _authenticated(sa, arrival, message_id, now)
        sa.connection = connection
        identity = own_identity(sa, connection)
        proof = own_proof(sa, connection, identity, message_id)
    except (Unproven, SignatureFailure) as failure:
        return _refusal(sa, str(failure), now)
    _, keys = handshake_of(sa)
    sa.peer = peer
    sa.path = arrival.path
    payloads: list[Payload] = [identity, *proof]
    sa.abilities.mobike = (
        connection.mobike and arrival.notify(NotifyType.MOBIKE_SUPPORTED) is not None
    )
    if sa.abilities.mobike:
        payloads.append(Notify(NotifyType.MOBIKE_SUPPORTED))
    become_established(sa, now)
    if arrival.notify(NotifyType.INITIAL_CONTACT) is not None:
        close_others(sa, peer, now)
    sa.report_notifies(arrival, _EXPECTED)
    agreement: Agreement | None = None
    if first(arrival.payloads, SecurityAssociation) is not None:
        try:
            agreement = agree_as_responder(sa, arrival, connection.children, key_exchange=False)
            payloads.extend(answer_payloads(agreement))
        except Disagreement as disagreement:
            sa.emit(ChildSaFailed(sa.spi, "", disagreement.reason))
            payloads.append(disagreement.notify or Notify(NotifyType.NO_PROPOSAL_CHOSEN))
    nonces = keys.origin

    def then(sent: Sent) -> None:
        if agreement is not None:
            child = make_child(sa, agreement, nonces.nonce_i, nonces.nonce_r)
            install(sa, child, agreement.config, now)

    return Answer(tuple(payloads), then)


def _authenticated(
    sa: IkeSa, arrival: Arrival, message_id: int, now: float
) -> tuple[Connection, Identity]:
    """The first connection whose terms the peer meets; raises the last `Unproven`."""
    handshake, _ = handshake_of(sa)
    objection = Unproven("No connection is for these identities and this way to authenticate.")
    for connection in _possible(handshake.candidates, arrival):
        try:
            return connection, check_peer(sa, connection, arrival.payloads, message_id, now)
        except Unproven as unproven:
            objection = unproven
    raise objection


def _possible(candidates: tuple[Connection, ...], arrival: Arrival) -> tuple[Connection, ...]:
    wanted = first(arrival.payloads, Identification, PayloadType.IDr)
    proof = first(arrival.payloads, Authentication)
    shared = proof is not None and proof.method == AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE
    return tuple(
        connection
        for connection in candidates
        if isinstance(connection.remote_auth, SharedKey) == shared
        and (wanted is None or connection.local_id == Identity(wanted.id_type, wanted.data))
    )


def _refusal(sa: IkeSa, why: str, now: float) -> Answer:
    """AUTHENTICATION_FAILED, after which nothing is left of the IKE SA but that answer."""

    def then(sent: Sent) -> None:
        sa.fail(Reason.AUTHENTICATION_FAILED, now, detail=why)

    return Answer((Notify(NotifyType.AUTHENTICATION_FAILED),), then)
