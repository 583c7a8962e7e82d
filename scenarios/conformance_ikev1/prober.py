# SPDX-License-Identifier: GPL-2.0-or-later
"""The few verbs with which a scripted ikelabd on moon probes the IKEv1 of the peer on sun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.capture.exchanges import Exchange, QuickMode
from harness.capture.frames import Isakmp, dissect
from harness.capture.recording import Frame, FrameNotSeen
from harness.ike.address import Address, Datagram, Path
from harness.ike.constants_v1 import ExchangeType, NotifyType
from harness.ike.names import hyphened
from harness.ike.payload import Payload, every, first
from harness.ike.payloads_v1 import Notification, SecurityAssociation
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.events import (
    IpsecSaInstalled,
    IsakmpSaEstablished,
    PeerAlive,
    Phase1Failed,
    QuickModeFailed,
)
from harness.ike.v1.informational import liveness
from harness.ike.v1.reasons import Reason
from harness.ike.v1.script import Change, Script
from harness.ike.v1.seam import Plain
from harness.ike.wire import decode, encode
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import IkeMessage
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Connection
from harness.peers.contract import IkeSa, Peer
from harness.peers.ikelabd import Ikelabd
from harness.peers.strongswan import StrongSwan
from scenarios.agreements import MOON, SUN
from scenarios.conformance.prober import PATIENT
from scenarios.conformance.sas import kept, only_ike
from scenarios.conformance_ikev1.requests import IKEV1, NAME, first_message

MAIN, QUICK = ExchangeType.IDENTITY_PROTECTION, ExchangeType.QUICK_MODE
INFORMATIONAL = ExchangeType.INFORMATIONAL
PATH = Path(Address(MOON.address), Address(SUN.address))
ANSWERS_WITHIN = 5.0
"""Seconds within which a first message is answered, or is not at all."""
FIRST_ODD = 0xFFFF_0000
"""Sequence numbers from here on are of questions that moon's engine never asks."""
NO_ANSWER = "no answer"
"""How a negotiation ended that the peer did not go on with."""


@dataclass
class Prober:
    """Moon, scripted, and the lab that it is in; `told` messages of sun have been looked at."""

    net: Net
    script: Script
    told: int = 0
    strangers: int = 0
    questions: int = 0

    @classmethod
    def up(cls, lab: Lab, sun: Peer, connection: Connection = IKEV1) -> Prober:
        """A lab with a scripted ikelabd on moon, and nothing said yet."""
        script = Script()
        moon = Ikelabd().scripted(seam_v1=script)
        # What an initiator leaves half-open is no attack here.
        options = {"sun": PATIENT} if isinstance(sun, StrongSwan) else {}
        net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection, options=options)
        net.sun.settle()
        return cls(net, script)

    def established(self, child: str | None = NAME) -> Prober:
        """The same, with an ISAKMP SA, and a pair of IPsec SAs under it unless `child` is None."""
        if child is not None:
            self.net.moon.initiate(child)
            self.net.sun.await_up(child)
        else:
            self._act(lambda engine, now: engine.initiate(NAME, None, now))
            self.net.moon.await_observed(IsakmpSaEstablished)
            self.goes_on(children=0)
        self.told = len(self.heard)
        return self

    @property
    def ike(self) -> IkeSa:
        """Moon's only ISAKMP SA."""
        return only_ike(self.net.moon)

    @property
    def isakmp(self) -> bytes:
        """Moon's cookie of that ISAKMP SA, which moon began."""
        return self.ike.initiator_spi.to_bytes(8, "big")

    @property
    def cookies(self) -> bytes:
        """Both cookies of it, by which notifies and deletes name it."""
        return self.isakmp + self.ike.responder_spi.to_bytes(8, "big")

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """All exchanges so far, decrypted."""
        return self.net.wire("wan").exchanges

    def said(self, exchange: str) -> list[IkeMessage]:
        """Every message of sun in exchanges of that name."""
        return [one for one in self.heard if one.exchange == exchange]

    @property
    def heard(self) -> list[IkeMessage]:
        """Every IKE message of sun so far."""
        return [message for message in self.net.wire("wan").ike if message.sender == "sun"]

    # Under an ISAKMP SA.

    def forge(
        self,
        *payloads: Payload,
        exchange: int = INFORMATIONAL,
        change: Change | None = None,
        message_id: int | None = None,
    ) -> None:
        """Send the first message of an exchange, changed before it is sealed, and forget it."""
        self._changing(exchange, change)
        isakmp = self.isakmp
        self._act(
            lambda engine, now: engine.send(isakmp, exchange, payloads, now, message_id=message_id)
        )

    def sealed(self, *payloads: Payload, exchange: int = INFORMATIONAL) -> Sequence[Datagram]:
        """The datagrams of such a message, which are not sent."""
        held = self.script.sent(exchange=exchange).hold()
        self.forge(*payloads, exchange=exchange)
        ((_, datagrams),) = held.messages
        return datagrams

    def first_of(self, exchange: int) -> Datagram:
        """The first message of an exchange that moon has sent, to send it again."""
        for frame in self.net.wire("wan").frames:
            headers = dissect(frame.data)
            header, ports = headers.carried, headers.ports
            if not isinstance(header, Isakmp) or ports is None or frame.sender != "moon":
                continue
            if header.exchange_type == exchange:
                here, there = Address(MOON.address, ports[0]), Address(SUN.address, ports[1])
                return Datagram((bytes(4) if header.marked else b"") + header.data, here, there)
        raise AssertionError(f"moon has begun no exchange {exchange}")

    def send(self, *datagrams: Datagram) -> None:
        """Send datagrams as they stand."""

        def inject(engine: Endpoint, now: float) -> None:
            for one in datagrams:
                engine.inject(one)

        self._act(inject)

    def goes_on(self, *, children: int = 1) -> list[IkeMessage]:
        """Check that sun is there and has its SAs still; return what it said until it had done.

        It is asked R-U-THERE (RFC 3706 5), and answers; that answer is not among what it said.
        """
        before, isakmp = self.told, self.isakmp
        alive = self._count(PeerAlive)
        self._act(lambda engine, now: engine.check_peer(isakmp, now))
        self.net.moon.await_observed(PeerAlive, after=alive)
        # What sun was slower with may have come behind its answer by now.
        answer = [one for one in self.heard if one.exchange == INFORMATIONAL.name][-1]
        self.net.sun.settle()
        self.told = len(self.heard)
        kept(self.net.sun, self.ike, children)
        return [one for one in self.heard[before:] if one != answer]

    def answers(self, change: Change) -> bool:
        """Whether sun answers a R-U-THERE in a message that was changed; it must go on."""
        self.questions += 1
        sequence = FIRST_ODD + self.questions
        self.forge(liveness(NotifyType.R_U_THERE, self.cookies, sequence), change=change)
        self.goes_on()
        acknowledged = (
            notify.data
            for one in self.exchanges
            if one.about.sender == "sun"
            for notify in every(one.about.request, Notification)
            if notify.notify_type == NotifyType.R_U_THERE_ACK
        )
        return sequence.to_bytes(4, "big") in acknowledged

    def quick_mode(self, change: Change) -> str:
        """Try a Quick Mode with message 1 changed: what it was refused with, "" if it was not.

        Whatever proposal sun chooses, moon takes it for its own, which it must be equal to. A pair
        of IPsec SAs that came of it is deleted again.
        """
        offered: list[Payload] = []

        def asked(plain: Plain) -> Plain | None:
            offered.extend(plain.payloads)
            return change(plain)

        self.script.sent(exchange=QUICK).replace(asked)
        self.script.received(exchange=QUICK).replace(lambda plain: _as_offered(plain, offered))
        before = self._count(IpsecSaInstalled, QuickModeFailed)
        self._act(lambda engine, now: engine.initiate(NAME, NAME, now))
        end = self.net.moon.await_observed(IpsecSaInstalled, QuickModeFailed, after=before)
        self._forget_rules()
        if isinstance(end, QuickModeFailed):
            return _ending(end)
        inbound, outbound = end.sa.inbound_spi, end.sa.outbound_spi
        # Sun has its pair with message 3, behind which a Delete must not be too close.
        child = self.net.sun.await_up(NAME, inbound=int.from_bytes(outbound, "big"))
        self._act(lambda engine, now: engine.delete_child(inbound, now))
        self.net.sun.await_deleted(child)
        return ""

    @property
    def last_answer(self) -> tuple[Payload, ...]:
        """The payloads of the last answer of sun's in a Quick Mode."""
        found = [one for one in self.exchanges if isinstance(one, QuickMode)]
        return found[-1].about.response

    # An ISAKMP SA that is to be made.

    def main_mode(self, change: Change, message: int) -> str:
        """Try a Main Mode with message 3 or 5 changed: what it was refused with, "" if it was not.

        An ISAKMP SA that came of it is deleted again.
        """
        self.script.sent(exchange=MAIN, skip=message // 2).replace(change)
        before = self._count(IsakmpSaEstablished, Phase1Failed)
        self._act(lambda engine, now: engine.initiate(NAME, None, now))
        end = self.net.moon.await_observed(IsakmpSaEstablished, Phase1Failed, after=before)
        self._forget_rules()
        if isinstance(end, Phase1Failed):
            return _ending(end)
        self.net.moon.delete_ike(NAME)
        spi = int.from_bytes(end.cookie_i, "big")
        self.net.sun.await_ike_down(NAME, initiator_spi=spi)
        return ""

    def opens(self, change: Change = lambda plain: plain) -> tuple[Payload, ...]:
        """Send a first message of Main Mode, changed, and return the payloads of message 2.

        Raises AssertionError where there is none.
        """
        cookie = self._say_first(change)
        answer = self._answer(cookie)
        assert answer.exchange == MAIN.name, f"sun said {', '.join(notified(answer)) or 'nothing'}"
        return decode(answer.data).payloads

    def shuns(self, change: Change) -> None:
        """Check that sun does not answer a first message of Main Mode that was changed.

        It may say why.
        """
        cookie = self._say_first(change)
        # Who has answered a later one has read it.
        self._answer(self._say_first(lambda plain: plain))
        self.net.sun.settle()
        answers = [one for one in self.heard if one.initiator_spi == cookie]
        assert MAIN.name not in {one.exchange for one in answers}, "sun answers with message 2"

    def repeats_its_answer(self) -> None:
        """Check that sun answers a first message that comes again as it did before, octet by octet.

        A new cookie in its answer would be a second ISAKMP SA.
        """
        cookie = self._say_first(lambda plain: plain)
        before = self._answer(cookie)
        self.net.sun.sas()
        frames = len(self.net.wire("wan").frames)
        self.send(Datagram(encode(first_message(cookie)), PATH.local, PATH.remote))
        assert self._answer(cookie, frames).data == before.data, "sun answers something else"

    def _say_first(self, change: Change) -> bytes:
        """Send message 1 under a cookie that it returns; moon knows nothing of it."""
        self.strangers += 1
        plain = change(Plain(first_message(self.strangers.to_bytes(8, "big")), PATH))
        assert plain is not None
        self.send(Datagram(encode(plain.message), PATH.local, PATH.remote))
        return plain.message.initiator_spi

    def _answer(self, cookie: bytes, since: int = 0) -> IkeMessage:
        def matches(frame: Frame) -> bool:
            header = dissect(frame.data).carried
            named = isinstance(header, Isakmp) and header.initiator_spi == cookie
            return named and frame.sender == "sun"

        wan = self.net.wire("wan")
        try:
            found = wan.await_frame(matches, "an answer of sun", since=since, within=ANSWERS_WITHIN)
        except FrameNotSeen:
            raise AssertionError("sun says nothing") from None
        return next(one for one in self.heard if one.number == found.number)

    def _forget_rules(self) -> None:
        self._act(lambda engine, now: self.script.rules.clear())

    def _act(self, work: Callable[[Endpoint, float], None]) -> None:
        self.net.moon.act(work, version=1)

    def _changing(self, exchange: int, change: Change | None) -> None:
        if change is not None:
            self.script.sent(exchange=exchange).replace(change)

    def _count(self, *kinds: type[object]) -> int:
        return sum(isinstance(one, kinds) for one in self.net.moon.observed)


def notified(message: IkeMessage) -> list[str]:
    """The names of the notifies in a message in clear."""
    found = every(decode(message.data).payloads, Notification)
    return [hyphened(NotifyType, one.notify_type) for one in found]


def damaged(datagram: Datagram) -> Datagram:
    """The datagram with an octet in the middle changed, so that its HASH fails."""
    at = len(datagram.data) // 2
    octet = bytes([datagram.data[at] ^ 1])
    return replace(datagram, data=datagram.data[:at] + octet + datagram.data[at + 1 :])


def _as_offered(plain: Plain, offered: Sequence[Payload]) -> Plain:
    """The answer with moon's own first transform for the one that sun chose, and sun's SPI."""
    chosen, own = first(plain.payloads, SecurityAssociation), first(offered, SecurityAssociation)
    if chosen is None or own is None:
        return plain
    proposal = own.proposals[0]
    taken = replace(proposal, spi=chosen.proposals[0].spi, transforms=proposal.transforms[:1])
    answer = replace(own, proposals=(taken,))
    return plain.forged(payloads=tuple(answer if one is chosen else one for one in plain.payloads))


def _ending(end: Phase1Failed | QuickModeFailed) -> str:
    """The notify that refused, or that there was no answer."""
    if end.reason is Reason.TIMEOUT:
        return NO_ANSWER
    return hyphened(NotifyType, end.notify) if end.notify is not None else str(end.reason)
