# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ikelab doctor` says is what is so, and what it names is what mends it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.kernel.capabilities import probe
from harness.machine.cache import locate
from harness.machine.images import is_built
from harness.machine.spec import load_specs
from tests.cli.commands import ikelab

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mkfs.erofs": "erofs-utils",
    "ip": "iproute2",
    "nft": "nftables",
    "tshark": "tshark",
}
SPECS = load_specs(ROOT / "images")
WANTED = [spec for spec in SPECS.values() if spec.kind != "kernel" or spec.name == "debian-6.1"]


@dataclass(frozen=True)
class Said:
    """One session of the doctor; `lines` are its checks by their name: mark and what was found."""

    status: int
    shown: str

    @property
    def lines(self) -> dict[str, tuple[str, str]]:
        return {
            line[9:37].strip(): (line[:8].strip(), line[38:])
            for line in self.shown.partition("\n\n")[0].splitlines()
        }

    @property
    def missing(self) -> set[str]:
        return {name for name, (mark, _) in self.lines.items() if mark == "MISSING"}


def doctor(**environment: str) -> Said:
    done = ikelab("doctor", **environment)
    assert "Traceback" not in done.stdout
    return Said(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def said() -> Said:
    return doctor()


@pytest.fixture(scope="module")
def without_programs() -> Said:
    return doctor(PATH="/nowhere")


@pytest.fixture(scope="module")
def without_images(tmp_path_factory: pytest.TempPathFactory) -> Said:
    cache = tmp_path_factory.mktemp("cache")
    return doctor(IKELAB_CACHE=str(cache), IKELAB_CACHE_SHARED="")


def test_a_program_is_there_exactly_when_it_is_found(said: Said) -> None:
    for program in PROGRAMS:
        where = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        assert (said.lines[program][0] == "ok") == (where is not None)
        assert where is None or said.lines[program][1] == where


def test_the_hosts_kernel_can_what_the_probe_found(said: Said) -> None:
    found = probe()
    for name in ("esp", "tun", "overlay", "nat"):
        mark, words = said.lines[f"host kernel: {name}"]
        reason = found.missing(name)
        assert (mark == "ok") == (reason is None)
        assert words.startswith(reason or "Linux " + os.uname().release)


def test_an_image_is_there_exactly_when_it_is_built(said: Said) -> None:
    for name, spec in SPECS.items():
        mark, words = said.lines[f"image {name}"]
        assert (mark == "ok") == is_built(locate(), spec)
        assert words.startswith(f"{spec.kind}, version {spec.version}")


def test_the_exit_status_is_whether_scenarios_can_run(said: Said) -> None:
    assert said.status == (1 if said.missing else 0)
    assert ("Every scenario can run here." in said.shown) == (said.status == 0)


def test_a_missing_program_comes_with_the_command_that_installs_it(without_programs: Said) -> None:
    assert without_programs.status == 1
    searched = "/nowhere:/usr/sbin:/sbin"
    absent = {program for program in PROGRAMS if shutil.which(program, path=searched) is None}
    assert "qemu-system-x86_64" in absent
    for program in absent:
        mark, words = without_programs.lines[program]
        assert words.startswith("not installed, needed for ")
        assert words.endswith(f"; apt-get install {PROGRAMS[program]}")
        # Images are built already, and for a second opinion there is the first.
        spared = program == "tshark" or (program == "mmdebstrap" and all_built())
        assert mark == ("no" if spared else "MISSING")
    assert f"{len(without_programs.missing)} missing: " in without_programs.shown


def all_built() -> bool:
    return all(is_built(locate(), spec) for spec in WANTED)


def test_a_missing_image_comes_with_the_command_that_builds_it(without_images: Said) -> None:
    assert without_images.status == 1
    for spec in WANTED:
        mark, words = without_images.lines[f"image {spec.name}"]
        assert mark == "MISSING"
        assert words.endswith(", not built yet; ./ci/setup")
    # The command is there, and is what builds them.
    assert os.access(ROOT / "ci/setup", os.X_OK)
    # A kernel that is only taken when it is asked for does no harm by not being there.
    assert without_images.lines["image debian-6.12"][0] == "no"


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    doctor(IKELAB_CACHE=str(tmp_path / "cache"), IKELAB_CACHE_SHARED="", PATH="/nowhere")
    assert list(tmp_path.iterdir()) == []
