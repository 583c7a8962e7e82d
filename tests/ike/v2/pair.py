# SPDX-License-Identifier: GPL-2.0-or-later
"""Two endpoints back to back, with a queue between them that the test owns.

Verbs: `settle` delivers until both are quiet, `deliver` one datagram, `drop` and `hold` the next,
`advance` lets time pass. Nothing here waits: time is a number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TypeVar

from harness.ike.address import Address, Datagram
from harness.ike.chance import Draw, Purpose, choosing
from harness.ike.constants_v2 import Flag
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v2.child_sa import ChildSa, ChildState
from harness.ike.v2.connection import ChildConfig, Connection, Identity, Settings, SharedKey
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.events import Event
from harness.ike.v2.ike_sa import IkeState
from harness.ike.v2.seam import Seam
from harness.ike.v2.suites import ChildProposal, IkeProposal
from harness.ike.wire import Message, decode

E = TypeVar("E")

MOON, SUN = Address("192.0.2.1"), Address("192.0.2.2")
X25519 = key_exchange("X25519")
ECP_256 = key_exchange("ECP_256")
MODP_2048 = key_exchange("MODP_2048")
GCM = encryption("AES_GCM_16_128")
CBC = encryption("AES_CBC_128")
SHA256 = prf("HMAC_SHA2_256")
HMAC_SHA256 = integrity("HMAC_SHA2_256_128")
IKE = IkeProposal((GCM,), (SHA256,), (X25519,))
ESP = ChildProposal((GCM,))
ESP_PFS = ChildProposal((GCM,), groups=(X25519,))
LEFT = TrafficSelector.of(ip_network("10.1.0.0/16"))
RIGHT = TrafficSelector.of(ip_network("10.2.0.0/16"))
KEY = SharedKey(b"an example key of no value")
NET = ChildConfig("net", (ESP,), (LEFT,), (RIGHT,))
NET_MIRRORED = ChildConfig("net", (ESP,), (RIGHT,), (LEFT,))
MOON_NET = Connection(
    "gw",
    (IKE,),
    Identity.of("moon.example"),
    KEY,
    KEY,
    (NET,),
    SUN,
    Identity.of("sun.example"),
)
SUN_NET = Connection(
    "gw",
    (IKE,),
    Identity.of("sun.example"),
    KEY,
    KEY,
    (NET_MIRRORED,),
    None,
    Identity.of("moon.example"),
)


def seeded(seed: int) -> Draw:
    """Randomness that is the same for the same seed."""
    source = random.Random(seed)
    return lambda purpose, size: source.randbytes(size)


@dataclass(eq=False)
class End:
    """One endpoint, its address, and every event that it reported."""

    name: str
    endpoint: Endpoint
    seen: list[Event] = field(default_factory=list)

    def events(self, kind: type[E]) -> list[E]:
        """Every event of one kind so far."""
        return [event for event in self.seen if isinstance(event, kind)]

    def ike_sas(self) -> list[bytes]:
        """The SPIs of IKE SAs that are not closed."""
        return [sa.spi for sa in self.endpoint.all_sas() if sa.state is not IkeState.CLOSED]

    @property
    def ike(self) -> bytes:
        """The SPI of the only IKE SA."""
        (spi,) = self.ike_sas()
        return spi

    def children(self) -> list[ChildSa]:
        """Every CHILD_SA of every IKE SA."""
        return [
            record.sa
            for sa in self.endpoint.all_sas()
            if sa.state is not IkeState.CLOSED
            for record in sa.children
        ]

    @property
    def child(self) -> ChildSa:
        """The only CHILD_SA."""
        (child,) = self.children()
        return child

    def unsettled(self) -> list[str]:
        """What is still under way: requests without answer, SAs that wait to be replaced."""
        found = []
        for sa in self.endpoint.all_sas():
            if sa.state is IkeState.CLOSED:
                continue
            if sa.requests.pending or sa.tasks or sa.delayed:
                found.append(f"{self.name}: exchange in {sa.spi.hex()}")
            if sa.state is not IkeState.ESTABLISHED:
                found.append(f"{self.name}: {sa.spi.hex()} is {sa.state.value}")
            found.extend(
                f"{self.name}: child {one.sa.inbound_spi.hex()} {one.state.value} held={one.held}"
                for one in sa.children
                if one.state is not ChildState.INSTALLED or one.held
            )
        return found


@dataclass(eq=False)
class Letter:
    """A datagram under way."""

    datagram: Datagram
    sender: str

    @property
    def message(self) -> Message:
        """The IKE message in it."""
        data = self.datagram.data
        return decode(data[4:] if self.datagram.source.port == 4500 else data)

    @property
    def response(self) -> bool:
        """Whether it is a response."""
        return bool(self.message.flags & Flag.RESPONSE)


class Pair:
    """Moon and sun, and what is under way between them."""

    def __init__(
        self,
        moon: Iterable[Connection] = (MOON_NET,),
        sun: Iterable[Connection] = (SUN_NET,),
        *,
        draws: tuple[Draw, Draw] | None = None,
        settings: Settings | None = None,
        seams: tuple[Seam | None, Seam | None] = (None, None),
        seed: int = 1,
    ) -> None:
        mine, yours = draws or (seeded(seed), seeded(seed + 1_000_000))
        self.moon = End("moon", Endpoint(MOON, moon, mine, settings, seams[0]))
        self.sun = End("sun", Endpoint(SUN, sun, yours, settings, seams[1]))
        self.queue: list[Letter] = []
        self.now = 0.0
        self.translate: Callable[[Datagram], Datagram | None] = lambda datagram: datagram

    def collect(self) -> list[Letter]:
        """Take what both ends want to send into the queue, and note their events."""
        for end in (self.moon, self.sun):
            self.queue.extend(Letter(one, end.name) for one in end.endpoint.datagrams())
            end.seen.extend(end.endpoint.events())
        return self.queue

    def deliver(self, letter: Letter | None = None) -> None:
        """Give a datagram, or the first of the queue, to its destination."""
        self.collect()
        letter = letter or self.queue[0]
        if letter in self.queue:
            self.queue.remove(letter)
        datagram = self.translate(letter.datagram)
        if datagram is not None:
            other = self.sun if letter.sender == "moon" else self.moon
            other.endpoint.receive(datagram.data, datagram.source, self.now, datagram.destination)
        self.collect()

    def hold(self, sender: str, *, response: bool | None = None) -> Letter:
        """Take the first datagram of one end (of that kind) out of the queue, and return it."""
        for letter in self.collect():
            if letter.sender == sender and response in (None, letter.response):
                self.queue.remove(letter)
                return letter
        raise AssertionError(f"{sender} sent nothing of that kind")

    def drop(self, sender: str, *, response: bool | None = None) -> None:
        """Lose the first datagram of one end."""
        self.hold(sender, response=response)

    def settle(self) -> None:
        """Deliver whatever is there until both ends are quiet."""
        for _ in range(10_000):
            if not self.collect():
                return
            self.deliver()
        raise AssertionError("the two never come to rest")

    def pass_deadline(self) -> bool:
        """Let time pass to the next deadline; False where there is none."""
        self.collect()
        instants = [end.endpoint.deadline() for end in (self.moon, self.sun)]
        known = [at for at in instants if at is not None]
        if not known:
            return False
        self.now = max(self.now, min(known))
        for end in (self.moon, self.sun):
            end.endpoint.timeout(self.now)
        self.collect()
        return True

    def rest(self, within: float = 200.0) -> None:
        """Deliver and let time pass until nothing is under way, or for that many seconds."""
        until = self.now + within
        self.settle()
        while self.now < until and self.pass_deadline():
            self.settle()

    def up(self, connection: str = "gw") -> Pair:
        """Let moon initiate, and come to rest."""
        self.moon.endpoint.commands.initiate(connection, self.now)
        self.settle()
        return self

    def agree(self) -> None:
        """Check that nothing is left open and that the SAs of both ends mirror each other."""
        left = self.moon.unsettled() + self.sun.unsettled()
        assert not left, left
        mine, yours = ike_spis(self.moon), ike_spis(self.sun)
        assert mine == yours
        assert [mirrored(one) for one in sorted(self.moon.children(), key=by_inbound)] == [
            both_ways(one) for one in sorted(self.sun.children(), key=by_outbound)
        ]


def ike_spis(end: End) -> set[tuple[bytes, bytes]]:
    """The SPIs of the IKE SAs of one end that are not closed."""
    alive = end.ike_sas()
    return {(sa.spi_i, sa.spi_r) for sa in end.endpoint.all_sas() if sa.spi in alive}


def by_inbound(child: ChildSa) -> bytes:
    """Sorts by the SPI of this end."""
    return child.inbound_spi


def by_outbound(child: ChildSa) -> bytes:
    """Sorts by the SPI of the other end."""
    return child.outbound_spi


def both_ways(child: ChildSa) -> tuple[object, ...]:
    """What both ends must have in common."""
    return (
        child.inbound_spi,
        child.outbound_spi,
        child.inbound,
        child.outbound,
        child.local,
        child.remote,
        child.transport,
        child.suite.encryption,
        child.suite.esn,
    )


def mirrored(child: ChildSa) -> tuple[object, ...]:
    """The same as the other end must have it."""
    return (
        child.outbound_spi,
        child.inbound_spi,
        child.outbound,
        child.inbound,
        child.remote,
        child.local,
        child.transport,
        child.suite.encryption,
        child.suite.esn,
    )


def nonces(draw: Draw, *values: bytes) -> Draw:
    """A draw whose next nonces are these."""
    return choosing(draw, Purpose.NONCE, values)
