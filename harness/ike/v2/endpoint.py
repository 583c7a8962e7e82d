# SPDX-License-Identifier: GPL-2.0-or-later
"""An IKEv2 endpoint: datagrams and instants in, datagrams and events out.

    endpoint.receive(octets, source, now)      whatever arrived, without an exception for any octets
    endpoint.datagrams()                       what to send now; call it after everything else
    endpoint.deadline()                        the instant at which to call `timeout(now)`
    endpoint.events()                          what happened since the last reading

`now` is in seconds and never goes back. The caller owns sockets, clock, data plane and key log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import sha256

from harness.ike.address import Address, Datagram, Path
from harness.ike.chance import Draw
from harness.ike.constants_v2 import ExchangeType, Flag, NotifyType
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Notify
from harness.ike.udp_encapsulation import KEEPALIVE, Carried, unwrap, wrap
from harness.ike.v2 import dispatch
from harness.ike.v2.clockwork import next_deadline, pass_time
from harness.ike.v2.commands import Commands
from harness.ike.v2.connection import Connection, Settings
from harness.ike.v2.cookies import CookieJar
from harness.ike.v2.events import Event, Refused
from harness.ike.v2.fragments import Reassembly
from harness.ike.v2.host import Answer
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.init_responder import respond_to_init
from harness.ike.v2.message import Arrival, Plain
from harness.ike.v2.opening import Broken, open_message
from harness.ike.v2.schedule import RateLimit, Schedule
from harness.ike.v2.sealing import clear_octets
from harness.ike.v2.seam import Seam, Transparent
from harness.ike.v2.spis import SpiBook
from harness.ike.violations import violations
from harness.ike.wire import VERSION_2, Message, decode

MOST_DATAGRAMS = 8_192
"""How many datagrams wait for a caller that never asks; UDP may lose the oldest anyway."""

MOST_REFUSALS = 1_000
MOST_EXPECTED = 1_024
MOST_EARLY = 2
"""How many requests wait for the response to a rekey that they overtook, each for one SA."""


class Endpoint:
    """Every IKE SA of one host; `commands` is how a caller begins exchanges."""

    def __init__(
        self,
        local: Address,
        connections: Iterable[Connection],
        draw: Draw,
        settings: Settings | None = None,
        seam: Seam | None = None,
    ) -> None:
        self.local = local
        self.settings = settings or Settings()
        self.draw = draw
        self.seam: Seam = seam or Transparent()
        self.connections = tuple(connections)
        self.commands = Commands(self)
        self._spis = SpiBook(draw)
        self._sas: dict[bytes, IkeSa] = {}
        self._half_open: dict[bytes, bytes] = {}
        self._half_open_spis: dict[bytes, bytes] = {}
        self._cookies = CookieJar(draw)
        self._strangers = RateLimit(self.settings.unknown_spi_answers_per_second)
        self._schedule: Schedule[IkeSa] = Schedule()
        self._outbox: deque[Datagram] = deque(maxlen=MOST_DATAGRAMS)
        self._expected: dict[bytes, list[Datagram]] = {}
        self._early: deque[Datagram] = deque()
        self._events: list[Event] = []
        self._refusals = 0

    # What a caller uses

    def receive(
        self, octets: bytes, source: Address, now: float, destination: Address | None = None
    ) -> None:
        """Take a UDP payload; `destination` is where it arrived, if not at `local`."""
        at = destination or self.local
        arrived = Datagram(octets, source, at)
        if at.port == self.settings.nat_port:
            carried, octets = unwrap(octets)
            if carried is not Carried.IKE:
                return
        try:
            message = decode(octets)
        except Malformed as malformed:
            self.emit(Refused(source, str(malformed)))
            return
        self._route(message, octets, arrived, now)

    def datagrams(self) -> tuple[Datagram, ...]:
        """What must be sent, in order; each is given once."""
        found = tuple(self._outbox)
        self._outbox.clear()
        return found

    def events(self) -> tuple[Event, ...]:
        """What happened since the last reading, in order."""
        found = tuple(self._events)
        self._events.clear()
        self._refusals = 0
        return found

    def deadline(self) -> float | None:
        """The instant at which `timeout` has something to do, or None."""
        return self._schedule.earliest(next_deadline)

    def timeout(self, now: float) -> None:
        """Do everything that is due."""
        for sa in self._schedule.due(now, next_deadline):
            if self._sas.get(sa.spi) is not sa:
                continue
            if pass_time(sa, now):
                self.touch(sa)
            else:
                self._forget(sa)

    def inject(self, datagram: Datagram) -> None:
        """Send a datagram as it stands; for scripts, which may have held or forged it."""
        self._outbox.append(datagram)

    # What its IKE SAs use (see Host)

    def emit(self, event: Event) -> None:
        """See Host."""
        if isinstance(event, Refused):
            self._refusals += 1
            if self._refusals > MOST_REFUSALS:
                return
        self._events.append(event)

    def transmit(self, plain: Plain, messages: Iterable[bytes], path: Path) -> None:
        """See Host."""
        marked = path.local.port == self.settings.nat_port
        datagrams = tuple(
            Datagram(wrap(octets) if marked else octets, path.local, path.remote)
            for octets in messages
        )
        self._outbox.extend(self.seam.transmitting(plain, datagrams))

    def keep_alive(self, path: Path) -> None:
        """See Host."""
        self._outbox.append(Datagram(KEEPALIVE, path.local, path.remote))

    def answer(self, sa: IkeSa, arrival: Arrival, now: float) -> Answer | None:
        """See Host."""
        return dispatch.answer(sa, arrival, now)

    def new_ike_spi(self) -> bytes:
        """See Host."""
        return self._spis.new_ike_spi(self._sas)

    def new_child_spi(self) -> bytes:
        """See Host."""
        return self._spis.new_child_spi()

    def take_child_spi(self, spi: bytes) -> None:
        """See Host."""
        self._spis.take(spi)

    def drop_child_spi(self, spi: bytes) -> None:
        """See Host."""
        self._spis.drop(spi)

    def expect(self, spi: bytes) -> None:
        """See Host."""
        self._expected[spi] = []
        while len(self._expected) > MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def adopt(self, sa: IkeSa) -> None:
        """See Host."""
        self._sas[sa.spi] = sa
        self._early.extend(self._expected.pop(sa.spi, ()))
        self.touch(sa)

    def ike_sa(self, spi: bytes) -> IkeSa | None:
        """See Host."""
        return self._sas.get(spi)

    def all_sas(self) -> tuple[IkeSa, ...]:
        """See Host."""
        return tuple(self._sas.values())

    def touch(self, sa: IkeSa) -> None:
        """See Host."""
        if self._sas.get(sa.spi) is sa:
            self._schedule.put(sa, next_deadline(sa))

    # Finding the IKE SA

    def _route(self, message: Message, octets: bytes, arrived: Datagram, now: float) -> None:
        if message.major_version != 2:
            self._other_version(message, arrived)
            return
        response = bool(message.flags & Flag.RESPONSE)
        from_initiator = bool(message.flags & Flag.INITIATOR)
        if message.exchange == ExchangeType.IKE_SA_INIT and not response:
            self._first_request(message, octets, arrived, now)
            return
        spi = message.responder_spi if from_initiator else message.initiator_spi
        sa = self._sas.get(spi)
        early = None if response else self._expected.get(spi)
        if early is not None and len(early) < MOST_EARLY:
            early.append(arrived)
            return
        if sa is None or sa.initiator == from_initiator:
            self._unknown(message, arrived, now)
            return
        if message.exchange != ExchangeType.IKE_SA_INIT:
            other = message.initiator_spi if from_initiator else message.responder_spi
            if other != sa.peer_spi:
                self.emit(Refused(arrived.source, "The peer's SPI is not the one of this IKE SA."))
                return
        elif not _plausible(message):
            self.emit(Refused(arrived.source, "An IKE_SA_INIT response says nothing useful."))
            return
        sa.receive(message, octets, arrived, now)
        if sa.spi in self._half_open_spis and sa.state is not IkeState.HALF_OPEN:
            self._no_longer_half_open(sa)
        self.touch(sa)
        while self._early:
            kept = self._early.popleft()
            self.receive(kept.data, kept.source, now, kept.destination)

    def _first_request(
        self, message: Message, octets: bytes, arrived: Datagram, now: float
    ) -> None:
        if message.responder_spi != bytes(8) or message.message_id != 0:
            self.emit(Refused(arrived.source, "An IKE_SA_INIT request is not a first message."))
            return
        mark = _mark(octets, arrived.source)
        known = self._sas.get(self._half_open.get(mark, b""))
        if known is not None:
            sent = known.responses.repeated(0)
            if sent is not None:
                self.transmit(sent.plain, sent.messages, Path(arrived.destination, arrived.source))
            return
        if len(self._half_open) >= self.settings.half_open_limit:
            self.emit(Refused(arrived.source, "Too many IKE SAs are half-open."))
            return
        if len(self._sas) >= self.settings.most_ike_sas:
            self.emit(Refused(arrived.source, "There are too many IKE SAs."))
            return
        path = Path(arrived.destination, arrived.source)
        found = open_message(message, octets, path, None, Reassembly())
        broken = violations(message)
        if isinstance(found, Broken) or found is None or broken:
            why = found.why if isinstance(found, Broken) else "".join(broken[:1])
            self.emit(Refused(arrived.source, why))
            if isinstance(found, Broken) and found.answer is not None:
                self._say(message, path, found.answer)
            return
        plain = self.seam.receiving(found.plain, arrived)
        if plain is None:
            return
        arrival = Arrival(plain, path, octets)
        scripted = self.seam.answering(plain)
        if scripted is not None:
            self._say(message, path, *scripted)
            return
        busy = len(self._half_open) >= self.settings.cookie_threshold
        outcome = respond_to_init(self, arrival, self._cookies if busy else None, now)
        if isinstance(outcome, Notify):
            self._say(message, path, outcome)
        elif outcome is not None:
            self._half_open[mark] = outcome.spi
            self._half_open_spis[outcome.spi] = mark
            self.touch(outcome)

    def _no_longer_half_open(self, sa: IkeSa) -> None:
        mark = self._half_open_spis.pop(sa.spi, None)
        if mark is not None:
            self._half_open.pop(mark, None)

    def _forget(self, sa: IkeSa) -> None:
        self._no_longer_half_open(sa)
        if self._sas.get(sa.spi) is sa:
            del self._sas[sa.spi]
        self._schedule.remove(sa)

    # Answers without an IKE SA

    def _say(self, message: Message, path: Path, *payloads: Payload) -> None:
        """Answer a request in clear with what does not need any state."""
        flags = int(Flag.RESPONSE)
        if not message.flags & Flag.INITIATOR:
            flags |= int(Flag.INITIATOR)
        reply = Message(
            VERSION_2,
            message.exchange,
            message.initiator_spi,
            message.responder_spi,
            message.message_id,
            flags,
            payloads,
        )
        plain = self.seam.sending(Plain(reply, protected=False))
        if plain is not None:
            self.transmit(plain, (clear_octets(plain),), path)

    def _unknown(self, message: Message, arrived: Datagram, now: float) -> None:
        """A request under unknown SPIs may be told so, a response never (RFC 7296 2.21.4)."""
        self.emit(Refused(arrived.source, "No IKE SA has that SPI."))
        if not message.flags & Flag.RESPONSE and self._strangers.allows(now):
            path = Path(arrived.destination, arrived.source)
            self._say(message, path, Notify(NotifyType.INVALID_IKE_SPI))

    def _other_version(self, message: Message, arrived: Datagram) -> None:
        self.emit(Refused(arrived.source, f"Major version {message.major_version} is not IKEv2."))
        if message.major_version > 2 and not message.flags & Flag.RESPONSE:
            path = Path(arrived.destination, arrived.source)
            self._say(message, path, Notify(NotifyType.INVALID_MAJOR_VERSION, b"\x02"))


def _mark(octets: bytes, source: Address) -> bytes:
    """What a repeated IKE_SA_INIT request is known by: all of it, and where it is from."""
    return sha256(f"{source.host} {source.port} ".encode() + octets).digest()


def _plausible(message: Message) -> bool:
    """Whether anybody but a prankster would answer IKE_SA_INIT like this."""
    kinds = {payload.payload_type for payload in message.payloads}
    if {33, 34, 40} <= kinds:
        return message.responder_spi != bytes(8)
    return 41 in kinds
