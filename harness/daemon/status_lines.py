# SPDX-License-Identifier: GPL-2.0-or-later
"""A status as plain values, for one line of JSON, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from harness.daemon.status import Interface, Ipsec, Isakmp, LogLine, Policy, Status


def plain_status(status: Status) -> dict[str, Any]:
    """The status as dicts, lists, strings and numbers."""
    return dataclasses.asdict(status)


def read_status(values: Mapping[str, Any]) -> Status:
    """The status again; raises KeyError or TypeError for anything else."""
    return Status(
        tuple(Isakmp(**one) for one in values["isakmp"]),
        tuple(Ipsec(**one) for one in values["ipsec"]),
        tuple(_policy(one) for one in values["policies"]),
        tuple(Interface(**{**one, "addresses": tuple(one["addresses"])})
              for one in values["interfaces"]),
        tuple(LogLine(**one) for one in values["log"]),
        values["now"],
    )  # fmt: skip


def _policy(values: Mapping[str, Any]) -> Policy:
    tunnel = values["tunnel"]
    return Policy(**{**values, "tunnel": tuple(tunnel) if tunnel else None})
