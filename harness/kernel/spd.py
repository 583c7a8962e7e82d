# SPDX-License-Identifier: GPL-2.0-or-later
"""The Security Policy Database of one kernel at one moment (RFC 4301 section 4.4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from harness.kernel.addresses import Network
from harness.kernel.policy import Policy
from harness.kernel.selector import Selector

SOCKET = "socket-"


class Spd:
    """A snapshot of the policies, immutable: iterable, sized, comparable, in one stable order.

    The order is by direction, priority and selector: in one direction the first that matches a
    packet is the one that the kernel takes, unless two of equal priority overlap.
    """

    __slots__ = ("_policies",)

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self._policies = tuple(sorted(policies, key=_order))

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def __contains__(self, policy: object) -> bool:
        return policy in self._policies

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spd) and self._policies == other._policies

    def __hash__(self) -> int:
        return hash(self._policies)

    def __repr__(self) -> str:
        return f"Spd({', '.join(str(policy) for policy in self._policies)})"

    def find(
        self, *, selector: Selector, direction: str, priority: int | None = None
    ) -> Policy | None:
        """The first policy of exactly that selector and direction, None when there is none."""
        for policy in self._policies:
            if (
                policy.selector == selector
                and policy.direction == direction
                and priority in (None, policy.priority)
            ):
                return policy
        return None

    def of(self, direction: str) -> tuple[Policy, ...]:
        """The policies of one direction, the most urgent first."""
        return tuple(policy for policy in self._policies if policy.direction == direction)

    def as_json(self) -> list[dict[str, Any]]:
        """The policies as plain values in the stable order."""
        return [policy.as_json() for policy in self._policies]


def _order(policy: Policy) -> tuple[object, ...]:
    selector = policy.selector
    mark = (policy.mark.value, policy.mark.mask) if policy.mark else (0, 0)
    return (
        policy.direction,
        policy.priority,
        selector.source.version,
        _network(selector.source),
        _network(selector.destination),
        selector.protocol,
        selector.source_port,
        selector.destination_port,
        policy.type,
        mark,
        policy.if_id or 0,
        policy.index,
    )


def _network(network: Network) -> tuple[int, int]:
    return int(network.network_address), network.prefixlen
