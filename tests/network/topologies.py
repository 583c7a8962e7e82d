# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest topology, for tests of what a wire does."""

from harness.network.topology import NodeSpec, Topology, Wire, interface

PAIR = Topology(
    "pair",
    (NodeSpec("left"), NodeSpec("right")),
    (
        Wire(
            "wire",
            (
                interface("left", "eth0", "10.0.0.1/24", "fd00::1/64"),
                interface("right", "eth0", "10.0.0.2/24", "fd00::2/64"),
            ),
        ),
    ),
)
