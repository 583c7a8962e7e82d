# SPDX-License-Identifier: GPL-2.0-or-later
"""What stood in the encrypted messages of a pair, as the receiving end opened them."""

from __future__ import annotations

from harness.ike.payload import Payload
from harness.ike.script import ALWAYS
from harness.ike.v1.seam import Plain
from tests.ike.v1.pair import End


class Transcript:
    """Every message that an end was about to send, in clear."""

    def __init__(self, end: End) -> None:
        self.plain: list[Plain] = []
        end.script.sent(times=ALWAYS).replace(self._note)

    def _note(self, plain: Plain) -> Plain:
        self.plain.append(plain)
        return plain

    def payloads(self, exchange: int) -> list[tuple[Payload, ...]]:
        return [one.payloads for one in self.plain if one.is_exchange(exchange)]
