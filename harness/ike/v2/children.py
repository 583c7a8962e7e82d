# SPDX-License-Identifier: GPL-2.0-or-later
"""CHILD_SAs coming into an IKE SA, taking over from one another, and leaving it."""

from __future__ import annotations

from harness.ike.chance import earlier
from harness.ike.v2.child_sa import ChildRecord, ChildSa, ChildState
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.events import ChildSaInstalled, ChildSaMoved, OutboundSwitched, Reason
from harness.ike.v2.ike_sa import IkeSa


def install(
    sa: IkeSa,
    child: ChildSa,
    config: ChildConfig,
    now: float,
    *,
    rekeyed: bytes | None = None,
    hold: bool = False,
) -> ChildRecord:
    """Take a new CHILD_SA in and report it."""
    record = ChildRecord(child, config, held=hold)
    rekey_after = None
    if config.rekey_after is not None:
        rekey_after = earlier(sa.host.draw, config.rekey_after, config.jitter)
        record.rekey_at = now + rekey_after
    if config.lifetime is not None:
        record.expires_at = now + config.lifetime
    sa.children.add(record)
    sa.host.take_child_spi(child.inbound_spi)
    sa.emit(ChildSaInstalled(sa.spi, child, rekeyed, hold, rekey_after, config.lifetime))
    return record


def switch_to(sa: IkeSa, inbound_spi: bytes | None) -> None:
    """Use the outbound half of a CHILD_SA that was held back."""
    record = None if inbound_spi is None else sa.children.inbound(inbound_spi)
    if record is not None and record.held and record.state is not ChildState.CLOSING:
        record.held = False
        sa.emit(OutboundSwitched(sa.spi, record.sa.inbound_spi))


def leave(sa: IkeSa, record: ChildRecord, reason: Reason) -> None:
    """Remove a CHILD_SA after whatever takes its place has taken over."""
    switch_to(sa, record.replacement)
    sa.remove_child(record, reason)


def move_all(old: IkeSa, new: IkeSa, now: float) -> None:
    """Give every CHILD_SA and waiting exchange of an IKE SA to the one that replaces it."""
    for record in old.children:
        old.children.remove(record)
        new.children.add(record)
        new.emit(ChildSaMoved(new.spi, record.sa.inbound_spi, old.spi))
    waiting = [*old.tasks]
    old.tasks.clear()
    new.delayed.extend(old.delayed)
    old.delayed.clear()
    for task in waiting:
        new.queue(task, now)
