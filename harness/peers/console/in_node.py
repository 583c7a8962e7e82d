# SPDX-License-Identifier: GPL-2.0-or-later
"""The console of an ikelabd in a node of the lab, on a terminal of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from harness.daemon.console.program import PROMPT
from harness.network.node import Node
from harness.peers.console.session import Session
from harness.peers.console.settings import Box, Serial
from harness.peers.console.verbs import SeilConsole

PROGRAM = "harness.daemon.console.program:main"
ANSWER_WITHIN = 60.0


@runtime_checkable
class HasConsole(Protocol):
    """A daemon at which somebody can type."""

    async def open_console(self) -> int:
        """A terminal at whose other end a console begins; the caller closes it."""
        ...


async def open_terminal(node: Node, control: str) -> int:
    """A terminal at whose other end the console of the node's ikelabd begins; the caller closes it.

    `control` is the daemon's control socket in the node. Raises CommandFailed.
    """
    ours, theirs = os.openpty()
    os.set_inheritable(ours, False)
    try:
        await node.spawn_function(
            PROGRAM, ["--control", control], stdin=theirs, stdout=theirs, stderr=theirs
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return ours


@contextmanager
def console_on(terminal: int, node: str) -> Iterator[SeilConsole]:
    """What can be typed on an open terminal, which is closed afterwards; raises `PeerError`."""
    box = Box(node, Serial(""), "", "", f"{PROMPT.rstrip()} ?", ANSWER_WITHIN)
    try:
        with Session.over(terminal, box) as session:
            yield SeilConsole(session)
    finally:
        os.close(terminal)
