# SPDX-License-Identifier: GPL-2.0-or-later
"""The ikelabd driver: writes its configuration and starts it in a node."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.network.namespaces import Node, Process
from harness.network.waiting import readable
from harness.peers.contract import (
    Configuration,
    ConfigurationRefused,
    DataPlane,
    Listener,
    PeerError,
    Unsupported,
    keep_copy,
)
from harness.peers.ikelabd.native import CONFIGURATION, native_file
from harness.peers.ikelabd.process import ControlClient, IkelabdProcess

if TYPE_CHECKING:
    from harness.ike.v1.chance import Draw as DrawV1
    from harness.ike.v1.seam import Seam as SeamV1
    from harness.ike.v2.chance import Draw
    from harness.ike.v2.seam import Seam
    from harness.peers.ikelabd.scripted import ScriptedIkelabd

CONTROL = "/run/ikelabd.sock"
LOG, ERRORS = "ikelabd.log", "ikelabd-errors.log"
REFUSED = 2
"""The exit status that says that the configuration cannot be used."""


@dataclass(frozen=True)
class Ikelabd:
    """ikelabd, from the same source as the harness."""

    name: str = "ikelabd"
    image: str = ""
    negotiates: bool = True
    dialects: tuple[str, ...] = ("native",)
    data_planes: tuple[DataPlane, ...] = ("kernel", "userspace")

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> IkelabdProcess:
        """Start the daemon in the node and return when it can negotiate."""
        if configuration.dialect not in self.dialects:
            raise Unsupported(
                f"{self.name} has no dialect {configuration.dialect!r}; "
                f"it has {', '.join(self.dialects)}"
            )
        if configuration.options:
            named = ", ".join(configuration.options)
            raise Unsupported(f"{self.name} has no settings of another daemon: {named}")
        files = configuration.files or (native_file(configuration.side, configuration.data_plane),)
        for file in files:
            node.write(file.path, file.text, file.mode)
            keep_copy(file, logs)
        process = await _spawn(node, logs)
        control = ControlClient(node.root / CONTROL.lstrip("/"))
        daemon = IkelabdProcess(node, process, control)
        try:
            await daemon.watch(listener)
        except BaseException:
            await daemon.crash()
            raise
        return daemon

    def scripted(
        self,
        seam: Seam | None = None,
        *,
        seam_v1: SeamV1 | None = None,
        draw: Draw | None = None,
        draw_v1: DrawV1 | None = None,
    ) -> ScriptedIkelabd:
        """The same daemon within the harness, with a script for the messages of each IKE version.

        A `draw` gives its randomness, so that nonces and SPIs can be chosen.
        """
        from harness.daemon.running import Scripting
        from harness.peers.ikelabd.scripted import ScriptedIkelabd

        return ScriptedIkelabd(Scripting(seam, seam_v1, draw, draw_v1))


async def _spawn(node: Node, logs: Path) -> Process:
    """The process, once it says that it is ready; raises `ConfigurationRefused`, `PeerError`."""
    keys = os.open(logs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    output, errors = (_log_file(logs / name) for name in (LOG, ERRORS))
    ready, tell_ready = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ready, False)
    # The folder of the run cannot be reached by its path where the node's files are read-only.
    where = ("--config", CONFIGURATION, "--control", CONTROL, "--keys", "/proc/self/fd/5")
    try:
        process = await node.spawn(
            [*_interpreter(), "-m", "harness.daemon", *where, "--ready-fd", "4"],
            env={"PYTHONPATH": _search_path(), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=output,
            stderr=errors,
            fds={4: tell_ready, 5: keys},
        )
    except BaseException:
        os.close(ready)
        raise
    finally:
        for descriptor in (keys, output, errors, tell_ready):
            os.close(descriptor)
    try:
        await readable(ready)
        if os.read(ready, 64):
            return process
    finally:
        os.close(ready)
    status = await process.wait()
    said = (logs / ERRORS).read_text(errors="replace").strip()
    if status == REFUSED:
        raise ConfigurationRefused(f"ikelabd refused its configuration: {said}")
    last = said.splitlines()[-1:]
    raise PeerError(f"ikelabd on {node.name} ended with {status}: {' '.join(last)}")


def _interpreter() -> Sequence[str]:
    # Without the site module: all that it would find is in the search path already.
    return (sys.executable, "-s", "-S", "-P")


def _search_path() -> str:
    return os.pathsep.join(entry for entry in sys.path if entry)


def _log_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
