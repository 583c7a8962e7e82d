# SPDX-License-Identifier: GPL-2.0-or-later
"""What follows IKE_SA_INIT at its initiator, and what being established means at either end."""

from __future__ import annotations

from harness.ike.v2.auth import AuthTask
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.intermediate import IntermediateTask
from harness.ike.v2.proof import handshake_of


def continue_as_initiator(sa: IkeSa, now: float) -> None:
    """Begin IKE_INTERMEDIATE for each additional key exchange, and IKE_AUTH after them."""
    handshake, keys = handshake_of(sa)
    handshake.additional = keys.suite.additional
    for kind, method in handshake.additional:
        sa.tasks.append(IntermediateTask(kind, method))
    sa.tasks.append(AuthTask())
    sa.advance(now)
