# SPDX-License-Identifier: GPL-2.0-or-later
"""MOBIKE: an IKE SA and its CHILD_SAs go with an end to another address (RFC 4555).

It is the original initiator of an IKE SA that decides along which path it goes (RFC 4555 2.1). A
responder whose own address changes says so.
"""

from __future__ import annotations

from harness.ike.address import Address, Path
from harness.ike.chance import Purpose
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Notify
from harness.ike.v2.events import PathChanged, PeerAlive, Reason
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.message import Arrival
from harness.ike.v2.nat_detection import detection_notifies, situation

COOKIE2_SIZE = 16
"""Octets that nobody guesses; 8 to 64 are allowed (RFC 4555 4.2.5)."""

ADDRESS_LISTS = frozenset(
    {
        NotifyType.ADDITIONAL_IP4_ADDRESS,
        NotifyType.ADDITIONAL_IP6_ADDRESS,
        NotifyType.NO_ADDITIONAL_ADDRESSES,
    }
)
EXPECTED = ADDRESS_LISTS | {
    NotifyType.UPDATE_SA_ADDRESSES,
    NotifyType.COOKIE2,
    NotifyType.NO_NATS_ALLOWED,
    NotifyType.NAT_DETECTION_SOURCE_IP,
    NotifyType.NAT_DETECTION_DESTINATION_IP,
}
"""The notifies of an INFORMATIONAL request that are MOBIKE's business."""


class AddressUpdate:
    """Tells the peer along which path this end's SAs go now (RFC 4555 3.5)."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self) -> None:
        self._path: Path | None = None
        self._cookie = b""

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """UPDATE_SA_ADDRESSES, NAT detection and COOKIE2, along the path that is right by now."""
        self._path = sa.path
        self._cookie = sa.host.draw(Purpose.COOKIE, COOKIE2_SIZE)
        return (
            Notify(NotifyType.UPDATE_SA_ADDRESSES),
            *detection_notifies(sa.spi_i, sa.spi_r, sa.path),
            Notify(NotifyType.COOKIE2, self._cookie),
        )

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Put ESP into UDP, or take it out, where a NAT is or is no more on the new path."""
        if arrival.error is not None:
            sa.report_notifies(arrival, EXPECTED)
            return
        if not _returned(sa, arrival, self._cookie, now) or self._path != sa.path:
            # What was changed meanwhile has an update of its own.
            return
        before = sa.nat.present
        _note_nat(sa, arrival)
        if sa.nat.present != before:
            sa.emit(PathChanged(sa.spi, sa.path, sa.nat.present))

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The peer was not there."""


class MappingCheck:
    """A liveness check that finds out whether a NAT has mapped this end anew (RFC 4555 3.8)."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self) -> None:
        self._path: Path | None = None

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """NAT detection, which the peer answers with its own."""
        self._path = sa.path
        return detection_notifies(sa.spi_i, sa.spi_r, sa.path)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Report that the peer lives; update the SAs where it sees this end somewhere else."""
        sa.emit(PeerAlive(sa.spi))
        sa.report_notifies(arrival, EXPECTED)
        seen = arrival.notify(NotifyType.NAT_DETECTION_DESTINATION_IP)
        if seen is not None and seen.data != sa.seen_as and self._path == sa.path:
            sa.queue(AddressUpdate(), now)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """That is reported as the end of the IKE SA."""


class AddressList:
    """Tells the initiator where this end is, for it to update the SAs (RFC 4555 3.6)."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self) -> None:
        self._path: Path | None = None

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """NO_ADDITIONAL_ADDRESSES: there is none but the one that this comes from."""
        self._path = sa.path
        return (Notify(NotifyType.NO_ADDITIONAL_ADDRESSES),)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Use the address that the initiator knows now; not every one asks for an update."""
        if arrival.error is None and self._path == sa.path:
            sa.emit(PathChanged(sa.spi, sa.path, sa.nat.present))

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The initiator was not there."""


class ReturnRoutability:
    """Asks the peer whether it is where it says to be, before ESP goes there (RFC 4555 3.7)."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self) -> None:
        self._path: Path | None = None
        self._cookie = b""

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """COOKIE2, which only who gets it can return."""
        self._path = sa.path
        self._cookie = sa.host.draw(Purpose.COOKIE, COOKIE2_SIZE)
        return (Notify(NotifyType.COOKIE2, self._cookie),)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Report the new path, unless the peer has gone on from there."""
        if _returned(sa, arrival, self._cookie, now) and self._path == sa.path:
            sa.emit(PathChanged(sa.spi, sa.path, sa.nat.present))

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The peer was not there."""


def move(sa: IkeSa, local: Address, now: float, remote: Address | None = None) -> None:
    """Use another address of this end for an IKE SA; what waits for an answer goes there too."""
    path = Path(local, remote or sa.path.remote)
    if path == sa.path:
        return
    sa.path = path
    if sa.original_initiator:
        sa.emit(PathChanged(sa.spi, path, sa.nat.present))
        sa.queue(AddressUpdate(), now)
    else:
        sa.queue(AddressList(), now)


def answer_mobility(sa: IkeSa, arrival: Arrival, now: float) -> tuple[Payload, ...]:
    """What the notifies of MOBIKE in a request are answered with, after doing what they say."""
    answer: list[Payload] = []
    cookie = arrival.notify(NotifyType.COOKIE2)
    if cookie is not None:
        answer.append(Notify(NotifyType.COOKIE2, cookie.data))
    if not sa.abilities.mobike:
        return tuple(answer)
    decides = sa.original_initiator
    if not decides and arrival.notify(NotifyType.UPDATE_SA_ADDRESSES) is not None:
        answer.extend(_update(sa, arrival))
        return tuple(answer)
    if decides and _lists_addresses(arrival) and arrival.path.remote != sa.path.remote:
        move(sa, arrival.path.local, now, arrival.path.remote)
    if arrival.notify(NotifyType.NAT_DETECTION_SOURCE_IP) is not None:
        answer.extend(detection_notifies(sa.spi_i, sa.spi_r, arrival.path))
    return tuple(answer)


def _update(sa: IkeSa, arrival: Arrival) -> tuple[Payload, ...]:
    unchanged = arrival.notify(NotifyType.NO_NATS_ALLOWED)
    if unchanged is not None and unchanged.data != _addresses(arrival.path):
        return (Notify(NotifyType.UNEXPECTED_NAT_DETECTED),)
    sa.path = arrival.path
    _note_nat(sa, arrival)
    # It begins once the answer is out.
    sa.tasks.append(ReturnRoutability())
    return detection_notifies(sa.spi_i, sa.spi_r, arrival.path)


def _addresses(path: Path) -> bytes:
    """What NO_NATS_ALLOWED has of a message's headers (RFC 4555 4.2.6)."""
    ends = path.remote, path.local
    packed = b"".join(end.packed for end in ends)
    return packed + b"".join(end.port.to_bytes(2, "big") for end in ends)


def _lists_addresses(arrival: Arrival) -> bool:
    return any(arrival.notify(kind) is not None for kind in ADDRESS_LISTS)


def _returned(sa: IkeSa, arrival: Arrival, cookie: bytes, now: float) -> bool:
    """Whether the peer gave back what it was sent; where not, the IKE SA is closed (3.7)."""
    returned = arrival.notify(NotifyType.COOKIE2)
    if returned is not None and returned.data == cookie:
        return True
    sa.close(Reason.NOT_RETURNED, now)
    return False


def _note_nat(sa: IkeSa, arrival: Arrival) -> None:
    found = situation(arrival.payloads, sa.spi_i, sa.spi_r, arrival.path)
    if found.supported:
        sa.nat = found
    seen = arrival.notify(NotifyType.NAT_DETECTION_DESTINATION_IP)
    sa.seen_as = None if seen is None else seen.data
