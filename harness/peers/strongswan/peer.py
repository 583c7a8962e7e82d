# SPDX-License-Identifier: GPL-2.0-or-later
"""The strongSwan driver: starts a charon in a node and loads what it is to agree on."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.network.errors import CommandFailed
from harness.network.node import Node
from harness.network.process import Process
from harness.peers.connection import Certificate, PreSharedKey, Side
from harness.peers.contract import (
    Configuration,
    ConfigurationRefused,
    DataPlane,
    Listener,
    NativeFile,
    PeerError,
    Unsupported,
    keep_copy,
)
from harness.peers.strongswan.capabilities import check_data_plane, check_key_exchanges
from harness.peers.strongswan.charon import Charon
from harness.peers.strongswan.complaints import STARTER, SWANCTL, complaints
from harness.peers.strongswan.connections import (
    ipsec_conf,
    load_conn,
    load_shared,
    swanctl_conf,
)
from harness.peers.strongswan.settings import (
    VICI_SOCKET,
    charon_settings,
    settings_of,
    write_settings,
)
from harness.peers.strongswan.vici import Vici, ViciError

SETTINGS_FILE = "/etc/strongswan.conf"
CHARON = "/usr/lib/ipsec/charon"
STARTER_PROGRAM = "/usr/lib/ipsec/starter"
LOGS = ("charon.log", "charon-keys.log")
CONN = re.compile(r"^conn\s+(\S+)", re.MULTILINE)
START_DEADLINE = 30.0
"""Seconds of lab time within which a charon must answer and have its configuration."""
LOAD_INTERVAL = 0.01
"""Seconds between two looks at what starter has loaded; nothing announces it."""
DIED_INTERVAL = 0.2
"""Seconds between two looks whether starter has lost its charon; only its log tells."""


@dataclass(frozen=True)
class StrongSwan:
    """strongSwan from Debian, at the version of its image."""

    version: str
    image: str
    modules: tuple[str, ...] = ()
    negotiates: bool = True
    dialects: tuple[str, ...] = ("vici", "swanctl.conf", "ipsec.conf")
    data_planes: tuple[DataPlane, ...] = ("kernel", "userspace")

    @property
    def name(self) -> str:
        """``strongswan@6.0.1``."""
        return f"strongswan@{self.version}"

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> Charon:
        """Start charon in the node, load the configuration, return when it can negotiate."""
        if configuration.dialect not in self.dialects:
            raise Unsupported(
                f"{self.name} has no dialect {configuration.dialect!r}; "
                f"it has {', '.join(self.dialects)}"
            )
        side = configuration.side
        if side is not None:
            check_data_plane(self.name, side, configuration.data_plane)
        options = {**(settings_of(side) if side else {}), **configuration.options}
        settings = charon_settings(configuration.data_plane, options)
        files = configuration.files or _written(configuration)
        for file in (NativeFile(SETTINGS_FILE, write_settings(settings) + "\n"), *files):
            node.write(file.path, file.text, file.mode)
            keep_copy(file, logs)
        if configuration.dialect == "vici" and configuration.side is not None:
            over_vici = json.dumps(load_conn(configuration.side), indent=1) + "\n"
            keep_copy(NativeFile("/load-conn.json", over_vici), logs)
            if isinstance(configuration.side.authentication, PreSharedKey):
                shared = json.dumps(load_shared(configuration.side), indent=1) + "\n"
                keep_copy(NativeFile("/load-shared.json", shared), logs)
        program = (
            [STARTER_PROGRAM, "--nofork"] if configuration.dialect == "ipsec.conf" else [CHARON]
        )
        process = await _spawn(node, program, logs)
        vici = Vici(node.root / VICI_SOCKET.lstrip("/"))
        charon = Charon(node, process, vici, listener)
        try:
            await _until_answering(node, vici, process, files, logs)
            if side is not None:
                await check_key_exchanges(self.name, vici, side)
            await charon.watch()
            await self._load(node, configuration, vici, files, logs)
        except BaseException:
            await charon.crash()
            raise
        return charon

    async def _load(
        self,
        node: Node,
        configuration: Configuration,
        vici: Vici,
        files: Sequence[NativeFile],
        logs: Path,
    ) -> None:
        match configuration.dialect:
            case "vici" if configuration.side is not None:
                await _load_over_vici(vici, configuration.side)
            case "swanctl.conf":
                await _load_swanctl_conf(node, files)
            case "ipsec.conf":
                await _starter_has_loaded(vici, files, logs)


def _written(configuration: Configuration) -> tuple[NativeFile, ...]:
    """The files of the dialect, from the side."""
    if configuration.side is None:
        return ()
    writers = {"swanctl.conf": swanctl_conf, "ipsec.conf": ipsec_conf}
    writer = writers.get(configuration.dialect)
    return writer(configuration.side) if writer else ()


async def _spawn(node: Node, argv: list[str], logs: Path) -> Process:
    # Both logs are descriptors of the run's folder: they outlive the node and a killed harness.
    readable, keys = (
        os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        for name in LOGS
    )
    try:
        return await node.spawn(
            argv, env={"STRONGSWAN_CONF": SETTINGS_FILE}, stdout=readable, stderr=keys
        )
    finally:
        os.close(readable)
        os.close(keys)


async def _until_answering(
    node: Node, vici: Vici, process: Process, files: Sequence[NativeFile], logs: Path
) -> None:
    answering = asyncio.ensure_future(vici.answers())
    ended = asyncio.ensure_future(process.wait())
    died = asyncio.ensure_future(_died(logs))
    try:
        await asyncio.wait(
            (answering, ended, died), timeout=START_DEADLINE, return_when=asyncio.FIRST_COMPLETED
        )
        if answering.done():
            return
        _raise_complaint(files, logs)
        if ended.done():
            why = f"ended with {ended.result()}"
        else:
            why = "died" if died.done() else f"was silent for {START_DEADLINE:g} s"
        last = _written_by_daemon(logs).strip().splitlines()[-1:]
        raise PeerError(f"charon on {node.name} {why} instead of starting: {' '.join(last)}")
    finally:
        for task in (answering, ended, died):
            task.cancel()


async def _died(logs: Path) -> None:
    """Return when starter says that the charon under it has died; it would start it again."""
    while "charon has died" not in _written_by_daemon(logs):
        await asyncio.sleep(DIED_INTERVAL)


async def _load_over_vici(vici: Vici, side: Side) -> None:
    try:
        match side.authentication:
            case PreSharedKey():
                await vici.request("load-shared", load_shared(side))
            case Certificate(_, private_key, authority, intermediates):
                await vici.request("load-key", {"type": "any", "data": private_key})
                for text in intermediates:
                    await vici.request("load-cert", {"type": "X509", "flag": "NONE", "data": text})
                await vici.request("load-cert", {"type": "X509", "flag": "CA", "data": authority})
        await vici.request("load-conn", load_conn(side))
    except ViciError as error:
        raise ConfigurationRefused(f"charon refused connection {side.name!r}: {error}") from error


async def _load_swanctl_conf(node: Node, files: Sequence[NativeFile]) -> None:
    argv = ["/usr/sbin/swanctl", "--load-all", "--noprompt", "--uri", f"unix://{VICI_SOCKET}"]
    try:
        loaded = await node.run(argv, env={"STRONGSWAN_CONF": SETTINGS_FILE}, check=False)
    except CommandFailed as error:
        raise PeerError(str(error)) from error
    printed = (loaded.stderr + loaded.stdout).decode(errors="replace")
    wrong = complaints(printed, SWANCTL, files)
    if wrong or loaded.returncode:
        raise ConfigurationRefused(f"swanctl refused its configuration: {wrong or printed.strip()}")
    # A section that it does not know is passed over without a word.
    if "no connections found" in printed:
        names = ", ".join(file.path for file in files)
        raise ConfigurationRefused(f"swanctl found no connections in {names}")


async def _starter_has_loaded(vici: Vici, files: Sequence[NativeFile], logs: Path) -> None:
    """Return once charon has what starter gives it; raises `ConfigurationRefused`, `PeerError`."""
    wanted = {name for file in files for name in CONN.findall(file.text)} - {"%default"}
    try:
        async with asyncio.timeout(START_DEADLINE):
            while True:
                listed = await vici.stream("list-conns", "list-conn")
                # Looked at after the list: what is complained of was said before it was loaded.
                _raise_complaint(files, logs)
                wanted -= {name for message in listed for name in message}
                if not wanted:
                    return
                await asyncio.sleep(LOAD_INTERVAL)
    except TimeoutError:
        names = ", ".join(sorted(wanted))
        last = _written_by_daemon(logs).strip().splitlines()[-1:]
        raise PeerError(
            f"starter did not load {names} within {START_DEADLINE:g} s: {' '.join(last)}"
        ) from None


def _raise_complaint(files: Sequence[NativeFile], logs: Path) -> None:
    wrong = complaints(_written_by_daemon(logs), STARTER, files)
    if wrong:
        raise ConfigurationRefused(f"starter refused its configuration: {wrong}")


def _written_by_daemon(logs: Path) -> str:
    return "".join((logs / name).read_text(errors="replace") for name in LOGS)
