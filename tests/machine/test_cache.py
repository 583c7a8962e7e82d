# SPDX-License-Identifier: GPL-2.0-or-later
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.machine.cache import IDLE_BEFORE_PRUNE_S, Cache, locate
from harness.machine.errors import MachineError

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def write(folder: Path) -> None:
    (folder / "content").write_text("whole")


def start(program: str, cache: Path, **extra: object) -> subprocess.Popen[str]:
    head = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "from harness.machine.cache import Cache\n"
        f"cache = Cache(Path({str(cache)!r}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", head + program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **extra,  # type: ignore[call-overload]
    )


def lines(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_an_entry_is_built_once_and_found_afterwards(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = cache.obtain("kind", "key", write)

    def fail(folder: Path) -> None:
        raise AssertionError("built a second time")

    assert cache.obtain("kind", "key", fail) == first
    assert (first / "content").read_text() == "whole"


def test_a_build_that_fails_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.obtain("kind", "key", fail)
    assert cache.find("kind", "key") is None
    assert [path.name for path in (tmp_path / "kind").iterdir()] == [".lock-key"]
    assert cache.obtain("kind", "key", write).is_dir()


def test_what_a_killed_builder_left_is_not_used_and_is_replaced(tmp_path: Path) -> None:
    builder = start(
        "def build(folder):\n"
        "    (folder / 'half').write_text('x')\n"
        "    print('half', flush=True)\n"
        "    sys.stdin.read()\n"
        "cache.obtain('kind', 'key', build)\n",
        tmp_path,
    )
    assert lines(builder) == "half"
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    cache = Cache(tmp_path)
    assert (tmp_path / "kind" / ".part-key" / "half").exists()
    assert cache.find("kind", "key") is None
    path = cache.obtain("kind", "key", write)
    assert sorted(item.name for item in path.iterdir()) == ["content"]
    assert not (tmp_path / "kind" / ".part-key").exists()


def test_one_process_builds_while_the_others_wait_and_say_so(tmp_path: Path) -> None:
    builder = start(
        "def build(folder):\n"
        "    print('building', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    (folder / 'by').write_text('first')\n"
        "cache.obtain('kind', 'key', build)\n",
        tmp_path,
    )
    assert lines(builder) == "building"
    waiter = start(
        "def build(folder):\n"
        "    (folder / 'by').write_text('second')\n"
        "def progress(step, state, seconds):\n"
        "    print(step, state, flush=True)\n"
        "path = cache.obtain('kind', 'key', build, step='the thing', progress=progress)\n"
        "print((path / 'by').read_text(), flush=True)\n",
        tmp_path,
    )
    assert lines(waiter) == "the thing waiting"
    builder.communicate("go\n")
    assert lines(waiter) == "the thing done"
    assert lines(waiter) == "first"
    waiter.communicate()


def test_an_entry_of_a_shared_cache_is_used_and_nothing_is_written_there(tmp_path: Path) -> None:
    theirs = Cache(tmp_path / "theirs")
    path = theirs.obtain("kind", "key", write)
    before = sorted(str(item) for item in (tmp_path / "theirs").rglob("*"))
    own = Cache(tmp_path / "own", shared=(tmp_path / "theirs",))
    assert own.obtain("kind", "key", write) == path
    assert own.obtain("kind", "other", write) == tmp_path / "own/kind/other"
    assert sorted(str(item) for item in (tmp_path / "theirs").rglob("*")) == before


def test_a_run_folder_is_private_and_goes_away(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.run_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_folder_of_a_killed_run_is_removed_by_the_next_and_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    program = (
        "with cache.run_folder() as folder:\n    print(folder, flush=True)\n    sys.stdin.read()"
    )
    dead, alive = start(program, tmp_path), start(program, tmp_path)
    left, kept = Path(lines(dead)), Path(lines(alive))
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert left.is_dir()
    with Cache(tmp_path).run_folder():
        assert not left.exists()
        assert kept.is_dir()
    alive.communicate("")


def test_clean_removes_everything_but_what_the_living_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.obtain("kind", "key", write)
    builder = start(
        "def build(folder):\n    print('on', flush=True)\n    sys.stdin.read()\n"
        "    (folder / 'content').write_text('x')\n"
        "print(cache.obtain('kind', 'slow', build).is_dir())\n",
        tmp_path,
    )
    assert lines(builder) == "on"
    assert cache.clean() == 4096
    assert cache.find("kind", "key") is None
    assert builder.communicate("")[0] == "True\n"


def test_clean_waits_for_the_end_of_what_runs_from_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.obtain("kind", "key", write)
    one, other = cache.hold(), cache.hold()
    os.close(one)
    with pytest.raises(MachineError, match=r"Runs are under way that use the cache .*; wait for"):
        cache.clean()
    assert cache.find("kind", "key") is not None
    os.close(other)
    assert cache.clean() == 4096


def test_prune_removes_what_was_wanted_longest_ago_and_spares_what_is_fresh(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path)
    old = time.time() - 2 * IDLE_BEFORE_PRUNE_S
    for number in range(4):
        path = cache.obtain("kind", str(number), write)
        os.utime(path, (old + number, old + number))
    cache.obtain("kind", "0", write)
    assert [path.name for path in cache.prune("kind", keep=2)] == ["2", "1"]
    assert cache.prune("kind", keep=2) == []
    os.utime(tmp_path / "kind/3")
    assert cache.prune("kind", keep=0) == []


def test_several_processes_may_prune_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old = time.time() - 2 * IDLE_BEFORE_PRUNE_S
    for number in range(300):
        os.utime(cache.obtain("kind", str(number), write), (old, old))
    program = "sys.stdin.readline()\ncache.prune('kind', 0)\n"
    processes = [start(program, tmp_path) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert [path for path in (tmp_path / "kind").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("environment", "root", "shared"),
    [
        ({"IKELAB_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a", ()),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/ikelab", ()),
        ({"HOME": "/c"}, "/c/.cache/ikelab", ()),
        ({"HOME": "/c", "IKELAB_CACHE_SHARED": "/d:/e"}, "/c/.cache/ikelab", ("/d", "/e")),
    ],
)
def test_the_environment_says_where_the_cache_is(
    environment: dict[str, str], root: str, shared: tuple[str, ...]
) -> None:
    assert locate(environment) == Cache(Path(root), tuple(Path(item) for item in shared))


def test_a_cache_that_may_not_be_written_is_one_sentence() -> None:
    # Even root may not make a folder in /sys.
    with pytest.raises(MachineError, match=r"^The cache /sys/ikelab cannot be .*; set .*\.$"):
        Cache(Path("/sys/ikelab")).obtain("kind", "key", write)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import subprocess\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tiny', str(cache.root)],"
        " check=True)\n"
        "def build(folder):\n    (folder / 'big').write_bytes(bytes(1 << 20))\n"
        "try:\n    cache.obtain('kind', 'key', build)\n"
        "except Exception as error:\n    print(type(error).__name__, error, flush=True)\n"
        "print(os.listdir(cache.root / 'kind'), flush=True)\n"
    )
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-c"]
    head = (
        "import os, sys\nfrom pathlib import Path\nfrom harness.machine.cache import Cache\n"
        f"cache = Cache(Path({str(tmp_path)!r}))\n"
    )
    done = subprocess.run(
        [*command, head + program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    said, left = done.stdout.splitlines()
    assert said.startswith(f"MachineError No space is left for the cache {tmp_path};")
    assert left == "['.lock-key']"
