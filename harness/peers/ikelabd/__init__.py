# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's own daemon as a peer: a process of its node, or scripted within the harness."""

from harness.peers.ikelabd.peer import Ikelabd

__all__ = ["Ikelabd"]
