# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts for messages of IKEv2; `harness.ike.script` says what they can do."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from harness.ike import script
from harness.ike.v2.message import Plain

Script: TypeAlias = script.Script[Plain]
Change: TypeAlias = script.Change[Plain]


def in_clear(plain: Plain) -> Plain:
    """A change that leaves a message unencrypted."""
    return replace(plain, protected=False)
