# SPDX-License-Identifier: GPL-2.0-or-later
"""A router whose IKE is an engine with its peer, both in memory; and its control socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.daemon.configuration import ConfigurationError
from harness.daemon.console.router import RouterRefused
from harness.daemon.seil.dialect import read_seil
from harness.daemon.status import Status
from harness.daemon.status_lines import plain_status
from tests.daemon.test_history import Watched


class EngineRouter:
    """A router that negotiates as soon as it has a tunnel."""

    def __init__(self) -> None:
        self.watched: Watched | None = None

    def status(self) -> Status:
        return self.watched.history.status() if self.watched else Status()

    def load(self, text: str) -> None:
        try:
            configuration = read_seil(text, "console")
        except ConfigurationError as error:
            raise RouterRefused(str(error)) from None
        self.watched = None
        if configuration.v1:
            self.watched = Watched(text)
            if configuration.startup["ipsec0"] == "start":
                self.watched.begin().run()

    def clear(self) -> None:
        if self.watched:
            self.watched.pair.a.endpoint.shut_down(self.watched.pair.now)
            self.watched.run().begin().run()


@contextmanager
def control_socket(router: EngineRouter, path: Path) -> Iterator[Path]:
    """The socket that a console asks, answered from a thread."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        while True:
            try:
                asked, _ = listening.accept()
            except OSError:
                return
            with asked, asked.makefile("rb") as lines:
                line = lines.readline()
                if line:
                    asked.sendall(json.dumps(_answer(router, json.loads(line))).encode() + b"\n")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield path
    finally:
        # What waits in accept returns at a shutdown, not at a close.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def _answer(router: EngineRouter, request: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        match request["command"]:
            case "status":
                return {"ok": True, "status": plain_status(router.status())}
            case "load":
                router.load(request["text"])
            case "clear":
                router.clear()
    except RouterRefused as refused:
        return {"ok": False, "error": str(refused)}
    return {"ok": True}
