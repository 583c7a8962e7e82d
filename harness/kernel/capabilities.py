# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine's kernel can do for a lab, found out by trying."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

from harness.kernel.errors import XfrmError
from harness.kernel.probes import TRIES, Try

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC_PRIVATE = 0x4000 | 1 << 18


@dataclass(frozen=True)
class Capabilities:
    """For each capability None when it is there, else why not: the kernel's own sentence.

    Names: "esp", "ah", "ipcomp", "esn", "policy", "marks", "xfrm-interface", "udp-encapsulation",
    "af_key", "netem", "tun", "overlay", "nat", and the kernel's names of algorithms in ESP, such as
    "cbc(aes)".
    """

    reasons: Mapping[str, str | None]

    def missing(self, name: str) -> str | None:
        """Why a capability is missing, None when it is there; ValueError for an unknown one."""
        if name not in self.reasons:
            raise ValueError(f"there is no capability {name!r}, only {', '.join(self.reasons)}")
        return self.reasons[name]


def probe() -> Capabilities:
    """Try everything once in namespaces that are thrown away; nothing else on the host changes.

    Takes a fraction of a second. Without the right to make namespaces all is missing for that
    reason. A kernel that loads modules on demand loads those that the tries need.
    """
    # A thread has namespaces of its own as soon as it asks for them, and they end with it.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="probe") as thread:
        return thread.submit(_probe_here).result()


def _probe_here() -> Capabilities:
    try:
        _leave_the_host()
    except OSError as error:
        reason = f"namespaces cannot be made ({error.strerror}): run this as root"
        return Capabilities(MappingProxyType(dict.fromkeys(TRIES, reason)))
    return Capabilities(MappingProxyType(asyncio.run(_try_all())))


async def _try_all() -> dict[str, str | None]:
    return {name: await _refusal(attempt) for name, attempt in TRIES.items()}


async def _refusal(attempt: Try) -> str | None:
    try:
        await attempt()
    except XfrmError as error:
        return error.reason
    except OSError as error:
        reason = error.strerror or str(error)
        return f"{error.filename}: {reason}" if error.filename else reason
    return None


def _leave_the_host() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) < 0:
        raise _last_error()
    # What is mounted from now on stays in this thread's namespace.
    if libc.mount(None, b"/", None, MS_REC_PRIVATE, None) < 0:
        raise _last_error()


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
