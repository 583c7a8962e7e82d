# SPDX-License-Identifier: GPL-2.0-or-later
"""An exchange that a test makes up."""

from __future__ import annotations

from harness.ike.payload import Payload
from harness.ike.v2.events import Reason, ScriptedResponse
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.message import Arrival


class ScriptedTask:
    """A request with given payloads; its response is reported and changes nothing."""

    outlives = False

    def __init__(self, exchange: int, payloads: tuple[Payload, ...]) -> None:
        self.exchange = exchange
        self._payloads = payloads

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """The payloads that were given."""
        return self._payloads

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Report the payloads of the response."""
        sa.emit(ScriptedResponse(sa.spi, self.exchange, arrival.payloads))

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """That is reported as the end of the IKE SA."""
