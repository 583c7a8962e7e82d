# SPDX-License-Identifier: GPL-2.0-or-later
"""The ikelabd driver: writes its configuration and starts it in a node."""

from __future__ import annotations

import contextlib
import os
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import daemon
from harness.daemon.dialects import DIALECTS
from harness.network.node import Node
from harness.network.process import Process
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
from harness.peers.ikelabd.native import files_of
from harness.peers.ikelabd.process import CONTROL, ControlClient, IkelabdProcess

if TYPE_CHECKING:
    from harness.ike.chance import Draw
    from harness.ike.v1.seam import Seam as SeamV1
    from harness.ike.v2.seam import Seam
    from harness.peers.ikelabd.scripted import ScriptedIkelabd

READY, KEYS = 4, 5
"""Descriptors of the process: where it says that it is ready, and where its keys go."""
ENTRY = "harness.daemon.main:main"
LOG, ERRORS = "ikelabd.log", "ikelabd-errors.log"
REFUSED = 2
"""The exit status that says that the configuration cannot be used."""


@dataclass(frozen=True)
class Ikelabd:
    """ikelabd, from the same source as the harness."""

    name: str = "ikelabd"
    image: str = ""
    modules: tuple[str, ...] = tuple(
        found.name
        for found in pkgutil.walk_packages(daemon.__path__, f"{daemon.__name__}.")
        if not found.name.endswith("__main__")
    )
    negotiates: bool = True
    dialects: tuple[str, ...] = DIALECTS
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
        files = files_of(configuration)
        for file in files:
            node.write(file.path, file.text, file.mode)
            keep_copy(file, logs)
        process = await _spawn(node, files[0].path, configuration, logs)
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
    ) -> ScriptedIkelabd:
        """The same daemon within the harness, with a script for the messages of each IKE version.

        A `draw` gives its randomness, so that nonces and SPIs can be chosen.
        """
        from harness.daemon.running import Scripting
        from harness.peers.ikelabd.scripted import ScriptedIkelabd

        return ScriptedIkelabd(Scripting(seam, seam_v1, draw))


async def _spawn(node: Node, path: str, configuration: Configuration, logs: Path) -> Process:
    """The process, once it says that it is ready; raises `ConfigurationRefused`, `PeerError`."""
    ready, tell_ready = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ready, False)
    with contextlib.ExitStack() as given:
        # A descriptor: the folder of the run cannot be written by its path in the node.
        fds = {READY: tell_ready, KEYS: os.open(logs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}
        output, errors = (_log_file(logs / name) for name in (LOG, ERRORS))
        for descriptor in (*fds.values(), output, errors):
            given.callback(os.close, descriptor)
        ready_there = ("--ready-fd", str(READY))
        where = ("--config", path, "--control", CONTROL, "--keys", f"/proc/self/fd/{KEYS}")
        how = ("--dialect", configuration.dialect, "--data-plane", configuration.data_plane)
        try:
            process = await node.spawn_function(
                ENTRY, [*where, *how, *ready_there], stdout=output, stderr=errors, fds=fds
            )
        except BaseException:
            os.close(ready)
            raise
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


def _log_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
