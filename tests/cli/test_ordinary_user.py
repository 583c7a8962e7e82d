# SPDX-License-Identifier: GPL-2.0-or-later
"""An ordinary user runs scenarios, in the lab kernel; and what a run leaves in its cache."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.users import USER, as_user
from tests.plugin.folder import results

# They share one cache, in which the first has to boot the lab kernel.
pytestmark = pytest.mark.xdist_group("ordinary-user")

PASS, FAIL = 0, 1


@dataclass(frozen=True)
class Home:
    """What belongs to the user; `place` is for the mounts of the namespace."""

    place: Path
    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def out(self, name: str) -> Path:
        return self.folder / name

    def ikelab(self, *arguments: str | Path) -> tuple[int, str]:
        done = as_user(self.place, self.folder, *arguments)
        return done.returncode, done.stdout

    def cached(self) -> set[str]:
        """Every file of the cache but for the locks, relative to it."""
        return {
            str(path.relative_to(self.cache))
            for path in self.cache.rglob("*")
            if path.is_file() and not path.name.startswith((".lock-", ".in-use"))
        }


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    assert os.geteuid() == 0, "these tests drop root's rights, so they need them"
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        place, folder = base / "place", base / "home"
        place.mkdir()
        folder.mkdir()
        os.chown(folder, USER, USER)
        yield Home(place, folder)


@pytest.fixture(scope="module")
def ran(home: Home) -> tuple[int, str]:
    return home.ikelab("run", "delete-ike", "--out", home.out("first"))


def test_a_scenario_passes_in_the_lab_kernel_without_being_asked_for(
    home: Home, ran: tuple[int, str]
) -> None:
    status, shown = ran
    assert status == PASS, shown
    (told,) = results(home.out("first")).values()
    assert (told["outcome"], told["kernel"]) == ("pass", "debian-6.1")
    capture = home.out("first") / told["artifacts"] / "capture.pcapng"
    assert capture.stat().st_uid == USER


def test_a_run_leaves_nothing_in_the_cache(home: Home, ran: tuple[int, str]) -> None:
    before = home.cached()
    # What it booted and what it imported is kept to be taken again, and nothing else.
    assert {name.partition("/")[0] for name in before} <= {"base", "project", "snapshot", "loop"}
    assert not list((home.cache / "runs").iterdir())
    status, shown = home.ikelab("run", "delete-child", "--out", home.out("second"))
    assert status == PASS, shown
    assert home.cached() == before
    assert not list((home.cache / "runs").iterdir())


def test_the_hosts_kernel_is_refused_in_one_sentence(home: Home) -> None:
    status, shown = home.ikelab("run", "delete-ike", "--kernel", "host", "--out", home.out("third"))
    assert status == FAIL
    (told,) = results(home.out("third")).values()
    assert (told["outcome"], told["reason"]) == (
        "not-run",
        "only root can make namespaces on the host; a lab kernel needs no root",
    )
    assert "not-run: delete-ike: only root can make namespaces on the host" in shown
    assert "Traceback" not in shown


def test_the_doctor_says_what_this_user_can_do(home: Home) -> None:
    status, shown = home.ikelab("doctor")
    lines = {line[9:38].strip(): line for line in shown.splitlines()}
    assert "no: everything runs in the lab kernel, nothing on the host" in lines["root"]
    assert lines["root"].startswith("no ")
    # Nobody of that number has a name or subordinate ids, and it says so without one.
    assert lines["subordinate user ids"].startswith("no ")
    assert "none: images cannot be built by this user" in lines["subordinate user ids"]
    assert "Traceback" not in shown
    # The images are root's, which is as good as the user's own.
    assert lines["image guest"].startswith("ok ")
    assert status == PASS, shown
