# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts for messages of IKEv1; `harness.ike.script` says what they can do."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from harness.ike import script
from harness.ike.constants_v1 import Flag
from harness.ike.v1.seam import Plain

Script: TypeAlias = script.Script[Plain]
Change: TypeAlias = script.Change[Plain]


def in_clear(plain: Plain) -> Plain:
    """A change that leaves a message unencrypted and without a HASH."""
    return plain.forged(flags=plain.message.flags & ~Flag.ENCRYPTION)


def with_padding(padding: bytes) -> Change:
    """A change of what stands behind the payloads before they are encrypted."""
    return lambda plain: replace(plain, padding=padding)
