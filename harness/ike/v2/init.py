# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_SA_INIT as its initiator (RFC 7296 1.2, 2.6, 2.7)."""

from __future__ import annotations

from harness.ike.address import IKE_PORT, Path
from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import ExchangeType, HashAlgorithm, NotifyType, ProtocolId
from harness.ike.key_exchange import InvalidKeyExchangeData, Share, initiate
from harness.ike.keys import SaOrigin
from harness.ike.payload import Payload, first
from harness.ike.payloads_v2 import CertificateRequest, KeyExchange, Nonce, Notify
from harness.ike.signatures import HASHES
from harness.ike.v2 import suites
from harness.ike.v2.connection import Connection, Settings
from harness.ike.v2.events import CookieDemanded, Reason
from harness.ike.v2.handshake import continue_as_initiator
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.keys import first_key_set
from harness.ike.v2.message import Arrival, wanted_group
from harness.ike.v2.nat_detection import detection_notifies, situation
from harness.ike.v2.proof import handshake_of

MOST_RESTARTS = 6
SIGNATURE_HASHES = (
    *sorted(known for known in HASHES if known is not HashAlgorithm.SHA1),
    HashAlgorithm.IDENTITY,
)


class InitTask:
    """IKE_SA_INIT, begun again with a cookie or another group when the responder wants that."""

    exchange = int(ExchangeType.IKE_SA_INIT)
    outlives = False

    def __init__(self) -> None:
        self._nonce: bytes | None = None
        self._group: int | None = None
        self._share: Share | None = None
        self._cookie: bytes | None = None
        self._restarts = 0

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """[N(COOKIE)], SA, KE, Ni, and what this end can do."""
        groups = [group for proposal in sa.connection.proposals for group in proposal.groups]
        if self._nonce is None:
            self._nonce = sa.host.draw(Purpose.NONCE, sa.host.settings.nonce_size)
        group = next((one for one in groups if one.id == self._group), groups[0])
        if self._share is None:
            self._group = group.id
            self._share = initiate(group, drawing(sa.host.draw, Purpose.SECRET))
        cookie = () if self._cookie is None else (Notify(NotifyType.COOKIE, self._cookie),)
        return (
            *cookie,
            suites.ike_offer(sa.connection.proposals),
            KeyExchange(group.id, self._share.public),
            Nonce(self._nonce),
            *own_abilities(sa, needs_intermediate(sa.connection)),
        )

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Derive the keys, or begin again."""
        cookie = arrival.notify(NotifyType.COOKIE)
        error = arrival.error
        if cookie is not None and arrival.sa is None:
            self._cookie = cookie.data
            sa.emit(CookieDemanded(sa.spi))
            self._restart(sa, now)
        elif error is not None:
            group = wanted_group(error)
            if group is not None and group != self._group and self._offered(sa, group):
                self._group, self._share = group, None
                self._restart(sa, now)
            else:
                sa.fail(_reason(error.notify_type), now, error.notify_type)
        else:
            self._agree(sa, arrival, now)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """Nothing is left to undo."""

    def _offered(self, sa: IkeSa, group: int) -> bool:
        return any(one.id == group for each in sa.connection.proposals for one in each.groups)

    def _restart(self, sa: IkeSa, now: float) -> None:
        self._restarts += 1
        if self._restarts > MOST_RESTARTS:
            sa.fail(Reason.REFUSED, now, detail="The responder never has enough cookies or groups.")
            return
        sa.requests.next_id = 0
        sa.queue(self, now, first=True)

    def _agree(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        alternatives = [proposal.choices() for proposal in sa.connection.proposals]
        answered, ke, nonce = arrival.sa, arrival.ke, arrival.nonce
        if answered is None or ke is None or nonce is None or self._share is None:
            sa.fail(Reason.INVALID_SYNTAX, now)
            return
        selection = suites.accept(alternatives, answered, ProtocolId.IKE)
        if selection is None or selection.suite.prf is None or ke.group != self._group:
            sa.fail(Reason.UNACCEPTABLE_ANSWER, now)
            return
        group = selection.suite.group
        if group is None or group.id != self._group:
            sa.fail(Reason.UNACCEPTABLE_ANSWER, now)
            return
        try:
            shared = self._share.agree(ke.data)
        except InvalidKeyExchangeData as invalid:
            sa.fail(Reason.INVALID_SYNTAX, now, detail=str(invalid))
            return
        sa.peer_spi = arrival.plain.message.responder_spi
        origin = SaOrigin(self._nonce or b"", nonce, sa.spi_i, sa.spi_r)
        sa.use_keys(first_key_set(selection.suite, selection.suite.prf, origin, shared))
        handshake, _ = handshake_of(sa)
        handshake.request = sa.last_request.messages[0] if sa.last_request else b""
        handshake.response = arrival.octets
        note_peer(sa, arrival)
        wants_float = sa.connection.mobike or sa.connection.force_encapsulation
        if sa.nat.present or (sa.nat.supported and wants_float):
            sa.path = floated(sa.path, sa.host.settings)
        continue_as_initiator(sa, now)


def own_abilities(sa: IkeSa, intermediate: bool) -> tuple[Payload, ...]:
    """The notifies with which IKE_SA_INIT says what this end can do."""
    settings = sa.host.settings
    found: list[Payload] = []
    if settings.detect_nat:
        path = sa.path
        if sa.connection.force_encapsulation:
            # A source that nobody has makes the peer see a NAT (as many daemons do).
            path = Path(path.local.on_port(0), path.remote)
        found.extend(detection_notifies(sa.spi_i, sa.spi_r, path))
    if settings.fragment_size:
        found.append(Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED))
    hashes = b"".join(number.to_bytes(2, "big") for number in SIGNATURE_HASHES)
    found.append(Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, hashes))
    if intermediate:
        found.append(Notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED))
    return tuple(found)


def needs_intermediate(connection: Connection) -> bool:
    """Whether some proposal has more than one key exchange."""
    return any(proposal.additional for proposal in connection.proposals)


def note_peer(sa: IkeSa, arrival: Arrival) -> None:
    """Remember what the peer's IKE_SA_INIT says about NATs, hashes and abilities."""
    handshake, _ = handshake_of(sa)
    message = arrival.plain.message
    sa.nat = (
        situation(arrival.payloads, message.initiator_spi, message.responder_spi, arrival.path)
        if sa.host.settings.detect_nat
        else sa.nat
    )
    can = arrival.notify
    sa.abilities.fragmentation = can(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None
    sa.abilities.childless = can(NotifyType.CHILDLESS_IKEV2_SUPPORTED) is not None
    sa.abilities.intermediate = can(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED) is not None
    hashes = can(NotifyType.SIGNATURE_HASH_ALGORITHMS)
    if hashes is not None:
        handshake.peer_hashes = _hash_algorithms(hashes.data)
    request = first(arrival.payloads, CertificateRequest)
    if request is not None:
        handshake.authorities = request.authorities


def floated(path: Path, settings: Settings) -> Path:
    """The path on the ports that NATs know, from the IKE port (RFC 7296 2.23)."""
    remote = settings.nat_port if path.remote.port == IKE_PORT else path.remote.port
    return path.on_port(settings.nat_port, remote)


def _reason(notify: int) -> Reason:
    match notify:
        case NotifyType.NO_PROPOSAL_CHOSEN | NotifyType.INVALID_KE_PAYLOAD:
            return Reason.NO_PROPOSAL_CHOSEN
        case NotifyType.INVALID_SYNTAX:
            return Reason.INVALID_SYNTAX
        case _:
            return Reason.REFUSED


def _hash_algorithms(data: bytes) -> tuple[int, ...]:
    """What SIGNATURE_HASH_ALGORITHMS lists, two octets each (RFC 7427 4); odd octets list none."""
    if len(data) % 2:
        return ()
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
