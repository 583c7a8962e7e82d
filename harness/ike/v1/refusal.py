# SPDX-License-Identifier: GPL-2.0-or-later
"""The exceptions inside the engine; none of them leaves it."""

from __future__ import annotations

from harness.ike.constants_v1 import NotifyType
from harness.ike.v1.reasons import Reason


class Unacceptable(Exception):
    """Why one transform or attribute is not taken; others may be."""


class Ignored(Exception):
    """Why a message is dropped: it may be anybody's, so that it must not end an exchange."""


class Refusal(Exception):
    """Why an exchange ends here; `notify` is what the peer is told, None for nothing."""

    def __init__(self, reason: Reason, notify: NotifyType | None, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.notify = notify
        self.detail = detail
