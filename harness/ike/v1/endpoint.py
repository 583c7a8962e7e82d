# SPDX-License-Identifier: GPL-2.0-or-later
"""An IKEv1 endpoint: datagrams and commands in, datagrams and events out.

    endpoint = Endpoint(connections, from_randomness(os.urandom))
    endpoint.initiate("seil", "lan", now)
    endpoint.receive(datagram, source, now, destination)
    endpoint.timeout(now)                    # once `deadline()` has come
    for datagram in endpoint.datagrams(): ...
    for event in endpoint.events(): ...

`now` is any clock in seconds that does not go back. No datagram raises. Of what port 4500 carries
only IKE is for here: ESP and keepalives are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.ike.address import NAT_PORT, Address, Datagram, Path
from harness.ike.chance import Draw
from harness.ike.constants_v1 import ExchangeType, Flag
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.udp_encapsulation import Carried, unwrap
from harness.ike.v1 import informational
from harness.ike.v1.admission import admit
from harness.ike.v1.aggressive_mode import AggressiveMode
from harness.ike.v1.configuration import Connection, Limits
from harness.ike.v1.conversation import Sent
from harness.ike.v1.events import Event, Phase1Failed, Refused
from harness.ike.v1.hub import Hub
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.main_mode import MainMode
from harness.ike.v1.phase1 import Negotiation
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored, Refusal
from harness.ike.v1.seam import Plain, Seam, Transparent
from harness.ike.v1.session import Session
from harness.ike.violations import violations
from harness.ike.wire import VERSION_1, Message, decode, encode

_NO_COOKIE = bytes(8)
_PHASE1 = (ExchangeType.IDENTITY_PROTECTION, ExchangeType.AGGRESSIVE)


class Endpoint:
    """One end of any number of ISAKMP SAs."""

    def __init__(
        self,
        connections: Iterable[Connection],
        draw: Draw,
        *,
        seam: Seam | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.connections = tuple(connections)
        self._hub = Hub(draw, seam or Transparent(), limits or Limits())

    def receive(
        self, datagram: bytes, source: Address, now: float, destination: Address | None = None
    ) -> None:
        """Take a UDP payload from the wire.

        `destination` is the own address and port that it came to, by default those of the first
        connection.
        """
        arrived = Datagram(datagram, source, destination or self._own_address(source))
        octets = datagram
        if arrived.destination.port == NAT_PORT:
            carried, octets = unwrap(datagram)
            if carried is not Carried.IKE:
                return
        try:
            self._receive(octets, arrived, now)
        except (Malformed, Ignored) as why:
            self._hub.emit(Refused(source, str(why)))

    def datagrams(self) -> tuple[Datagram, ...]:
        """What is to be sent, in order; each is returned once."""
        found = tuple(self._hub.outbox)
        self._hub.outbox.clear()
        return found

    def events(self) -> tuple[Event, ...]:
        """What has happened, in order; each is returned once."""
        found = tuple(self._hub.reported)
        self._hub.reported.clear()
        return found

    def inject(self, datagram: Datagram) -> None:
        """Send a datagram as it stands; for scripts, which may have held or forged it."""
        self._hub.outbox.append(datagram)

    def deadline(self) -> float | None:
        """The instant at which `timeout` wants to be called, or None."""
        return self._hub.timers.deadline()

    def timeout(self, now: float) -> None:
        """Do what is due: repeat, rekey, ask for life signs, expire."""
        self._hub.timers.run(now)

    def sas(self) -> tuple[IpsecSa, ...]:
        """All IPsec SAs that are complete, in the order in which they were made."""
        return tuple(record.sa for record in self._hub.ipsec if not record.held)

    def isakmp_sas(self) -> tuple[bytes, ...]:
        """The cookies by which this endpoint names its established ISAKMP SAs."""
        return tuple(
            cookie for cookie, session in self._hub.sessions.items() if session.established
        )

    @property
    def half_open(self) -> int:
        """How many phase 1 negotiations are under way."""
        return sum(not session.established for session in self._hub.sessions.values())

    def initiate(
        self, connection: str, child: str | None, now: float, remote: Address | None = None
    ) -> None:
        """Make a pair of IPsec SAs, or only an ISAKMP SA where `child` is None.

        `remote` is needed where the connection takes any address. Raises LookupError for names
        that are not configured, ValueError where this end may not begin or knows no address.
        """
        wanted = self._connection(connection)
        children = () if child is None else (wanted.child(child).name,)
        address = remote or wanted.remote
        if wanted.responder_only:
            raise ValueError(f"connection {connection} is responder-only; let the peer initiate")
        if address is None:
            raise ValueError(f"connection {connection} has no remote address; give one")
        session = self._hub.of_connection(connection, established=True) or self._hub.of_connection(
            connection, established=False
        )
        if session is None:
            self._hub.begin(wanted, Path(wanted.local, address), children, now)
        elif child is not None:
            session.add_child(child, now)

    def rekey_child(self, inbound_spi: bytes, now: float) -> None:
        """Replace an IPsec SA now, whoever began it; raises LookupError.

        One that another has replaced already is left alone: what is watched in two places, a
        lifetime here and in the data plane, ends twice.
        """
        record = self._hub.ipsec.get(inbound_spi)
        if record is None:
            raise LookupError(f"there is no IPsec SA with the inbound SPI {inbound_spi.hex()}")
        if self._hub.ipsec.counts(record):
            path, name = record.sa.path, record.sa.name
            self._hub.make_child(record.connection, record.peer, path, name, now)

    def rekey_isakmp(self, isakmp: bytes, now: float) -> None:
        """Start a phase 1 that follows an ISAKMP SA; raises LookupError."""
        self._hub.rekey_isakmp(self._session(isakmp), now)

    def check_peer(self, isakmp: bytes, now: float) -> None:
        """Ask R-U-THERE now; raises LookupError."""
        self._session(isakmp).upkeep.ask_peer(now)

    def follow(self, inbound_spi: bytes, remote: Address) -> None:
        """Send to where the authentic ESP of an IPsec SA came from: its NAT mapped anew."""
        record = self._hub.ipsec.get(inbound_spi)
        session = None if record is None else self._hub.newest(record.sa.connection, record.peer)
        if session is not None:
            session.follow(Path(session.negotiation.path.local, remote))

    def delete_child(self, inbound_spi: bytes, now: float) -> None:
        """Delete an IPsec SA and tell the peer; raises LookupError."""
        record = self._hub.ipsec.get(inbound_spi)
        if record is None:
            raise LookupError(f"there is no IPsec SA with the inbound SPI {inbound_spi.hex()}")
        self._hub.delete_child(record, Reason.REQUESTED, now)

    def delete(self, isakmp: bytes, now: float) -> None:
        """Delete an ISAKMP SA and tell the peer; its IPsec SAs stay. Raises LookupError."""
        self._session(isakmp).delete(Reason.REQUESTED, now)

    def terminate(self, connection: str, now: float) -> None:
        """Delete all IPsec SAs of a connection and then its ISAKMP SAs; raises LookupError."""
        name = self._connection(connection).name
        for record in self._hub.ipsec:
            if record.sa.connection == name:
                self._hub.delete_child(record, Reason.REQUESTED, now)
        for session in tuple(self._hub.sessions.values()):
            if session.connection.name == name:
                session.delete(Reason.REQUESTED, now)

    def shut_down(self, now: float) -> None:
        """Delete everything, as a daemon does that stops."""
        for connection in self.connections:
            self.terminate(connection.name, now)

    def send(
        self,
        isakmp: bytes,
        exchange: int,
        payloads: tuple[Payload, ...],
        now: float,
        *,
        message_id: int | None = None,
        protected: bool = True,
    ) -> None:
        """Send the first message of any exchange, for a test; raises LookupError.

        `message_id` None takes a new one. What it leads to at this end is nothing: an answer is
        received as if it came unasked.
        """
        session = self._hub.sessions.get(isakmp)
        if session is None:
            raise LookupError(f"there is no ISAKMP SA with the own cookie {isakmp.hex()}")
        n = session.negotiation
        number = session.new_message_id() if message_id is None else message_id
        flags = Flag.ENCRYPTION if protected and n.sa is not None else Flag(0)
        message = Message(VERSION_1, exchange, n.cookie_i, n.cookie_r, number, flags, payloads)
        if n.sa is None or not protected:
            session.send(message, b"", None, now)
        else:
            iv = n.sa.first_iv(n.iv, number)
            session.send(message, iv, n.sa.informational_hash(number), now)

    def _receive(self, octets: bytes, arrived: Datagram, now: float) -> None:
        message = decode(octets)
        if message.major_version != 1:
            raise Ignored(f"major version {message.major_version}, not 1")
        for violation in violations(message):
            raise Ignored(violation)
        session = self._find(message, arrived)
        if session is not None:
            session.receive(message, octets, arrived, now)
        elif message.responder_spi == _NO_COOKIE and message.exchange in _PHASE1:
            self._answer_first(message, octets, arrived, now)
        else:
            raise Ignored("a message with cookies that are not known")

    def _find(self, message: Message, arrived: Datagram) -> Session | None:
        """The ISAKMP SA of these cookies; the responder's is not known to all messages."""
        sessions = self._hub.sessions
        cookie_i, cookie_r = message.initiator_spi, message.responder_spi
        own = sessions.get(cookie_i)
        if own is not None and own.negotiation.initiator:
            if cookie_r == _NO_COOKIE:
                raise Ignored("a message of this end, come back")
            if own.negotiation.cookie_r in (_NO_COOKIE, cookie_r):
                return own
        if cookie_r == _NO_COOKIE:
            return self._hub.firsts.get((cookie_i, arrived.source))
        found = sessions.get(cookie_r)
        if found is not None and found.negotiation.cookie_i == cookie_i:
            return None if found.negotiation.initiator else found
        return None

    def _answer_first(self, message: Message, octets: bytes, arrived: Datagram, now: float) -> None:
        """Begin as responder, or say NO-PROPOSAL-CHOSEN and keep nothing."""
        if message.flags & Flag.ENCRYPTION or message.message_id:
            raise Ignored("a first message that is encrypted or has a message id")
        if len(self._hub.sessions) >= self._hub.limits.isakmp_sas:
            raise Ignored("too many ISAKMP SAs to make another")
        path = Path(arrived.destination, arrived.source)
        cookie = self._hub.new_cookie()
        try:
            admission = admit(self.connections, path, message)
        except Refusal as refusal:
            self._refuse(message, cookie, path, refusal)
            return
        self._make_room(now)
        negotiation = Negotiation(
            admission.connection, False, message.initiator_spi, cookie, path, self._hub.draw, now
        )
        main = message.exchange == ExchangeType.IDENTITY_PROTECTION
        mode = MainMode if main else AggressiveMode
        session = Session(self._hub, mode(negotiation, admission.selection))
        self._hub.sessions[cookie] = session
        self._hub.strangers[cookie] = session
        session.first = (message.initiator_spi, arrived.source)
        self._hub.firsts[session.first] = session
        limit = self._hub.limits.half_open_time

        def give_up(then: float) -> None:
            session.fail(Reason.TIMEOUT, None, "the initiator did not go on", then)

        self._hub.timers.set((cookie, "half-open"), now + limit, give_up)
        try:
            session.receive(message, octets, arrived, now)
        except Ignored:
            session.close(Reason.INVALID_MESSAGE, now)
            raise

    def _make_room(self, now: float) -> None:
        """Give up the oldest negotiation of a stranger where there are too many.

        Somebody who goes on has shown that it receives at its address, and is not given up.
        """
        strangers = self._hub.strangers
        if len(strangers) < self._hub.limits.half_open:
            return
        idle = next((one for one in strangers.values() if one.messages <= 1), None)
        if idle is None:
            raise Ignored("too many negotiations are half open")
        idle.close(Reason.OVERLOADED, now)

    def _refuse(self, message: Message, cookie: bytes, path: Path, refusal: Refusal) -> None:
        """Answer a first message with an error in clear."""
        self._hub.emit(
            Phase1Failed(cookie, None, False, refusal.reason, refusal.notify, refusal.detail)
        )
        if refusal.notify is None:
            return
        cookies = message.initiator_spi + cookie
        notify = informational.about_isakmp(refusal.notify, cookies)
        number = int.from_bytes(cookie[:4], "big") or 1
        answer = Message(
            VERSION_1, ExchangeType.INFORMATIONAL, message.initiator_spi, cookie, number,
            0, (notify,),
        )  # fmt: skip
        plain = self._hub.seam.sending(Plain(answer, path))
        if plain is not None:
            self._hub.transmit(Sent(plain, encode(plain.message)), path)

    def _own_address(self, source: Address) -> Address:
        for connection in self.connections:
            if connection.remote is not None and connection.remote.host == source.host:
                return connection.local
        return self.connections[0].local if self.connections else source

    def _connection(self, name: str) -> Connection:
        for connection in self.connections:
            if connection.name == name:
                return connection
        known = ", ".join(connection.name for connection in self.connections) or "none"
        raise LookupError(f"there is no connection {name!r}; there is {known}")

    def _session(self, isakmp: bytes) -> Session:
        session = self._hub.sessions.get(isakmp)
        if session is None or not session.established:
            raise LookupError(f"there is no ISAKMP SA with the own cookie {isakmp.hex()}")
        return session
