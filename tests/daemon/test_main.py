# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd as a program: its exit statuses, its signals, two of them on a cable."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

import pytest

from harness.peers.ikelabd.process import ControlClient
from tests.daemon.services import WITHIN, toml
from tests.kernel.conftest import gateways
from tests.kernel.namespaces import Namespace, new_namespace

__all__ = ["gateways"]

PROGRAM = [sys.executable, "-m", "harness.daemon"]

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make namespaces; run the tests as root"
)


def run_to_its_end(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_configuration_that_can_be_used_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "moon.toml"
    path.write_text(toml("moon"))
    done = run_to_its_end("--config", str(path), "--check")
    assert done.returncode == 0
    assert done.stdout.endswith("moon.toml can be used\n")


def test_a_mistake_in_the_configuration_is_2_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "moon.toml"
    path.write_text(toml("moon", more="dpdd = 3"))
    done = run_to_its_end("--config", str(path))
    assert done.returncode == 2
    assert f"{path}:13: connection.gw.dpdd: is no key of this table" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_usage_error_is_2() -> None:
    done = run_to_its_end("--confg", "x")
    assert done.returncode == 2
    assert "--config" in done.stderr


@needs_root
def test_a_port_that_is_taken_is_3_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "moon.toml"
    path.write_text(toml("moon"))
    with (
        new_namespace() as namespace,
        namespace.entered(),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.bind(("0.0.0.0", 500))
        done = run_to_its_end("--config", str(path))
    assert done.returncode == 3
    assert done.stderr == (
        "ikelabd: UDP port 500 of 0.0.0.0 is in use: end the other IKE daemon first\n"
    )


class Running:
    """A daemon in a namespace."""

    def __init__(self, name: str, namespace: Namespace, folder: Path) -> None:
        self.config = folder / f"{name}.toml"
        self.keys = folder / name
        self.socket = folder / f"{name}.sock"
        self.log: IO[bytes] = (folder / f"{name}.log").open("wb")
        self.config.write_text(toml(name))
        ready, tell = os.pipe()
        arguments = [
            *("--config", self.config, "--control", self.socket, "--keys", self.keys),
            *("--data-plane", "userspace", "--ready-fd", str(tell)),
        ]
        with namespace.entered():
            self.process = subprocess.Popen(
                [*PROGRAM, *map(str, arguments)],
                stdout=self.log,
                stderr=self.log,
                pass_fds=[tell],
            )
        os.close(tell)
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.readline() == b"ready\n", (folder / f"{name}.log").read_text()
        self.control = ControlClient(self.socket)

    async def ended(self) -> int:
        async with asyncio.timeout(WITHIN):
            return await asyncio.to_thread(self.process.wait)

    async def until_told(self, event: str, lines: asyncio.StreamReader) -> Any:
        async with asyncio.timeout(WITHIN):
            while (told := json.loads(await lines.readline())).get("event") != event:
                pass
        return told

    def said(self) -> str:
        return Path(self.log.name).read_text()


@contextlib.asynccontextmanager
async def pair(
    gateways: tuple[Namespace, Namespace], folder: Path
) -> AsyncIterator[tuple[Running, Running]]:
    started: list[Running] = []
    try:
        for name, namespace in zip(("moon", "sun"), gateways, strict=True):
            started.append(Running(name, namespace, folder))
        yield started[0], started[1]
    finally:
        for one in started:
            one.process.kill()
            one.process.wait()
            one.log.close()


@needs_root
def test_sighup_reads_the_configuration_again_and_keeps_what_is_the_same(
    tmp_path: Path, gateways: tuple[Namespace, Namespace]
) -> None:
    async def body() -> None:
        async with pair(gateways, tmp_path) as (moon, _):
            _, reader, writer = await moon.control.subscribe()
            made = await moon.control.ask("initiate", child="net", within=WITHIN)
            moon.config.write_text(toml("moon").replace('start = "none"', 'start = "route"'))
            moon.process.send_signal(signal.SIGHUP)
            await moon.until_told("reconfigured", reader)
            listed = await moon.control.ask("list-sas")
            assert [ike["children"] for ike in listed["sas"]] == [[made["child"]]]
            moon.config.write_text("nonsense")
            moon.process.send_signal(signal.SIGHUP)
            refusal = await moon.until_told("trouble", reader)
            assert "the configuration stays as it was: " in refusal["text"]
            assert "moon.toml:1: is no TOML" in refusal["text"]
            assert (await moon.control.ask("list-sas")) == listed
            writer.close()

    asyncio.run(body())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@needs_root
def test_a_signal_ends_it_with_deletes_and_status_0(
    tmp_path: Path, gateways: tuple[Namespace, Namespace], number: int
) -> None:
    async def body() -> None:
        async with pair(gateways, tmp_path) as (moon, sun):
            _, reader, writer = await sun.control.subscribe()
            await moon.control.ask("initiate", child="net", within=WITHIN)
            moon.process.send_signal(number)
            assert await moon.ended() == 0
            await sun.until_told("ike-down", reader)
            assert (await sun.control.ask("list-sas"))["sas"] == []
            assert not moon.socket.exists()
            assert "known to both" not in moon.said()
            assert (moon.keys / "ikev2_decryption_table").stat().st_size > 0
            writer.close()

    asyncio.run(body())
