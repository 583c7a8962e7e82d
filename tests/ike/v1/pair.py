# SPDX-License-Identifier: GPL-2.0-or-later
"""Two engines back to back, with a queue and a clock that the test owns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from random import Random

from harness.ike.address import Address, Datagram
from harness.ike.chance import Draw, from_randomness
from harness.ike.keys import DirectionKeys
from harness.ike.v1 import events
from harness.ike.v1.configuration import Child, Connection, Limits, PreSharedKey
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.identity import address_identity, subnet_identity
from harness.ike.v1.script import Script
from harness.ike.wire import Message, decode

SECRET = PreSharedKey(b"xeeB5gohvaYi")
SEIL = Address("10.0.0.1")
SWAN = Address("10.0.0.2")
LEFT, RIGHT = subnet_identity("192.168.1.0/24"), subnet_identity("192.168.2.0/24")


def seeded(seed: int) -> Draw:
    return from_randomness(Random(seed).randbytes)


def seil(**changes: object) -> Connection:
    """The SEIL end of the seed, which the tests take as initiator."""
    connection = Connection(
        "seil",
        SEIL,
        SWAN,
        SECRET,
        address_identity("10.0.0.1", 17),
        address_identity("10.0.0.2"),
        children=(Child("lan", LEFT, RIGHT),),
    )
    return replace(connection, **changes)


def swan(**changes: object) -> Connection:
    """The other end of it."""
    connection = Connection(
        "swan",
        SWAN,
        SEIL,
        SECRET,
        address_identity("10.0.0.2"),
        address_identity("10.0.0.1"),
        children=(Child("lan", RIGHT, LEFT),),
    )
    return replace(connection, **changes)


@dataclass
class End:
    name: str
    endpoint: Endpoint
    script: Script
    address: Address
    events: list[events.Event] = field(default_factory=list)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def only(self, kind: type):
        (found,) = self.of(kind)
        return found

    @property
    def sas(self):
        return self.endpoint.sas()


class Pair:
    """`a` and `b`; what they send waits in `queue` until the test lets it through."""

    def __init__(
        self,
        a: Connection | None = None,
        b: Connection | None = None,
        seed: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self.now = 1000.0
        self.queue: list[Datagram] = []
        self.sent: list[Datagram] = []
        first, second = a or seil(), b or swan()
        self.a = self._end("a", first, seed, limits)
        self.b = self._end("b", second, seed + 1_000_000, limits)
        self.translate: Callable[[Datagram], Datagram] = lambda datagram: datagram

    def _end(self, name: str, connection: Connection, seed: int, limits: Limits | None) -> End:
        script = Script()
        endpoint = Endpoint((connection,), seeded(seed), seam=script, limits=limits)
        return End(name, endpoint, script, connection.local)

    def collect(self) -> None:
        """Take what both ends have to send and to tell."""
        for end in (self.a, self.b):
            found = end.endpoint.datagrams()
            self.queue += found
            self.sent += found
            end.events += end.endpoint.events()

    def deliver(self, datagram: Datagram) -> None:
        arrived = self.translate(datagram)
        for end in (self.a, self.b):
            if end.address.host == arrived.destination.host:
                end.endpoint.receive(arrived.data, arrived.source, self.now, arrived.destination)
        self.collect()

    def initiate(self, child: str | None = "lan", end: End | None = None) -> None:
        starter = end or self.a
        name = starter.endpoint.connections[0].name
        starter.endpoint.initiate(name, child, self.now)
        self.collect()

    def run(self, most: int = 200) -> None:
        """Deliver in order until the queue is empty."""
        self.collect()
        for _ in range(most):
            if not self.queue:
                return
            self.deliver(self.queue.pop(0))
        raise AssertionError("the two ends do not come to rest")

    def drop(self, count: int = 1) -> list[Datagram]:
        """Lose the next datagrams."""
        lost, self.queue = self.queue[:count], self.queue[count:]
        return lost

    def advance(self, seconds: float, run: bool = True) -> None:
        """Let time pass, step by step through every deadline."""
        until = self.now + seconds
        for _ in range(10_000):
            due = [at for end in (self.a, self.b) if (at := end.endpoint.deadline()) is not None]
            at = min(due, default=inf)
            if at > until:
                break
            self.now = max(self.now, at)
            for end in (self.a, self.b):
                end.endpoint.timeout(self.now)
            self.collect()
            if run:
                self.run()
        else:
            raise AssertionError("timers never come to rest")
        self.now = until
        self.collect()

    def up(self) -> None:
        """Bring the SAs of the child up."""
        self.initiate()
        self.run()
        assert self.a.sas
        assert self.b.sas

    def messages(self) -> list[Message]:
        """All that was sent, decoded as far as it is not encrypted."""
        return [decode(ike(one)) for one in self.sent if one.data != b"\xff"]

    @property
    def sizes(self) -> list[int]:
        return [len(datagram.data) for datagram in self.sent]


def ike(datagram: Datagram) -> bytes:
    return datagram.data[4:] if datagram.source.port == 4500 else datagram.data


def mirrored(a: End, b: End) -> bool:
    """Whether each SA of one end is the other's in reverse, with the same keys."""
    ours = {
        (sa.inbound_spi, sa.outbound_spi, _keys(sa.inbound), _keys(sa.outbound)) for sa in a.sas
    }
    theirs = {
        (sa.outbound_spi, sa.inbound_spi, _keys(sa.outbound), _keys(sa.inbound)) for sa in b.sas
    }
    return ours == theirs


def _keys(direction: DirectionKeys) -> tuple[bytes, bytes]:
    return direction.encryption, direction.integrity
