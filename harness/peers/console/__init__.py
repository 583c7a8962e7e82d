# SPDX-License-Identifier: GPL-2.0-or-later
"""A router as a peer, reached by its console: over ssh, telnet, a serial line, or a descriptor."""

from harness.peers.console.box import ConsoleBox
from harness.peers.console.session import Session
from harness.peers.console.settings import Box, read_box
from harness.peers.console.verbs import SeilConsole

__all__ = ["Box", "ConsoleBox", "SeilConsole", "Session", "read_box"]
