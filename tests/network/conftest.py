# SPDX-License-Identifier: GPL-2.0-or-later
"""One loop and one spawner for all the tests of a process, as a session of the harness has."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.network.spawner import Spawner


@dataclass(frozen=True)
class Lab:
    runner: asyncio.Runner
    spawner: Spawner

    def run(self, body: Callable[[Spawner], Coroutine[Any, Any, None]]) -> None:
        self.runner.run(body(self.spawner))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with asyncio.Runner() as runner:
        spawner = runner.run(Spawner.start())
        yield Lab(runner, spawner)
        runner.run(spawner.close())


@pytest.fixture(scope="session")
def small_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with a shell and a few programs, and nothing else."""
    image = tmp_path_factory.mktemp("image")
    for name in ("sh", "cat", "rm", "mkdir", "ln", "stat", "ls", "head", "wc", "sleep"):
        program = Path(shutil.which(name, path="/usr/bin:/bin") or name).resolve()
        listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True)
        needed = [word for word in listed.stdout.split() if word.startswith("/")]
        copies = [(program, image / "bin" / name)]
        copies += [(Path(library), image / library.lstrip("/")) for library in needed]
        for source, copy in copies:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    for directory in ("var", "etc", "opt"):
        (image / directory).mkdir()
    return image
