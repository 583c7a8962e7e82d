# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ikelab clean` removes is what it says, and nothing that is in use."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.machine.cache import Cache, locate
from tests.cli.commands import command, ikelab
from tests.cli.test_interrupted import until

MB = 1_000_000


def fill(folder: Path, size: int = 3 * MB) -> None:
    (folder / "content").write_bytes(bytes(size))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Two entries of 3 MB, the environment, what a killed build and a killed run left."""
    cache = Cache(tmp_path / "cache")
    cache.obtain("image", "one", fill)
    cache.obtain("snapshot", "two", fill)
    half = cache.root / "image" / ".part-half"
    half.mkdir()
    fill(half, MB)
    (cache.root / "image" / ".lock-half").touch()
    for name in ("venv/bin", "runs/dead"):
        (cache.root / name).mkdir(parents=True)
        fill(cache.root / name, MB)
    return cache


def files(cache: Cache) -> set[str]:
    return {str(path.relative_to(cache.root)) for path in cache.root.rglob("content")}


def test_it_removes_what_it_says_and_keeps_the_environment(cache: Cache) -> None:
    done = ikelab("clean", IKELAB_CACHE=str(cache.root))
    assert done.returncode == 0, done.stdout
    assert done.stdout == f"{cache.root}: 8 MB removed\n"
    assert files(cache) == {"venv/bin/content"}
    again = ikelab("clean", IKELAB_CACHE=str(cache.root))
    assert again.stdout == f"{cache.root}: 0 MB removed\n"


def test_it_keeps_off_while_runs_are_under_way(cache: Cache) -> None:
    before = files(cache)
    held = cache.hold()
    done = ikelab("clean", IKELAB_CACHE=str(cache.root))
    assert done.returncode == 3
    assert done.stdout == (
        f"ikelab: Runs are under way that use the cache {cache.root}; "
        "wait for their end, or end them, and clean it then.\n"
    )
    assert files(cache) == before
    assert held > 0


def test_a_cache_that_is_not_there_is_clean(tmp_path: Path) -> None:
    done = ikelab("clean", IKELAB_CACHE=str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'none'}: 0 MB removed\n")
    assert not (tmp_path / "none").exists()


def test_the_caches_of_others_are_left_alone(cache: Cache, tmp_path: Path) -> None:
    before = files(cache)
    done = ikelab("clean", IKELAB_CACHE=str(tmp_path / "own"), IKELAB_CACHE_SHARED=str(cache.root))
    assert done.returncode == 0
    assert files(cache) == before


def test_a_run_that_is_under_way_keeps_its_cache(tmp_path: Path) -> None:
    own = {"IKELAB_CACHE": str(tmp_path / "cache"), "IKELAB_CACHE_SHARED": str(locate().root)}
    running = subprocess.Popen(
        command("run", "dpd-dead-peer", "--kernel", "host", "--out", tmp_path / "out"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **own},
    )
    try:
        started = "the daemons run"
        until(lambda: bool(list((tmp_path / "out").glob("*/sun/charon.log"))), started)
        done = ikelab("clean", **own)
    finally:
        running.kill()
        running.wait()
    assert done.returncode == 3
    assert "Runs are under way that use the cache" in done.stdout
    # A run that was killed holds nothing any more.
    assert ikelab("clean", **own).returncode == 0
