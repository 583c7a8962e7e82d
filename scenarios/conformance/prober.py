# SPDX-License-Identifier: GPL-2.0-or-later
"""The few verbs with which a scripted ikelabd on moon probes the peer on sun.

What a verb returns is an exchange as the decrypted wire has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.capture.entries import Ike, Status
from harness.capture.exchanges import Exchange, IkeAuth, IkeSaInit
from harness.ike.address import Datagram
from harness.ike.constants_v2 import ExchangeType, NotifyType, ProtocolId
from harness.ike.names import name_of
from harness.ike.payload import Payload, every
from harness.ike.payloads_v2 import Delete, Notify
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.events import IkeSaClosed, IkeSaEstablished, InitiationFailed, ScriptedResponse
from harness.ike.v2.script import Change, Script
from harness.ike.wire import decode
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import IkeMessage
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Connection
from harness.peers.contract import IkeSa, Peer
from harness.peers.ikelabd import Ikelabd
from scenarios.agreements import NET_NET
from scenarios.conformance.sas import kept, only_ike

IKE_SA_INIT, INFORMATIONAL = ExchangeType.IKE_SA_INIT, ExchangeType.INFORMATIONAL
DELETE_IKE = Delete(ProtocolId.IKE)
NAME = "net-net"
PATIENT = {
    "charon.cookie_threshold": 1_000,
    "charon.cookie_threshold_ip": 1_000,
    "charon.block_threshold": 1_000,
}
"""strongSwan's limits for half-open IKE SAs, out of the way."""
ENDS = (IkeSaEstablished, InitiationFailed)
"""How an attempt to make an IKE SA ends."""


@dataclass
class Prober:
    """Moon, scripted, and the lab that it is in; `told` messages of sun have been looked at."""

    net: Net
    script: Script
    told: int = 0

    @classmethod
    def up(cls, lab: Lab, sun: Peer, connection: Connection = NET_NET) -> Prober:
        """A lab with a scripted ikelabd on moon, and nothing said yet."""
        script = Script()
        moon = Ikelabd().scripted(script)
        # What an initiator leaves half-open is no attack here.
        options = {"sun": PATIENT} if sun.name.startswith("strongswan@") else {}
        net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection, options=options)
        net.sun.settle()
        return cls(net, script)

    def established(self) -> Prober:
        """The same, with an IKE SA and its CHILD_SA."""
        self.net.moon.initiate(NAME)
        self.told = len(self.heard)
        return self

    @property
    def ike(self) -> IkeSa:
        """Moon's only IKE SA."""
        return only_ike(self.net.moon)

    @property
    def spi(self) -> bytes:
        """Moon's SPI of that IKE SA, which moon began."""
        return self.ike.initiator_spi.to_bytes(8, "big")

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """All exchanges so far."""
        return self.net.wire("wan").exchanges

    # Under an IKE SA.

    def ask(
        self, *payloads: Payload, exchange: int = INFORMATIONAL, change: Change | None = None
    ) -> Exchange:
        """Begin an exchange with these payloads, changed before it is sealed, and await its end."""
        answers = self._count(ScriptedResponse)
        self._changing(exchange, change)
        self._exchange(payloads, exchange)
        return self._answered(answers)

    def breaks(
        self, *payloads: Payload, exchange: int = INFORMATIONAL, change: Change | None = None
    ) -> list[tuple[str, bytes]]:
        """Begin an exchange that ends moon's IKE SA, and return the notifies of the answer."""
        self._changing(exchange, change)
        self._exchange(payloads, exchange)
        self.net.moon.await_observed(IkeSaClosed)
        return notifies(self.exchanges[-1])

    def held(self, *payloads: Payload, exchange: int = INFORMATIONAL) -> Sequence[Datagram]:
        """Begin an exchange, and return what its request would be sent in."""
        held = self.script.sent(exchange=exchange, response=False).hold()
        self._exchange(payloads, exchange)
        ((_, datagrams),) = held.messages
        return datagrams

    def ended(self, datagrams: Sequence[Datagram]) -> Exchange:
        """The same, where the end of that exchange may be that of moon's IKE SA."""
        answers = self._count(ScriptedResponse, IkeSaClosed)
        self.send(*datagrams)
        self.net.moon.await_observed(ScriptedResponse, IkeSaClosed, after=answers)
        return self.exchanges[-1]

    def released(self, datagrams: Sequence[Datagram]) -> Exchange:
        """Send the rest of what was held back, and await the end of that exchange."""
        answers = self._count(ScriptedResponse)
        self.send(*datagrams)
        return self._answered(answers)

    def forge(
        self,
        *payloads: Payload,
        exchange: int = INFORMATIONAL,
        change: Change | None = None,
        ahead: int = 0,
    ) -> None:
        """Send a request beside the window, as if it were `ahead` of it, and forget it."""
        self._changing(exchange, change)
        spi = self.spi

        def send(engine: Endpoint, now: float) -> None:
            sa = engine.ike_sa(spi)
            assert sa is not None
            number = sa.requests.next_id + ahead
            sa.send(exchange, number, payloads, sa.path, response=False)

        self.net.moon.act(send)

    def sealed(self, *payloads: Payload, exchange: int = INFORMATIONAL) -> Sequence[Datagram]:
        """The datagrams of a request that is next, which are not sent."""
        held = self.script.sent(exchange=exchange, response=False).hold()
        self.forge(*payloads, exchange=exchange)
        ((_, datagrams),) = held.messages
        return datagrams

    def send(self, *datagrams: Datagram) -> None:
        """Send datagrams as they stand."""

        def inject(engine: Endpoint, now: float) -> None:
            for one in datagrams:
                engine.inject(one)

        self.net.moon.act(inject)

    @property
    def heard(self) -> list[IkeMessage]:
        """Every IKE message of sun so far."""
        return [message for message in self.net.wire("wan").ike if message.sender == "sun"]

    def goes_on(self, *, children: int = 1) -> list[IkeMessage]:
        """Check that sun answers and has the IKE SA still; return what it said until it had done.

        The answer is not among it.
        """
        before = self.told
        self.ask()
        last = self.heard[-1]
        answer = [one for one in self.net.wire("wan").decryption.ike if one.sender == "sun"][-1]
        assert isinstance(answer.content, Ike)
        found = (answer.content.status, answer.content.payloads)
        assert found == (Status.DECRYPTED, ()), f"sun answered {found}"
        self.net.sun.settle()
        self.told = len(self.heard)
        kept(self.net.sun, self.ike, children)
        return [one for one in self.heard[before:] if one != last]

    # An IKE SA that is to be made.

    def opens(self, change: Change, exchange: int = IKE_SA_INIT) -> IkeSaInit | IkeAuth:
        """Try to make an IKE SA with one request of it changed, and return that exchange.

        An IKE SA that came of it is deleted again.
        """
        before = len(self.exchanges)
        end = self.net.moon.await_observed(*ENDS, ike=self._begin(change, exchange))
        kind = IkeSaInit if exchange == IKE_SA_INIT else IkeAuth
        found = [one for one in self.exchanges[before:] if isinstance(one, kind)]
        if isinstance(end, IkeSaEstablished):
            self.net.moon.delete_ike(NAME)
        return found[-1]

    def shuns(self, change: Change) -> None:
        """Check that sun says nothing to an IKE_SA_INIT request that was changed."""
        said = [str(message) for message in self._said_to(change)]
        assert said == [], f"sun answered: {said}"

    def refuses(self, change: Change) -> None:
        """Check that sun says nothing to it, or one thing: INVALID_SYNTAX."""
        for message in self._said_to(change):
            found = every(decode(message.data).payloads, Notify)
            names = [name_of(NotifyType, one.notify_type) for one in found]
            assert names == ["INVALID_SYNTAX"], f"sun answered: {names or message}"

    def _said_to(self, change: Change) -> list[IkeMessage]:
        """What sun said to an IKE_SA_INIT request that was changed, by the time of another one."""
        spi = self._begin(change, IKE_SA_INIT, abandoned=True)
        assert self.opens(lambda plain: plain) == IkeSaInit(), "sun does not answer any more"
        self.net.sun.settle()
        return [message for message in self.heard if message.initiator_spi == spi]

    def _begin(self, change: Change, exchange: int, *, abandoned: bool = False) -> bytes:
        self._changing(exchange, change)

        def initiate(engine: Endpoint, now: float) -> bytes:
            spi = engine.commands.initiate(NAME, now)
            # Its first message is sent all the same; no answer leads any further.
            if abandoned:
                engine.commands.abandon(spi, now)
            return spi

        return self.net.moon.act(initiate)

    def _exchange(self, payloads: Sequence[Payload], exchange: int) -> None:
        spi = self.spi
        self.net.moon.act(
            lambda engine, now: engine.commands.exchange(spi, exchange, payloads, now)
        )

    def _answered(self, answers: int) -> Exchange:
        self.net.moon.await_observed(ScriptedResponse, after=answers)
        self.told = len(self.heard)
        return self.exchanges[-1]

    def _changing(self, exchange: int, change: Change | None) -> None:
        if change is not None:
            self.script.sent(exchange=exchange, response=False).replace(change)

    def _count(self, *kinds: type[object]) -> int:
        return sum(isinstance(one, kinds) for one in self.net.moon.observed)


def notifies(exchange: Exchange) -> list[tuple[str, bytes]]:
    """The notifies of a response: name and data."""
    found = every(exchange.about.response, Notify)
    return [(name_of(NotifyType, one.notify_type), one.data) for one in found]


def damaged(datagram: Datagram) -> Datagram:
    """The datagram with its last octet changed, so that its integrity check fails."""
    return replace(datagram, data=datagram.data[:-1] + bytes([datagram.data[-1] ^ 1]))
