# SPDX-License-Identifier: GPL-2.0-or-later
"""The Quick Modes that run, or have run, under one ISAKMP SA.

A Quick Mode is remembered for a while after its end, since its last message may have been lost
and the peer will then repeat its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.ike.address import Datagram, Path
from harness.ike.constants_v1 import ExchangeType, Flag, NotifyType, ProtocolId
from harness.ike.payload import Payload, every
from harness.ike.payloads_v1 import Notification
from harness.ike.v1 import informational
from harness.ike.v1.configuration import Child
from harness.ike.v1.conversation import Conversation
from harness.ike.v1.events import QuickModeFailed
from harness.ike.v1.isakmp_sa import HashOf, authentic_payloads, is_encrypted
from harness.ike.v1.quick_mode import QuickMode, Setting
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored, Refusal
from harness.ike.v1.seam import Plain
from harness.ike.wire import VERSION_1, Message

if TYPE_CHECKING:
    from harness.ike.v1.session import Session


@dataclass(slots=True)
class Running:
    """A Quick Mode with its chain of IVs; `failed` ones only make repetitions fall silent."""

    mode: QuickMode
    iv: bytes
    started: float
    conversation: Conversation = field(default_factory=Conversation)
    done: bool = False
    failed: bool = False


class QuickModes:
    """Quick Modes by message id; those that are done are forgotten in order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: dict[int, Running] = {}

    def __len__(self) -> int:
        return sum(not one.done for one in self._running.values())

    def knows(self, message_id: int) -> bool:
        """Whether that message id is in use."""
        return message_id in self._running

    def start(self, child: Child, now: float) -> int:
        """Begin one as initiator and return its message id."""
        session = self._session
        message_id = session.new_message_id()
        mode = QuickMode(self._setting(), message_id, session.host.new_spi(), child)
        running = Running(mode, self._first_iv(message_id), now)
        self._running[message_id] = running
        self._send(running, mode.start(), 1, now)
        self._repeat(running, now)
        return message_id

    def is_making(self, child: str) -> bool:
        """Whether one that this end began for that child is still open."""
        return any(
            not one.done and one.mode.initiator and one.mode.child is not None
            and one.mode.child.name == child
            for one in self._running.values()
        )  # fmt: skip

    def receive(self, message: Message, octets: bytes, arrived: Datagram, now: float) -> None:
        """Take a Quick Mode message; raises `Ignored`."""
        session = self._session
        running = self._running.get(message.message_id)
        if running is not None and running.conversation.is_last(octets):
            session.repeat(running.conversation)
            return
        if running is not None and (running.done or running.conversation.knows(octets)):
            raise Ignored("a Quick Mode message that comes too late")
        if not session.established:
            raise Ignored("a Quick Mode message before phase 1 is complete")
        if not is_encrypted(message) or message.message_id == 0:
            raise Ignored("a Quick Mode message in clear, or without a message id")
        if running is None:
            self._receive_first(message, octets, arrived, now)
        else:
            self._receive_next(running, message, octets, arrived, now)

    def _receive_first(
        self, message: Message, octets: bytes, arrived: Datagram, now: float
    ) -> None:
        """Message 1: nothing is kept unless it is authentic."""
        session = self._session
        if len(self) >= session.host.limits.quick_modes:
            raise Ignored(f"more than {session.host.limits.quick_modes} Quick Modes at once")
        spi = session.host.new_spi()
        mode = QuickMode(self._setting(), message.message_id, spi)
        running = Running(mode, self._first_iv(message.message_id), now)
        try:
            self._receive_next(running, message, octets, arrived, now)
        finally:
            if mode.sa is None:
                session.host.free_spi(spi)

    def _receive_next(
        self, running: Running, message: Message, octets: bytes, arrived: Datagram, now: float
    ) -> None:
        session, mode = self._session, running.mode
        sa = session.negotiation.sa
        assert sa is not None
        number = mode.awaited
        opened = sa.open(message, running.iv)
        payloads = authentic_payloads(opened, lambda rest: mode.hash_of(number, rest))
        self._running[message.message_id] = running
        session.follow(Path(arrived.destination, arrived.source))
        clear = Plain(message, session.negotiation.path).forged(payloads=payloads, encrypted=b"")
        plain = session.opened(clear.message, arrived)
        if plain is None:
            return
        running.iv = opened.iv
        running.conversation.received(octets)
        session.host.timers.cancel((session.cookie, message.message_id))
        if self._is_refused(running, plain, now):
            return
        try:
            step = mode.receive(plain.payloads, session.connection.children)
        except Refusal as refusal:
            self._refuse(running, refusal, now)
            return
        except Ignored as why:
            broken = Refusal(Reason.INVALID_MESSAGE, NotifyType.PAYLOAD_MALFORMED, str(why))
            self._refuse(running, broken, now)
            return
        if step.sa is not None and number < 3:
            session.host.install(
                session,
                step.sa,
                running.started,
                now,
                hold=not mode.initiator,
                committed=mode.initiator and bool(plain.message.flags & Flag.COMMIT),
            )
        if step.payloads is not None:
            self._send(running, step.payloads, number + 1, now)
        if step.done:
            self._finish(running)
            if number == 3 and step.sa is not None:
                session.host.switch(session, step.sa, now)
        else:
            self._repeat(running, now)

    def _is_refused(self, running: Running, plain: Plain, now: float) -> bool:
        """Whether the peer answered within the exchange with an error."""
        for notify in every(plain.payloads, Notification):
            if notify.notify_type < informational.FIRST_STATUS:
                self._fail(running, Reason.REFUSED, notify.notify_type, "the peer refused", now)
                return True
        return False

    def _send(
        self, running: Running, payloads: tuple[Payload, ...], number: int, now: float
    ) -> None:
        session, mode = self._session, running.mode
        n = session.negotiation
        message = Message(
            VERSION_1, ExchangeType.QUICK_MODE, n.cookie_i, n.cookie_r, mode.message_id,
            Flag.ENCRYPTION, payloads,
        )  # fmt: skip
        hash_of: HashOf = lambda rest: mode.hash_of(number, rest)  # noqa: E731
        sent, running.iv = session.send(message, running.iv, hash_of, now)
        running.conversation.answered(sent)

    def _repeat(self, running: Running, now: float) -> None:
        def give_up(then: float) -> None:
            self._fail(running, Reason.TIMEOUT, None, "the peer did not answer", then)

        message_id = running.mode.message_id
        self._session.repeat_later(running.conversation, message_id, now, give_up)

    def peer_refused(self, notify: Notification, now: float) -> None:
        """Take an authentic error: it is about the Quick Mode whose SPI it has, or the only one."""
        own = [one for one in self._running.values() if not one.done and one.mode.initiator]
        named = [one for one in own if one.mode.spi == notify.spi]
        about = named or (own if len(own) == 1 else [])
        for running in about:
            self._fail(running, Reason.REFUSED, notify.notify_type, "the peer refused", now)

    def abandon(self, reason: Reason, now: float) -> None:
        """Give up all that are open, because the ISAKMP SA ends."""
        for running in tuple(self._running.values()):
            if not running.done:
                self._fail(running, reason, None, "the ISAKMP SA ended", now)
        for message_id in self._running:
            self._session.host.timers.cancel((self._session.cookie, message_id))

    def _refuse(self, running: Running, refusal: Refusal, now: float) -> None:
        session = self._session
        if refusal.notify is not None:
            about = Notification(refusal.notify, b"", ProtocolId.IPSEC_ESP, running.mode.spi)
            informational.send(session, (about,), now)
        self._fail(running, refusal.reason, refusal.notify, refusal.detail, now)

    def _fail(
        self, running: Running, reason: Reason, notify: int | None, detail: str, now: float
    ) -> None:
        session, mode = self._session, running.mode
        name = None if mode.child is None else mode.child.name
        running.failed = True
        running.conversation.sent = None
        session.host.emit(
            QuickModeFailed(
                session.cookie, name, mode.initiator, mode.message_id, reason, notify, detail
            )
        )
        if mode.sa is not None:
            session.host.remove(mode.sa.inbound_spi, reason, now)
        session.host.free_spi(mode.spi)
        self._finish(running)
        if mode.initiator and name is not None:
            session.host.quick_mode_failed(session, name, reason, now)

    def _finish(self, running: Running) -> None:
        running.done = True
        session = self._session
        session.host.timers.cancel((session.cookie, running.mode.message_id))
        done = [message_id for message_id, one in self._running.items() if one.done]
        for message_id in done[: -session.host.limits.remembered]:
            del self._running[message_id]

    def _setting(self) -> Setting:
        session = self._session
        n = session.negotiation
        assert n.sa is not None
        return Setting(n.sa, session.connection, n.path, n.nat, session.host.draw)

    def _first_iv(self, message_id: int) -> bytes:
        n = self._session.negotiation
        assert n.sa is not None
        return n.sa.first_iv(n.iv, message_id)
