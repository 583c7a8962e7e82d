# SPDX-License-Identifier: GPL-2.0-or-later
"""A new IKE SA from scratch in the place of one, whose ends so prove themselves anew (2.8.3).

The old one is closed once all that it carries has its like in the new one.
"""

from __future__ import annotations

from harness.ike.constants_v2 import ExchangeType
from harness.ike.payload import Payload
from harness.ike.v2.child_sa import ChildState
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.create_child import CreateChild
from harness.ike.v2.events import Reason
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.informational import DeleteIke
from harness.ike.v2.message import Arrival


class Takeover:
    """Closes the old IKE SA, after the exchanges that were queued before; has none of its own."""

    exchange = int(ExchangeType.INFORMATIONAL)
    outlives = False

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """Nothing in this IKE SA: it is the old one that ends."""
        old = replaced_by(sa)
        if old is not None:
            old.queue(DeleteIke(Reason.REAUTHENTICATED), now)
        return None

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """There was no request."""

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The old one stays."""


def take_over(sa: IkeSa, now: float, made: str | None) -> None:
    """Make what an old IKE SA carries, but for the CHILD_SA `made`, and then close that.

    Nothing happens where the IKE SA takes nobody's place.
    """
    old = replaced_by(sa)
    if old is None:
        return
    for config in carried(old):
        if config.name != made:
            sa.queue(CreateChild(config), now)
    sa.queue(Takeover(), now)


def replaced_by(sa: IkeSa) -> IkeSa | None:
    """The IKE SA whose place this one takes, while it is there."""
    old = None if sa.lineage.replaces is None else sa.host.ike_sa(sa.lineage.replaces)
    return old if old is not None and old.alive else None


def carried(sa: IkeSa) -> tuple[ChildConfig, ...]:
    """What an IKE SA carries, each child once."""
    found = {
        record.config.name: record.config
        for record in sa.children
        if record.state is ChildState.INSTALLED
    }
    return tuple(found.values())


def being_replaced(sa: IkeSa) -> bool:
    """Whether a new IKE SA is on its way to take the place of this one."""
    return any(
        other.lineage.replaces == sa.spi and other.state is not IkeState.CLOSED
        for other in sa.host.all_sas()
    )
