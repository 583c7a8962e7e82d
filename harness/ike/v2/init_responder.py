# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_SA_INIT as its responder, which keeps no state before it must (RFC 7296 2.6)."""

from __future__ import annotations

from harness.ike.address import Path
from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import NotifyType, ProtocolId
from harness.ike.key_exchange import InvalidKeyExchangeData, respond
from harness.ike.keys import SaOrigin
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import KeyExchange, Nonce, Notify, SecurityAssociation
from harness.ike.v2 import suites
from harness.ike.v2.connection import Connection
from harness.ike.v2.cookies import CookieJar
from harness.ike.v2.host import Answer, Host
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.init import needs_intermediate, note_peer, own_abilities
from harness.ike.v2.keys import first_key_set
from harness.ike.v2.message import Arrival, Sent
from harness.ike.v2.proof import certificate_requests, handshake_of
from harness.ike.v2.suites import Selection


def respond_to_init(
    host: Host, arrival: Arrival, cookies: CookieJar | None, now: float
) -> IkeSa | Notify | None:
    """A half-open IKE SA that has sent its response; or what to say without any state; or nothing.

    `cookies` is given when there are so many half-open SAs that a cookie is wanted.
    """
    received, ke, nonce = arrival.sa, arrival.ke, arrival.nonce
    if received is None or ke is None or nonce is None:
        return Notify(NotifyType.INVALID_SYNTAX)
    spi_i = arrival.plain.message.initiator_spi
    if cookies is not None:
        shown = arrival.notify(NotifyType.COOKIE)
        source = arrival.path.remote
        if shown is None or not cookies.knows(shown.data, nonce, spi_i, source, now):
            return Notify(NotifyType.COOKIE, cookies.bake(nonce, spi_i, source, now))
    candidates = tuple(one for one in host.connections if _admits(one, arrival.path))
    agreed = _agree(candidates, received, ke.group)
    if agreed is None:
        return Notify(NotifyType.NO_PROPOSAL_CHOSEN)
    connection, selection = agreed
    group, prf = selection.suite.group, selection.suite.prf
    intermediate = arrival.notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED) is not None
    if group is None or prf is None or (selection.suite.additional and not intermediate):
        return Notify(NotifyType.NO_PROPOSAL_CHOSEN)
    if group.id != ke.group:
        return Notify(NotifyType.INVALID_KE_PAYLOAD, group.id.to_bytes(2, "big"))
    try:
        public, shared = respond(group, ke.data, drawing(host.draw, Purpose.SECRET))
    except InvalidKeyExchangeData:
        return Notify(NotifyType.INVALID_SYNTAX)
    own_nonce = host.draw(Purpose.NONCE, host.settings.nonce_size)
    sa = IkeSa(
        host,
        connection,
        arrival.path,
        host.new_ike_spi(),
        initiator=False,
        now=now,
        peer_spi=spi_i,
    )
    sa.times.expires_at = now + host.settings.half_open_lifetime
    host.adopt(sa)
    sa.use_keys(
        first_key_set(selection.suite, prf, SaOrigin(nonce, own_nonce, sa.spi_i, sa.spi_r), shared)
    )
    handshake, _ = handshake_of(sa)
    handshake.request = arrival.octets
    handshake.candidates = candidates
    note_peer(sa, arrival)
    handshake.additional = selection.suite.additional
    payloads: tuple[Payload, ...] = (
        SecurityAssociation((selection.proposal,)),
        KeyExchange(group.id, public),
        Nonce(own_nonce),
        *own_abilities(sa, intermediate and needs_intermediate(connection)),
        *certificate_requests(connection),
    )
    if host.settings.childless:
        payloads = (*payloads, Notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED))

    def remember(sent: Sent) -> None:
        handshake.response = sent.messages[0] if sent.messages else b""

    sa.reply(arrival, Answer(payloads, remember))
    return sa


def _admits(connection: Connection, path: Path) -> bool:
    """Whether a connection is for these two addresses."""
    ends = ((connection.local, path.local), (connection.remote, path.remote))
    return all(wanted is None or wanted.host == found.host for wanted, found in ends)


def _agree(
    candidates: tuple[Connection, ...], received: SecurityAssociation, group: int
) -> tuple[Connection, Selection] | None:
    for connection in candidates:
        alternatives = [proposal.choices() for proposal in connection.proposals]
        selection = suites.select(alternatives, received, ProtocolId.IKE, b"", group)
        if selection is not None:
            return connection, selection
    return None
