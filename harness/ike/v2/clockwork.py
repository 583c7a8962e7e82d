# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens in an IKE SA because time passes: repetitions, lifetimes, liveness."""

from __future__ import annotations

from harness.ike.address import IKE_PORT, Path
from harness.ike.v2.child_sa import ChildState
from harness.ike.v2.create_child import CreateChild
from harness.ike.v2.events import Reason, Retransmitted
from harness.ike.v2.host import Task
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.informational import DeleteChild, DeleteIke, LivenessTask
from harness.ike.v2.init import InitTask
from harness.ike.v2.mobility import AddressUpdate, MappingCheck
from harness.ike.v2.reauthentication import being_replaced, carried
from harness.ike.v2.rekey_ike import RekeyIke


def next_deadline(sa: IkeSa) -> float | None:
    """The instant at which `pass_time` has something to do, or None."""
    instants = [at for at, _ in sa.delayed]
    if sa.requests.pending is not None:
        instants.append(sa.requests.pending.due)
    if sa.times.expires_at is not None:
        instants.append(sa.times.expires_at)
    if sa.alive:
        if _keeps_alive(sa):
            instants.append(sa.times.spoke + sa.host.settings.keepalive)
        instants.extend(
            at for at in (sa.times.rekey_at, sa.times.reauthenticate_at) if at is not None
        )
        if sa.connection.dpd_after is not None and sa.requests.pending is None:
            instants.append(sa.times.heard + sa.connection.dpd_after)
        for record in sa.children:
            instants.extend(at for at in (record.rekey_at, record.expires_at) if at is not None)
    return min(instants, default=None)


def pass_time(sa: IkeSa, now: float) -> bool:
    """Do what is due; False where the IKE SA must be forgotten."""
    if sa.times.expires_at is not None and now >= sa.times.expires_at:
        if sa.state is IkeState.CLOSED:
            return False
        if sa.state in (IkeState.HALF_OPEN, IkeState.CONNECTING):
            sa.fail(Reason.TIMEOUT, now)
            return False
        sa.times.expires_at = None
        sa.queue(DeleteIke(Reason.EXPIRED), now)
    if sa.requests.due(now):
        _repeat(sa, now)
    for at, task in tuple(sa.delayed):
        if now >= at:
            sa.delayed.remove((at, task))
            sa.queue(task, now)
    if sa.alive:
        _lifetimes(sa, now)
        if _keeps_alive(sa) and now >= sa.times.spoke + sa.host.settings.keepalive:
            sa.times.spoke = now
            sa.host.keep_alive(sa.path)
    return True


def _keeps_alive(sa: IkeSa) -> bool:
    """Whether a NAT in front of this end would forget it (RFC 3948 4)."""
    return sa.announced and sa.nat.local and sa.host.settings.keepalive > 0


def _repeat(sa: IkeSa, now: float) -> None:
    pending = sa.requests.pending
    if pending is None:
        return
    if not sa.requests.repeat(now):
        task = pending.task
        sa.requests.withdraw()
        sa.fail(Reason.TIMEOUT, now)
        task.abandon(sa, Reason.TIMEOUT)
        return
    sa.emit(Retransmitted(sa.spi, pending.exchange, pending.message_id, pending.sent - 1))
    sa.repeat_request()


def _reauthenticate(sa: IkeSa, now: float) -> None:
    """Begin an IKE SA with the same peer as if there was none yet (RFC 7296 2.8.3)."""
    wanted = sa.connection.remote
    path = Path(
        sa.path.local.on_port(IKE_PORT),
        sa.path.remote.on_port(IKE_PORT if wanted is None else wanted.port),
    )
    new = IkeSa(sa.host, sa.connection, path, sa.host.new_ike_spi(), initiator=True, now=now)
    new.lineage.replaces = sa.spi
    new.first_child = next(iter(carried(sa)), None)
    sa.host.adopt(new)
    new.queue(InitTask(), now)
    sa.host.touch(new)


def _liveness_check(sa: IkeSa) -> Task:
    """What asks the peer whether it lives, and keeps it in step with a NAT in front of this end."""
    if not (sa.abilities.mobike and sa.original_initiator and sa.nat.local):
        return LivenessTask()
    # What IKE_SA_INIT said was of another port, or of the IKE SA before a rekeying.
    return AddressUpdate() if sa.seen_as is None else MappingCheck()


def _lifetimes(sa: IkeSa, now: float) -> None:
    for record in sa.children:
        if record.rekey_at is not None and now >= record.rekey_at:
            record.rekey_at = None
            sa.queue(CreateChild(record.config, record.sa.inbound_spi), now)
        if record.expires_at is not None and now >= record.expires_at:
            record.expires_at = None
            reason = Reason.REKEYED if record.state is ChildState.REKEYED else Reason.EXPIRED
            sa.queue(DeleteChild(record.sa.inbound_spi, reason), now)
    if sa.times.rekey_at is not None and now >= sa.times.rekey_at:
        sa.times.rekey_at = None
        sa.queue(RekeyIke(), now)
    if sa.times.reauthenticate_at is not None and now >= sa.times.reauthenticate_at:
        # Once more where it comes to nothing.
        sa.times.reauthenticate_at = now + sa.host.settings.half_open_lifetime
        if sa.original_initiator and not being_replaced(sa):
            _reauthenticate(sa, now)
    silence = sa.connection.dpd_after
    if silence is not None and sa.requests.pending is None and now >= sa.times.heard + silence:
        sa.queue(_liveness_check(sa), now)
