# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated network: topologies, nodes, wires, faults and numbered traffic."""
