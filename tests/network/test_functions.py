# SPDX-License-Identifier: GPL-2.0-or-later
"""A function that runs in a node as a program, loaded once by the process that makes the nodes."""

import json
import os
from typing import Any

import pytest

from harness.network.errors import NetworkError
from harness.network.node import Node
from harness.network.process import Process
from harness.network.spawner import Spawner
from tests.network.conftest import Lab

MODULE = "tests.network.function_that_reports"


async def run(node: Node, function: str, *arguments: str, **more: Any) -> tuple[int, bytes, bytes]:
    """Status, output and errors of a function."""
    files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("output", "errors")]
    try:
        process: Process = await node.spawn_function(
            function, arguments, stdout=files[0], stderr=files[1], **more
        )
        status = await process.wait()
        for file in files:
            os.lseek(file, 0, os.SEEK_SET)
        return status, os.read(files[0], 65536), os.read(files[1], 65536)
    finally:
        for file in files:
            os.close(file)


def test_a_loaded_function_runs_as_a_program_of_its_own(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        await spawner.load([MODULE])
        node = await spawner.node("moon")
        kept = os.memfd_create("kept", os.MFD_CLOEXEC)
        try:
            status, output, _ = await run(
                node, f"{MODULE}:report", "one", "two", env={"COLOUR": "green"}, fds={9: kept}
            )
        finally:
            os.close(kept)
            await node.close()
        found = json.loads(output)
        environment = found.pop("environment")
        assert environment["COLOUR"] == "green"
        assert set(environment) == {"COLOUR", "HOME", "LANG", "PATH"}
        assert status == 7
        assert found == {
            "arguments": ["one", "two"],
            "low descriptors": [0, 1, 2, 9],
            "imports": "colorsys",
            "session leader": True,
            "SIGPIPE ignored": True,
            "SIGCHLD default": True,
            "name": "function_that_r",
        }

    lab.run(body)


def test_a_function_that_fails_says_where_and_returns_1(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        await spawner.load([MODULE])
        node = await spawner.node("moon")
        status, _, errors = await run(node, f"{MODULE}:fail", "key")
        assert (status, errors.splitlines()[-1]) == (1, b"LookupError: there is no key")
        await node.close()

    lab.run(body)


def test_a_module_that_cannot_be_loaded_is_one_sentence_and_nodes_are_made_all_the_same(
    lab: Lab,
) -> None:
    async def body(spawner: Spawner) -> None:
        missing = r"^the spawner could not load a module: ModuleNotFoundError: .*'no_such_module'$"
        with pytest.raises(NetworkError, match=missing):
            await spawner.load(["no_such_module"])
        await (await spawner.node("moon")).close()

    lab.run(body)
