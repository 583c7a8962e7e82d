# SPDX-License-Identifier: GPL-2.0-or-later
"""A policy of the kernel's SPD (RFC 4301 section 4.4.1) and its templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.kernel.addresses import ANY, Address
from harness.kernel.lifetimes import NO_LIFETIMES, UNUSED, Lifetimes, Usage
from harness.kernel.numbers import NO_POLICY_FLAGS, PolicyFlag
from harness.kernel.sa import Mark
from harness.kernel.selector import Selector

EVERY_ALGORITHM = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Template:
    """One transformation that a policy asks for, of the SAs that it may use.

    Words as in an SA. `optional` is iproute2's "level use": inbound packets need not have had it.
    `spi` 0 and `reqid` 0 stand for any. Source and destination are those of a tunnel, unspecified
    in transport mode. The three masks say by PF_KEY number which algorithms an SA may have.
    Raises ValueError when the two addresses are not of one IP version.
    """

    source: Address = ANY
    destination: Address = ANY
    protocol: str = "esp"
    mode: str = "tunnel"
    reqid: int = 0
    spi: int = 0
    optional: bool = False
    share: str = "any"
    integrity_mask: int = EVERY_ALGORITHM
    encryption_mask: int = EVERY_ALGORITHM
    compression_mask: int = EVERY_ALGORITHM

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(
                f"a template from {self.source} to {self.destination} mixes IPv4 and IPv6"
            )

    def as_json(self) -> dict[str, Any]:
        """The template as plain values."""
        return {
            "source": str(self.source),
            "destination": str(self.destination),
            "protocol": self.protocol,
            "mode": self.mode,
            "reqid": self.reqid,
            "spi": self.spi,
            "optional": self.optional,
            "share": self.share,
            "integrity_mask": self.integrity_mask,
            "encryption_mask": self.encryption_mask,
            "compression_mask": self.compression_mask,
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to happen to traffic of a selector in one direction.

    `direction` is "in", "out" or "fwd", or "socket-in" and "socket-out" of a policy that belongs to
    one socket (as an IKE daemon's exemption of its own does). The lower `priority` counts first.
    `index` is the kernel's own number for the policy, 0 to let it choose. `action` is "allow" or
    "block", `type` "main" or "sub". `last_used` is in seconds of the epoch.
    """

    selector: Selector
    direction: str
    priority: int = 0
    index: int = 0
    action: str = "allow"
    templates: tuple[Template, ...] = ()
    lifetimes: Lifetimes = NO_LIFETIMES
    current: Usage = UNUSED
    mark: Mark | None = None
    if_id: int | None = None
    flags: PolicyFlag = NO_POLICY_FLAGS
    share: str = "any"
    type: str = "main"
    last_used: int | None = None

    def __str__(self) -> str:
        return f"policy {self.direction} {self.selector} priority {self.priority}"

    def as_json(self) -> dict[str, Any]:
        """The policy as plain values: addresses as text, flags as a list."""
        return {
            "selector": self.selector.as_json(),
            "direction": self.direction,
            "priority": self.priority,
            "index": self.index,
            "action": self.action,
            "templates": [template.as_json() for template in self.templates],
            "lifetimes": self.lifetimes.as_json(),
            "current": self.current.as_json(),
            "mark": None if self.mark is None else self.mark.as_json(),
            "if_id": self.if_id,
            "flags": [flag.name for flag in self.flags],
            "share": self.share,
            "type": self.type,
            "last_used": self.last_used,
        }
