# SPDX-License-Identifier: GPL-2.0-or-later
import ast
import faulthandler
import os
import signal
import sys
import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from harness.machine import guest


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(guest, "RUN", tmp_path)
    return tmp_path


def watched(act: Callable[[int], object], limit: float = 10) -> str | None:
    """What becomes of a process that acts; it is given the pipe to the one that watches it."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        act(tell)
        os._exit(0)
    os.close(tell)
    try:
        return guest.watch(pid, told, limit)
    finally:
        os.close(told)


def test_the_agent_imports_nothing_of_the_project() -> None:
    tree = ast.parse(Path(guest.__file__).read_text())
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    top = {str(name).split(".")[0] for name in names}
    assert top - set(sys.stdlib_module_names) == {"pytest"}


def test_an_item_that_says_that_it_is_done_is_not_lost() -> None:
    assert watched(lambda tell: os.write(tell, b"done")) is None


def test_an_item_that_crashes_is_lost_with_the_signal() -> None:
    def crash(_: int) -> None:
        # pytest would have each of its threads told to whoever reads the tests' output.
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)

    assert watched(crash) == "its process was killed by SIGSEGV"


def test_an_item_that_exits_without_a_report_is_lost_with_its_status() -> None:
    assert watched(lambda tell: os._exit(7)) == "its process ended with status 7 and no report"


def test_an_item_that_hangs_is_ended_and_says_where_it_hung(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "GRACE", 0.5)

    def hang_here(tell: int) -> None:
        faulthandler.register(signal.SIGUSR1, file=(run / "stuck").open("w"), all_threads=True)
        while True:
            time.sleep(60)

    assert watched(hang_here, 0.5) == "it was still running after 0.5 s of lab time"
    assert "hang_here" in guest.tail(run / "stuck")


def test_the_same_files_give_the_same_archive_whenever_they_were_written(tmp_path: Path) -> None:
    for name, order in (("one", "ab"), ("two", "ba")):
        for item in order:
            path = tmp_path / name / "folder" / item
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("same")
    os.utime(tmp_path / "two/folder/a", (1, 1))
    (tmp_path / "two/folder/pipe").mkdir()
    (tmp_path / "one/folder/pipe").mkdir()
    os.mkfifo(tmp_path / "two/folder/fifo")
    assert guest.pack(tmp_path / "one") == guest.pack(tmp_path / "two")
    with tarfile.open(fileobj=BytesIO(guest.pack(tmp_path / "one"))) as archive:
        assert archive.getnames() == ["folder", "folder/a", "folder/b", "folder/pipe"]


def test_the_end_of_a_text_is_kept_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("0123456789")
    assert guest.tail(tmp_path / "text", 4) == "6789"
    assert guest.tail(tmp_path / "none") == ""
