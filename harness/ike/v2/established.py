# SPDX-License-Identifier: GPL-2.0-or-later
"""What being authenticated changes in an IKE SA, at either end."""

from __future__ import annotations

from harness.ike.chance import earlier
from harness.ike.v2.connection import Identity
from harness.ike.v2.events import IkeSaEstablished, Reason
from harness.ike.v2.ike_sa import IkeSa, IkeState


def become_established(sa: IkeSa, now: float, rekeyed: bytes | None = None) -> None:
    """Report the IKE SA and let its timers begin; `peer` must be known."""
    if sa.peer is None:
        raise ValueError("an IKE SA is established once its peer is known; set `peer` first")
    sa.state = IkeState.ESTABLISHED
    sa.handshake = None
    sa.announced = True
    connection = sa.connection
    sa.times.expires_at = None if connection.lifetime is None else now + connection.lifetime
    if connection.rekey_after is not None:
        sa.times.rekey_at = now + earlier(sa.host.draw, connection.rekey_after, connection.jitter)
    if connection.reauthenticate_after is not None:
        # A rekeying proves nothing anew.
        old = None if rekeyed is None else sa.host.ike_sa(rekeyed)
        sa.times.reauthenticate_at = (
            now + earlier(sa.host.draw, connection.reauthenticate_after, connection.jitter)
            if old is None
            else old.times.reauthenticate_at
        )
    sa.emit(
        IkeSaEstablished(
            sa.spi,
            sa.connection.name,
            sa.initiator,
            sa.spi_i,
            sa.spi_r,
            sa.peer,
            sa.path,
            sa.nat,
            rekeyed,
        )
    )


def close_others(sa: IkeSa, peer: Identity, now: float) -> None:
    """End every other IKE SA with that peer, which says that it has none (INITIAL_CONTACT, 2.4)."""
    for other in sa.host.all_sas():
        same = other.peer == peer and other.connection.local_id == sa.connection.local_id
        if other is not sa and other.announced and same:
            other.close(Reason.INITIAL_CONTACT, now)
