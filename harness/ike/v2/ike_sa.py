# SPDX-License-Identifier: GPL-2.0-or-later
"""One IKE SA: its keys, windows, CHILD_SAs and the exchanges that wait for their turn.

What an exchange means is in its own module; this carries messages between them and the wire.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from harness.ike.address import Datagram, Path
from harness.ike.constants_v2 import ExchangeType, Flag, NotifyType
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Notify
from harness.ike.transforms import KeyExchange
from harness.ike.v2.child_sa import ChildRecord, ChildTable
from harness.ike.v2.collisions import Collision
from harness.ike.v2.connection import ChildConfig, Connection, Identity
from harness.ike.v2.envelope import Envelope
from harness.ike.v2.events import (
    ChildSaRemoved,
    Event,
    IkeKeysDerived,
    IkeSaClosed,
    InitiationFailed,
    NotifyReceived,
    PathChanged,
    Reason,
    Refused,
)
from harness.ike.v2.host import Answer, Host, Task
from harness.ike.v2.keys import KeySet
from harness.ike.v2.lineage import Lineage
from harness.ike.v2.message import Arrival, Plain, Sent
from harness.ike.v2.nat_detection import NatSituation
from harness.ike.v2.opening import Broken
from harness.ike.v2.times import Times
from harness.ike.v2.unfinished import Unfinished
from harness.ike.v2.window import RequestWindow, ResponseWindow
from harness.ike.wire import VERSION_2, Message

MOST_TASKS = 256
"""How many exchanges may wait; a caller that asks for more is told so."""


class IkeState(Enum):
    """Where an IKE SA is in its life."""

    CONNECTING = "connecting"
    HALF_OPEN = "half-open"
    ESTABLISHED = "established"
    REKEYED = "rekeyed"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(slots=True)
class Handshake:
    """What IKE_SA_INIT and IKE_INTERMEDIATE leave behind for IKE_AUTH."""

    request: bytes = b""
    response: bytes = b""
    peer_hashes: tuple[int, ...] = ()
    candidates: tuple[Connection, ...] = ()
    authorities: tuple[bytes, ...] = ()
    intermediate_i: bytes = b""
    intermediate_r: bytes = b""
    intermediates: int = 0
    additional: tuple[tuple[int, KeyExchange], ...] = ()


@dataclass(slots=True)
class Abilities:
    """What both ends said that they can do."""

    fragmentation: bool = False
    mobike: bool = False
    childless: bool = False
    intermediate: bool = False


class IkeSa:
    """An IKE SA of one end; `initiator` is whether this end began it (RFC 7296 2.2, 2.18).

    `original_initiator` is whether it began the first of those that were rekeyed into this one.
    """

    def __init__(
        self,
        host: Host,
        connection: Connection,
        path: Path,
        spi: bytes,
        *,
        initiator: bool,
        now: float,
        peer_spi: bytes = bytes(8),
    ) -> None:
        self.host = host
        self.connection = connection
        self.path = path
        self.spi = spi
        self.peer_spi = peer_spi
        self.initiator = initiator
        self.original_initiator = initiator
        self.state = IkeState.CONNECTING if initiator else IkeState.HALF_OPEN
        self.peer: Identity | None = None
        self.nat = NatSituation()
        self.seen_as: bytes | None = None
        self.abilities = Abilities()
        self.handshake: Handshake | None = Handshake()
        self.envelope = Envelope(host.draw)
        self.children = ChildTable()
        self.requests: RequestWindow[Task] = RequestWindow(host.settings.retransmission)
        self.responses = ResponseWindow()
        self.tasks: deque[Task] = deque()
        self.delayed: list[tuple[float, Task]] = []
        self.collision: Collision | None = None
        self.first_child: ChildConfig | None = None
        self.lineage = Lineage()
        self.followups: dict[bytes, Unfinished] = {}
        self.following: Task | None = None
        self.announced = False
        self.times = Times(heard=now, spoke=now)
        self.last_request: Sent | None = None

    @property
    def spi_i(self) -> bytes:
        """The original initiator's SPI."""
        return self.spi if self.initiator else self.peer_spi

    @property
    def spi_r(self) -> bytes:
        """The original responder's SPI."""
        return self.peer_spi if self.initiator else self.spi

    @property
    def keys(self) -> KeySet | None:
        """What messages are sealed with and CHILD_SAs are made of; None before IKE_SA_INIT."""
        return self.envelope.keys

    @property
    def alive(self) -> bool:
        """Whether new exchanges may begin in it."""
        return self.state is IkeState.ESTABLISHED

    @property
    def busy_with(self) -> Task | None:
        """The exchange of ours that is not finished; for an IKE_FOLLOWUP_KE what it is part of."""
        if self.following is not None:
            return self.following
        return self.requests.pending.task if self.requests.pending else None

    def emit(self, event: Event) -> None:
        """Report something."""
        self.host.emit(event)

    def use_keys(self, keys: KeySet) -> None:
        """Seal and open with these keys from now on, but for requests that were answered."""
        self.envelope.use(keys, initiator=self.initiator, until=self.responses.expected)
        self.emit(IkeKeysDerived(self.spi, self.spi_i, self.spi_r, keys.suite, keys.keys))

    def queue(self, task: Task, now: float, *, first: bool = False) -> None:
        """Begin an exchange once the window has room; it is abandoned where too many wait."""
        if self.state is IkeState.CLOSED or len(self.tasks) >= MOST_TASKS:
            task.abandon(self, Reason.REFUSED)
            return
        if first:
            self.tasks.appendleft(task)
        else:
            self.tasks.append(task)
        self.advance(now)

    def later(self, task: Task, at: float) -> None:
        """Queue an exchange at an instant."""
        self.delayed.append((at, task))
        self.host.touch(self)

    def advance(self, now: float) -> None:
        """Begin the next exchange that waits, where none is running."""
        while self.requests.pending is None and self.tasks and self.state is not IkeState.CLOSED:
            task = self.tasks.popleft()
            payloads = task.request(self, now)
            if payloads is not None:
                self._send_request(task, payloads, now)

    # Sending

    def _send_request(self, task: Task, payloads: tuple[Payload, ...], now: float) -> None:
        sent = self.send(task.exchange, self.requests.next_id, payloads, self.path, response=False)
        self.last_request = sent
        self.requests.sent(task, task.exchange, sent.messages, now)
        self.times.spoke = now
        self.host.touch(self)

    def send(
        self,
        exchange: int,
        message_id: int,
        payloads: tuple[Payload, ...],
        path: Path,
        *,
        response: bool,
    ) -> Sent:
        """Send a message outside of any window and say what went out."""
        flags = (Flag.INITIATOR if self.initiator else 0) | (Flag.RESPONSE if response else 0)
        message = Message(
            VERSION_2, exchange, self.spi_i, self.spi_r, message_id, int(flags), payloads
        )
        plain = Plain(message, protected=exchange != ExchangeType.IKE_SA_INIT)
        changed = self.host.seam.sending(plain)
        size = self.host.settings.fragment_size if self.abilities.fragmentation else 0
        messages = () if changed is None else self.envelope.seal(changed, size)
        self.host.transmit(changed or plain, messages, path)
        return Sent(changed or plain, messages)

    def reply(self, arrival: Arrival, answer: Answer) -> Sent:
        """Answer the request that is next, along the path that it came."""
        message = arrival.plain.message
        sent = self.send(
            message.exchange, message.message_id, answer.payloads, arrival.path, response=True
        )
        self.responses.answered(sent)
        if answer.then is not None:
            answer.then(sent)
        return sent

    def repeat_request(self) -> None:
        """Send the pending request again, along the path that is right by now."""
        pending = self.requests.pending
        if pending is not None and self.last_request is not None:
            self.host.transmit(self.last_request.plain, pending.messages, self.path)

    # Receiving

    def receive(self, message: Message, octets: bytes, arrived: Datagram, now: float) -> None:
        """Take a message that carries this SA's SPI."""
        path = Path(arrived.destination, arrived.source)
        response = bool(message.flags & Flag.RESPONSE)
        if response:
            if not self.requests.answers(message.message_id, message.exchange):
                return
        elif (
            not self.responses.is_next(message.message_id)
            and self.responses.repeated(message.message_id) is None
        ):
            self.emit(Refused(arrived.source, f"Message ID {message.message_id} is out of turn."))
            return
        arrival = self._opened(message, octets, path, arrived)
        if arrival is None:
            return
        self.times.heard = now
        if response:
            self._take_response(arrival, now)
        else:
            self._take_request(arrival, now)

    def _take_response(self, arrival: Arrival, now: float) -> None:
        if self.requests.pending is None:
            return
        task = self.requests.pending.task
        error = arrival.notify(NotifyType.INVALID_SYNTAX)
        self.requests.answered()
        self.envelope.forget_fragments(response=True)
        if error is not None and arrival.plain.protected:
            self.fail(Reason.INVALID_SYNTAX, now, NotifyType.INVALID_SYNTAX)
            task.abandon(self, Reason.INVALID_SYNTAX)
            return
        task.finish(self, arrival, now)
        self.advance(now)

    def _take_request(self, arrival: Arrival, now: float) -> None:
        repeated = self.responses.repeated(arrival.plain.message.message_id)
        if repeated is not None:
            self.host.transmit(repeated.plain, repeated.messages, arrival.path)
            return
        if self.state is IkeState.CLOSED:
            return
        self.envelope.forget_fragments(response=False)
        self.follow(arrival.path)
        scripted = self.host.seam.answering(arrival.plain)
        if scripted is not None:
            self.reply(arrival, Answer(tuple(scripted)))
            return
        answer = self.host.answer(self, arrival, now)
        if answer is not None:
            self.reply(arrival, answer)
            self.advance(now)

    def follow(self, path: Path) -> bool:
        """Follow a peer whose NAT gave it another address (RFC 7296 2.23), unless by MOBIKE.

        Returns whether the path is another one now.
        """
        moved = path.remote != self.path.remote
        if not moved or not self.announced or not self.nat.remote or self.abilities.mobike:
            return False
        self.path = path
        self.emit(PathChanged(self.spi, self.path, self.nat.present))
        return True

    def _opened(
        self, message: Message, octets: bytes, path: Path, arrived: Datagram
    ) -> Arrival | None:
        """The message in clear and through the seam; None where nothing can be made of it yet."""
        found = self.envelope.open(message, octets, path)
        if found is None:
            return None
        if isinstance(found, Broken):
            self.emit(Refused(arrived.source, found.why))
            if found.answer is not None and found.authentic:
                self._refuse(message, path, found.answer)
            return None
        plain = self.host.seam.receiving(found.plain, arrived)
        return None if plain is None else replace(found, plain=plain)

    def _refuse(self, message: Message, path: Path, notify: Notify) -> None:
        """Answer an authentic message that broke the rules; INVALID_SYNTAX is fatal (2.21.3)."""
        response = bool(message.flags & Flag.RESPONSE)
        if not response and self.responses.is_next(message.message_id):
            sent = self.send(message.exchange, message.message_id, (notify,), path, response=True)
            self.responses.answered(sent)
        if notify.notify_type == NotifyType.INVALID_SYNTAX and self.state is not IkeState.CLOSED:
            self.fail(Reason.INVALID_SYNTAX, self.times.heard, notify.notify_type)

    # Ending

    def fail(self, reason: Reason, now: float, notify: int | None = None, detail: str = "") -> None:
        """End this SA without a word to the peer, and say why."""
        if self.state in (IkeState.CONNECTING, IkeState.HALF_OPEN):
            self.emit(InitiationFailed(self.spi, self.connection.name, reason, notify, detail))
        self.close(reason, now)

    def close(self, reason: Reason, now: float) -> None:
        """End this SA; it stays a while to answer repeated requests, and then is forgotten."""
        if self.state is IkeState.CLOSED:
            return
        self.state = IkeState.CLOSED
        self.times.expires_at = now + self.host.settings.linger
        self.handshake = None
        for record in self.children:
            self.remove_child(record, Reason.IKE_SA_CLOSED)
        waiting = [*self.tasks, *(task for _, task in self.delayed)]
        pending = self.requests.pending
        if pending is not None and not pending.task.outlives:
            waiting.append(pending.task)
            self.requests.withdraw()
        self.tasks.clear()
        self.delayed.clear()
        self.followups.clear()
        self.host.touch(self)
        if self.announced:
            self.emit(IkeSaClosed(self.spi, reason))
        for task in waiting:
            task.abandon(self, reason)

    def remove_child(self, record: ChildRecord, reason: Reason) -> None:
        """Forget a CHILD_SA and report it; nothing happens where it is gone already."""
        if self.children.inbound(record.sa.inbound_spi) is record:
            self.children.remove(record)
            self.host.drop_child_spi(record.sa.inbound_spi)
            self.emit(ChildSaRemoved(self.spi, record.sa, reason))

    def report_notifies(self, arrival: Arrival, expected: frozenset[int]) -> None:
        """Report the notifies that the exchange at hand did not ask for."""
        for payload in arrival.payloads:
            if isinstance(payload, Notify) and payload.notify_type not in expected:
                self.emit(
                    NotifyReceived(
                        self.spi,
                        payload.notify_type,
                        payload.protocol,
                        payload.spi,
                        payload.data,
                    )
                )
