# SPDX-License-Identifier: GPL-2.0-or-later
"""INFORMATIONAL: deletes, liveness and notifies (RFC 7296 1.4, 2.4)."""

from __future__ import annotations

from harness.ike.constants_v2 import ExchangeType, NotifyType, ProtocolId
from harness.ike.payload import Payload, every
from harness.ike.payloads_v2 import Delete, Notify
from harness.ike.v2.child_sa import ChildRecord, ChildState
from harness.ike.v2.children import leave
from harness.ike.v2.events import PeerAlive, Reason
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.message import Arrival
from harness.ike.v2.mobility import EXPECTED, answer_mobility


class DeleteChild:
    """Closes one CHILD_SA at both ends."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self, inbound_spi: bytes, reason: Reason = Reason.REQUESTED) -> None:
        self.inbound_spi = inbound_spi
        self.reason = reason
        self._always = False

    @classmethod
    def unwanted(cls, inbound_spi: bytes) -> DeleteChild:
        """A delete for a CHILD_SA that only the peer has."""
        task = cls(inbound_spi)
        task._always = True
        return task

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """D with the SPI that this end receives on; None where the SA is gone."""
        record = sa.children.inbound(self.inbound_spi)
        if record is None and not self._always:
            return None
        if record is not None:
            record.state = ChildState.CLOSING
        return (Delete(ProtocolId.ESP, (self.inbound_spi,)),)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Forget the CHILD_SA, whatever SPI the peer answers with: it was told not to use it."""
        record = sa.children.inbound(self.inbound_spi)
        if record is not None:
            leave(sa, record, self.reason)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The IKE SA removes its CHILD_SAs itself."""


class DeleteIke:
    """Closes the IKE SA at both ends."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self, reason: Reason = Reason.REQUESTED) -> None:
        self.reason = reason

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """D for the IKE SA, which has no SPI (RFC 7296 3.11)."""
        sa.state = IkeState.CLOSING
        return (Delete(ProtocolId.IKE),)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Forget the IKE SA."""
        sa.close(self.reason, now)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """It is gone already."""


class FarewellTask:
    """Tells the peer of an error that ends the IKE SA, and ends it."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self, notify: int, detail: str = "") -> None:
        self._notify = notify
        self._detail = detail

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """N with the error."""
        return (Notify(self._notify),)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """End the IKE SA."""
        sa.fail(Reason.AUTHENTICATION_FAILED, now, detail=self._detail)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The IKE SA ended all the same."""


class LivenessTask:
    """An empty INFORMATIONAL, which a living peer answers (RFC 7296 2.4)."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def __init__(self, payloads: tuple[Payload, ...] = ()) -> None:
        self._payloads = payloads

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """Nothing, or the notifies that the caller gave."""
        return self._payloads

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Report that the peer lives, and what it said."""
        sa.emit(PeerAlive(sa.spi))
        sa.report_notifies(arrival, frozenset())

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """That is reported as the end of the IKE SA."""


def answer_informational(sa: IkeSa, arrival: Arrival, now: float) -> tuple[Payload, ...]:
    """What an INFORMATIONAL request is answered with, after doing what it says."""
    answer: list[Payload] = []
    sa.report_notifies(arrival, EXPECTED)
    if sa.state in (IkeState.HALF_OPEN, IkeState.CONNECTING):
        return ()
    failed = arrival.notify(NotifyType.AUTHENTICATION_FAILED)
    if failed is not None:
        sa.close(Reason.AUTHENTICATION_FAILED, now)
        return ()
    answer.extend(answer_mobility(sa, arrival, now))
    closed: list[bytes] = []
    for delete in every(arrival.payloads, Delete):
        if delete.protocol == ProtocolId.ESP:
            for spi in delete.spis:
                closed.extend(_close_child(sa, spi))
    if closed:
        answer.append(Delete(ProtocolId.ESP, tuple(closed)))
    return tuple(answer)


def deletes_ike_sa(arrival: Arrival) -> bool:
    """Whether the request closes the IKE SA."""
    return any(each.protocol == ProtocolId.IKE for each in every(arrival.payloads, Delete))


def _close_child(sa: IkeSa, spi: bytes) -> tuple[bytes, ...]:
    """Forget a CHILD_SA that the peer closes; its inbound SPI unless both close it (1.4.1)."""
    record = sa.children.outbound(spi)
    if record is None:
        if sa.busy_with is not None and sa.busy_with.exchange == ExchangeType.CREATE_CHILD_SA:
            sa.children.note_early_delete(spi)
        return ()
    crossed = record.state is ChildState.CLOSING and _being_deleted(sa, record)
    reason = Reason.REKEYED if record.replacement is not None else Reason.DELETED_BY_PEER
    leave(sa, record, reason)
    return () if crossed else (record.sa.inbound_spi,)


def _being_deleted(sa: IkeSa, record: ChildRecord) -> bool:
    task = sa.busy_with
    return isinstance(task, DeleteChild) and task.inbound_spi == record.sa.inbound_spi
