# SPDX-License-Identifier: GPL-2.0-or-later
"""What a console asks a router, and a daemon as such a router over its control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.daemon.status import Status
from harness.daemon.status_lines import read_status

PATIENCE = 30.0
"""Seconds within which a daemon must answer."""


class RouterRefused(Exception):
    """The router would not; a sentence a line."""


class DaemonGone(Exception):
    """The daemon does not answer; the text is one sentence."""


class Router(Protocol):
    """What there is behind a console."""

    def status(self) -> Status:
        """How things are now."""
        ...

    def load(self, text: str) -> None:
        """Use another configuration; raises `RouterRefused`."""
        ...

    def clear(self) -> None:
        """Delete every SA, with deletes to the peers; what starts by itself starts again."""
        ...


class Daemon:
    """An ikelabd; each question is a connection of its own, so that nothing is held."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def status(self) -> Status:
        """See Router."""
        return read_status(self._ask({"command": "status"})["status"])

    def load(self, text: str) -> None:
        """See Router."""
        self._ask({"command": "load", "dialect": "seil", "text": text})

    def clear(self) -> None:
        """See Router."""
        self._ask({"command": "clear"})

    def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(PATIENCE)
                sock.connect(str(self._control))
                sock.sendall(json.dumps(request).encode() + b"\n")
                with sock.makefile("rb") as answers:
                    line = answers.readline()
        except TimeoutError:
            raise DaemonGone(f"{self._control} gave no answer in {PATIENCE:g} s") from None
        except OSError as error:
            raise DaemonGone(f"{self._control} cannot be reached: {error.strerror}") from None
        if not line:
            raise DaemonGone(f"{self._control} was closed before it answered")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            raise RouterRefused(str(answer.get("error", "the daemon refused without a reason")))
        return answer
