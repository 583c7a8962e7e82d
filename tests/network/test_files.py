# SPDX-License-Identifier: GPL-2.0-or-later
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.network.files import open_in_root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("inside")
    (tmp_path / "absolute").symlink_to("/etc/passwd")
    (tmp_path / "upwards").symlink_to("../../../../etc/passwd")
    (tmp_path / "out").symlink_to("/proc/self/root/etc")
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "etc/passwd", "absolute", "/upwards", "/../etc/passwd"]
)
def test_no_path_and_no_link_leads_out(root: int, path: str) -> None:
    with os.fdopen(open_in_root(root, path, os.O_RDONLY)) as file:
        assert file.read() == "inside"


def test_what_is_not_there_is_not_looked_for_outside(root: int) -> None:
    for path in ("/out/hostname", "/etc/hostname"):
        with pytest.raises(FileNotFoundError):
            open_in_root(root, path, os.O_RDONLY)


def test_missing_directories_are_made_when_asked_for(root: int, tmp_path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT
    with pytest.raises(FileNotFoundError):
        open_in_root(root, "/a/b/c", flags, 0o600)
    os.close(open_in_root(root, "/a/b/c", flags, 0o600, parents=True))
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o600
