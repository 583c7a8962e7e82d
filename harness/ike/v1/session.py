# SPDX-License-Identifier: GPL-2.0-or-later
"""One ISAKMP SA from its first message to its end: what repeats, expires and is passed on.

What an exchange means is in its own module; this carries messages between them and the wire.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum

from harness.ike.address import NAT_PORT, Address, Datagram, Path
from harness.ike.chance import Purpose
from harness.ike.constants_v1 import ExchangeType, Flag, NotifyType
from harness.ike.payload import every
from harness.ike.payloads_v1 import Notification
from harness.ike.v1 import informational
from harness.ike.v1.configuration import Connection
from harness.ike.v1.conversation import Conversation, Sent
from harness.ike.v1.events import (
    IsakmpKeysDerived,
    IsakmpSaClosed,
    IsakmpSaEstablished,
    PathChanged,
    Phase1Failed,
    Retransmitted,
)
from harness.ike.v1.host import Host
from harness.ike.v1.isakmp_sa import HashOf, is_encrypted
from harness.ike.v1.phase1 import Handshake, Negotiation, Step
from harness.ike.v1.quick_modes import QuickModes
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored, Refusal
from harness.ike.v1.seam import Plain
from harness.ike.v1.upkeep import Upkeep
from harness.ike.violations import payload_violations
from harness.ike.wire import VERSION_1, Message, encode

_SPENT = 1024


class State(Enum):
    """Where an ISAKMP SA is in its life."""

    NEGOTIATING = "negotiating"
    ESTABLISHED = "established"
    CLOSED = "closed"


class Session:
    """One ISAKMP SA; `cookie` is this end's own and names it in events."""

    def __init__(self, host: Host, handshake: Handshake, replaces: bytes | None = None) -> None:
        self.host = host
        self.handshake = handshake
        self.replaces = replaces
        self.state = State.NEGOTIATING
        self.started_at = handshake.negotiation.now
        self.established_at = 0.0
        self.sealed_octets = 0
        self.quick_modes = QuickModes(self)
        self.upkeep = Upkeep(self)
        self.messages = 0
        self.first: tuple[bytes, Address] | None = None
        self._conversation = Conversation()
        self._waiting: list[str] = []
        self._spent: deque[int] = deque(maxlen=_SPENT)
        self._spent_ids: set[int] = set()

    @property
    def negotiation(self) -> Negotiation:
        """Cookies, keys and what else phase 1 has found out."""
        return self.handshake.negotiation

    @property
    def connection(self) -> Connection:
        """The configuration that it belongs to."""
        return self.negotiation.connection

    @property
    def cookie(self) -> bytes:
        """This end's own cookie."""
        n = self.negotiation
        return n.cookie_i if n.initiator else n.cookie_r

    @property
    def established(self) -> bool:
        """Whether phase 1 is complete and the SA still there."""
        return self.state is State.ESTABLISHED

    @property
    def protects(self) -> bool:
        """Whether an Informational of this end would be encrypted now.

        Before Main Mode's fifth message the peer may have no keys, or none that are equal.
        """
        has_keys = self.negotiation.sa is not None
        return has_keys and (self.established or self.handshake.awaits_encrypted)

    def start(self, now: float, children: tuple[str, ...]) -> None:
        """Begin as initiator; the children are made once phase 1 is complete."""
        self._waiting += children
        self.negotiation.now = now
        self._send_step(self.handshake.start(), now)

    def add_child(self, name: str, now: float) -> None:
        """Make a pair of IPsec SAs, now or once phase 1 is complete."""
        if self.established:
            self.quick_modes.start(self.connection.child(name), now)
        elif name not in self._waiting:
            self._waiting.append(name)

    def take_waiting(self) -> tuple[str, ...]:
        """The children that wait for phase 1, which no longer do."""
        waiting = tuple(self._waiting)
        self._waiting.clear()
        return waiting

    def receive(self, message: Message, octets: bytes, arrived: Datagram, now: float) -> None:
        """Take a message for these cookies; raises `Ignored` where nothing is to be done."""
        match message.exchange:
            case ExchangeType.IDENTITY_PROTECTION | ExchangeType.AGGRESSIVE:
                self._receive_phase1(message, octets, arrived, now)
            case ExchangeType.QUICK_MODE:
                self.quick_modes.receive(message, octets, arrived, now)
            case ExchangeType.INFORMATIONAL:
                self._receive_informational(message, arrived, now)
            case _:
                raise Ignored(f"exchange type {message.exchange}, which is not supported")

    def _receive_phase1(
        self, message: Message, octets: bytes, arrived: Datagram, now: float
    ) -> None:
        if self._conversation.is_last(octets):
            self.repeat(self._conversation)
            return
        handshake, n = self.handshake, self.negotiation
        known = self._conversation.knows(octets)
        if known or self.state is not State.NEGOTIATING or message.exchange != handshake.exchange:
            raise Ignored("a phase 1 message that comes too late")
        next_iv = b""
        if is_encrypted(message):
            if n.sa is None:
                raise Ignored("an encrypted phase 1 message before there are keys")
            opened = n.sa.open(message, n.iv)
            message = Plain(message, n.path).forged(payloads=opened.payloads, encrypted=b"").message
            next_iv = opened.iv
        elif handshake.awaits_encrypted:
            raise Ignored("a phase 1 message in clear that must be encrypted")
        plain = self.opened(message, arrived)
        if plain is None:
            return
        before = (n.cookie_r, n.path)
        had_keys = n.sa is not None
        n.now = now
        n.path = Path(arrived.destination, arrived.source)
        if n.initiator and n.cookie_r == bytes(8):
            n.cookie_r = message.responder_spi
        try:
            step = handshake.receive(plain.payloads)
        except Ignored:
            n.cookie_r, n.path = before
            raise
        except Refusal as refusal:
            n.iv = next_iv or n.iv
            self.refuse(refusal, now)
            return
        # The keys, and with them the first IV, come of a message in clear.
        n.iv = next_iv or n.iv
        self.messages += 1
        self._conversation.received(octets)
        self.host.timers.cancel((self.cookie, "repeat"))
        if n.sa is not None and not had_keys:
            ka = n.sa.cipher_key
            self.host.emit(
                IsakmpKeysDerived(self.cookie, n.cookie_i, n.cookie_r, n.agreed, n.sa.keys, ka)
            )
        self._float()
        self._send_step(step, now)
        if step.done:
            self._establish(now)
            # strongSwan says INITIAL-CONTACT within the fifth message itself.
            if any(
                notify.notify_type == NotifyType.INITIAL_CONTACT
                for notify in every(plain.payloads, Notification)
            ):
                self.peer_has_no_other(now)

    def _float(self) -> None:
        """Go to port 4500 as initiator once a NAT is found (RFC 3947 4)."""
        n = self.negotiation
        if n.initiator and n.nat.present and n.path.local.port != NAT_PORT:
            n.path = n.path.on_port(NAT_PORT, NAT_PORT)

    def _send_step(self, step: Step, now: float) -> None:
        n = self.negotiation
        if step.payloads:
            flags = Flag.ENCRYPTION if step.encrypted else Flag(0)
            message = Message(
                VERSION_1, self.handshake.exchange, n.cookie_i, n.cookie_r, 0, flags, step.payloads
            )
            sent, iv = self.send(message, n.iv, None, now)
            if step.encrypted:
                n.iv = iv
            self._conversation.answered(sent)
        if self.handshake.repeats and not step.done:
            self.repeat_later(self._conversation, "repeat", now, self._time_out)

    def opened(self, message: Message, arrived: Datagram) -> Plain | None:
        """What the seam makes of a message in clear; raises `Ignored` for one that is forbidden."""
        for violation in payload_violations(message.payloads, major_version=1):
            raise Ignored(violation)
        path = Path(arrived.destination, arrived.source)
        return self.host.seam.receiving(Plain(message, path), arrived)

    def send(
        self, message: Message, iv: bytes, hash_of: HashOf | None, now: float
    ) -> tuple[Sent, bytes]:
        """Seal a message where its flag asks for that and send it; also the IV that follows.

        A message that the seam drops is sealed all the same, so that it can be repeated.
        """
        path = self.negotiation.path
        original = Plain(message, path)
        plain = self.host.seam.sending(original)
        kept = original if plain is None else plain
        sa = self.negotiation.sa
        if kept.protected and sa is not None:
            padding = self.connection.padding if kept.padding is None else kept.padding
            octets, next_iv = sa.seal(kept.message, iv, padding, self.host.draw, hash_of)
        else:
            octets, next_iv = encode(kept.message), iv
        sent = Sent(kept, octets)
        self.sealed_octets += len(octets)
        if plain is not None:
            self.host.transmit(sent, path)
        self.upkeep.check_amount(now)
        return sent, next_iv

    def repeat(self, conversation: Conversation) -> None:
        """Send again what was sent last in an exchange, if anything was."""
        if conversation.sent is not None:
            self.host.transmit(conversation.sent, self.negotiation.path)

    def repeat_later(
        self,
        conversation: Conversation,
        name: str | int,
        now: float,
        give_up: Callable[[float], None],
    ) -> None:
        """Repeat what was sent last until the timer `name` is cancelled, or `give_up` is called."""
        policy = self.connection.retransmission

        def due(then: float) -> None:
            if conversation.repetitions >= policy.tries:
                give_up(then)
                return
            conversation.repetitions += 1
            self.repeat(conversation)
            if conversation.sent is not None:
                message = conversation.sent.plain.message
                self.host.emit(
                    Retransmitted(
                        self.cookie, message.exchange, message.message_id, conversation.repetitions
                    )
                )
            wait = policy.wait(conversation.repetitions)
            self.host.timers.set((self.cookie, name), then + wait, due)

        self.host.timers.set((self.cookie, name), now + policy.wait(0), due)

    def _time_out(self, now: float) -> None:
        self.fail(Reason.TIMEOUT, None, "the peer did not answer", now)

    def _receive_informational(self, message: Message, arrived: Datagram, now: float) -> None:
        encrypted = is_encrypted(message)
        if encrypted and message.message_id == 0:
            raise Ignored("an encrypted Informational without a message id")
        if encrypted and message.message_id in self._spent_ids:
            raise Ignored("an Informational that was received before")
        payloads = informational.receive(self, message)
        if encrypted:
            self._spend(message.message_id)
            self.follow(Path(arrived.destination, arrived.source))
        clear = Plain(message, self.negotiation.path).forged(payloads=payloads, encrypted=b"")
        plain = self.opened(clear.message, arrived)
        if plain is not None:
            informational.handle(self, plain.payloads, encrypted, now)

    def _spend(self, message_id: int) -> None:
        if len(self._spent) == _SPENT:
            self._spent_ids.discard(self._spent[0])
        self._spent.append(message_id)
        self._spent_ids.add(message_id)

    def follow(self, path: Path) -> None:
        """Use the path of something authentic, where a NAT may have moved the peer."""
        if self.established and self.negotiation.nat.present and path != self.negotiation.path:
            self.negotiation.path = path
            self.host.emit(PathChanged(self.cookie, path))

    def new_message_id(self) -> int:
        """A message id of this SA that is in no use and not zero."""
        while True:
            found = int.from_bytes(self.host.draw(Purpose.MESSAGE_ID, 4), "big")
            if found and not self.quick_modes.knows(found):
                return found

    def peer_refused(self, notify: Notification, protected: bool, now: float) -> None:
        """Take an error notify.

        One in clear ends a negotiation only while nothing better can be had: before the keys.
        """
        if self.state is State.NEGOTIATING:
            if protected or not self.handshake.awaits_encrypted:
                detail = "the peer refused"
                self.fail(Reason.REFUSED, notify.notify_type, detail, now)
        elif protected:
            self.quick_modes.peer_refused(notify, now)

    def peer_has_no_other(self, now: float) -> None:
        """Take INITIAL-CONTACT."""
        if self.established:
            self.host.drop_others(self, now)

    def refuse(self, refusal: Refusal, now: float) -> None:
        """End a negotiation and say why."""
        if refusal.notify is not None:
            notify = informational.about_isakmp(refusal.notify, self.negotiation.cookies)
            informational.send(self, (notify,), now)
        self.fail(refusal.reason, refusal.notify, refusal.detail, now)

    def fail(self, reason: Reason, notify: int | None, detail: str, now: float) -> None:
        """End a negotiation without a word."""
        self.host.emit(
            Phase1Failed(
                self.cookie,
                self.connection.name,
                self.negotiation.initiator,
                reason,
                notify,
                detail,
            )
        )
        self._end(now, failed=True)

    def _establish(self, now: float) -> None:
        n = self.negotiation
        assert n.peer is not None
        self.state = State.ESTABLISHED
        self.established_at = now
        self.host.timers.cancel((self.cookie, "half-open"))
        self.host.emit(
            IsakmpSaEstablished(
                self.cookie, self.connection.name, n.initiator, n.cookie_i, n.cookie_r,
                n.peer, n.path, n.nat, n.agreed, self.replaces,
            )
        )  # fmt: skip
        first = self.host.is_first_contact(self)
        self.host.established(self)
        self.upkeep.begin(now)
        if first and self.connection.initial_contact:
            notify = informational.about_isakmp(NotifyType.INITIAL_CONTACT, n.cookies)
            informational.send(self, (notify,), now)
        for name in self.take_waiting():
            self.quick_modes.start(self.connection.child(name), now)

    def delete(self, reason: Reason, now: float) -> None:
        """End an established SA and tell the peer."""
        if self.established:
            delete = informational.delete_isakmp(self.negotiation.cookies)
            informational.send(self, (delete,), now)
        self.close(reason, now)

    def close(self, reason: Reason, now: float) -> None:
        """End it without a word; IPsec SAs stay."""
        if self.established:
            self.quick_modes.abandon(reason, now)
            self.host.emit(IsakmpSaClosed(self.cookie, reason))
            self._end(now, failed=False)
        elif self.state is State.NEGOTIATING:
            self.fail(reason, None, str(reason), now)

    def _end(self, now: float, *, failed: bool) -> None:
        self.state = State.CLOSED
        for name in ("repeat", "half-open", "expire", "rekey", "dpd", "keepalive"):
            self.host.timers.cancel((self.cookie, name))
        self.host.ended(self, now, failed=failed)
