# SPDX-License-Identifier: GPL-2.0-or-later
"""Images from Debian packages: built by root and by a user, and each way in which that fails."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine.cache import Cache, locate
from harness.machine.erofs import make_erofs
from harness.machine.errors import MachineError
from harness.machine.images import Image, obtain_image, obtain_kernel
from harness.machine.interpreter import obtain_interpreter
from harness.machine.kvm import guest_runs, real_clock_accelerator
from harness.machine.loader import compile_tree
from harness.machine.project import ProjectTree, obtain_project
from harness.machine.spec import load_specs
from harness.machine.wheels import obtain_site
from tests.lab.guests import make_rootdir

ROOT = Path(__file__).parents[2]
USER = 54321
SMALL = 'suite = "bookworm"\npackages = ["busybox-static"]\nversion = "1.35.0"\n'
BUILD = """
import sys
from pathlib import Path
from harness.machine.cache import Cache
from harness.machine.images import obtain_image
from harness.machine.spec import load_spec
try:
    image = obtain_image(Cache(Path(sys.argv[1])), load_spec(Path(sys.argv[2])))
    print("built", image.root, image.packages["busybox-static"], image.erofs)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def guest() -> Image:
    return obtain_image(locate(), load_specs(ROOT / "images")["guest"])


def describe(folder: Path, text: str = SMALL) -> Path:
    path = folder / "small" / "image.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def build(*before: str, cache: Path, image: Path, source: Path = ROOT, **environment: str) -> str:
    python = user_python() if "setpriv" in " ".join(before) else sys.executable
    command = [*before, python, "-c", BUILD, str(cache), str(image)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(source), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def left(cache: Path) -> list[str]:
    return [path.name for path in (cache / "image").iterdir() if not path.name.startswith(".lock")]


def test_the_shipped_guest_is_a_file_system_and_as_root_a_folder(guest: Image) -> None:
    assert guest.python == "3.11"
    assert guest.packages["nftables"]
    assert guest.erofs.stat().st_size % (2 << 20) == 0
    assert os.geteuid() != 0 or guest.root is not None


def test_a_package_that_debian_has_not_is_one_sentence(tmp_path: Path) -> None:
    path = describe(tmp_path, SMALL.replace('"busybox-static"', '"busybox-statical"'))
    said = build(cache=tmp_path / "cache", image=path)
    assert said == (
        f"MachineError {path}: packages: Debian bookworm has no package 'busybox-statical'; "
        "correct the name or the suite."
    )
    assert left(tmp_path / "cache") == []


def test_another_version_than_described_is_one_sentence(tmp_path: Path) -> None:
    path = describe(tmp_path, SMALL.replace("1.35.0", "1.36.1"))
    said = build(cache=tmp_path / "cache", image=path)
    assert said == (
        f"MachineError {path}: version: busybox-static of Debian bookworm is 1.35.0, not 1.36.1; "
        "correct the version or the suite."
    )
    assert left(tmp_path / "cache") == []


def test_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    path = describe(tmp_path)
    said = build("unshare", "--net", cache=tmp_path / "cache", image=path)
    assert said.startswith(f"MachineError {path}: the Debian mirror http")
    assert said.endswith("cannot be reached; the network is needed once, to build this image.")


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    path = describe(tmp_path)
    cache = tmp_path / "cache"
    cache.mkdir()
    # What is left is looked at inside: the small disk is gone with its namespace.
    script = (
        f'mount -t tmpfs -o size=60m tiny {cache} && "$@" && ls {cache}/image && exit 0; exit 1'
    )
    said = build("unshare", "--mount", "sh", "-c", script, "sh", cache=cache, image=path)
    assert said == (
        f"MachineError {path}: no space is left on the disk to build this image; 1 GB must be free."
    )


def test_without_mmdebstrap_is_one_sentence(tmp_path: Path) -> None:
    said = build(cache=tmp_path / "cache", image=describe(tmp_path), PATH="/nowhere")
    assert said == (
        "MachineError mmdebstrap is not installed, and images are built with it; "
        "have an administrator run: apt-get install mmdebstrap."
    )


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that an ordinary user can enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def as_user(tmp_path: Path) -> list[str]:
    """The command prefix for an ordinary user, who has a name and subordinate ids here only."""
    assert os.geteuid() == 0, "these tests make a user in a namespace, which takes root"
    etc = tmp_path / "etc"
    etc.mkdir()
    user = f"labuser:x:{USER}:{USER}::{tmp_path}:/bin/sh\n"
    (etc / "passwd").write_text(Path("/etc/passwd").read_text() + user)
    (etc / "subuid").write_text(f"labuser:{1 << 20}:65536\n")
    (etc / "subgid").write_text(f"labuser:{1 << 20}:65536\n")
    binds = " && ".join(f"mount --bind {etc / name} /etc/{name}" for name in os.listdir(etc))
    drop = f"setpriv --reuid={USER} --regid={USER} --clear-groups --"
    return ["unshare", "--mount", "sh", "-c", f'{binds} && exec {drop} "$@"', "sh"]


def user_python() -> str:
    """A Python that an ordinary user can run: that of the tests may lie in root's home."""
    own = Path(sys.executable)
    above = (*own.parents, *own.resolve().parents)
    closed = [path for path in above if not path.stat().st_mode & 0o001]
    return "/usr/bin/python3" if closed else sys.executable


def user_source(common: Path) -> Path:
    """The project where an ordinary user can read it: it may lie in root's home."""
    source = common / "source"
    ignored = shutil.ignore_patterns(".*", "out", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    return source


def user_folder(common: Path) -> Path:
    folder = common / "cache"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


def test_an_ordinary_user_builds_an_image(common: Path, as_user: list[str]) -> None:
    path, cache = describe(common), user_folder(common)
    source = user_source(common)
    said = build(*as_user, cache=cache, image=path, source=source, HOME=str(cache))
    assert said.startswith("built None 1:1.35.0")
    erofs = Path(said.split()[-1])
    assert sorted(item.name for item in erofs.parent.iterdir()) == ["image.erofs", "image.json"]
    assert erofs.stat().st_uid == USER
    listed = subprocess.run(
        ["dump.erofs", "--path=/var/local", str(erofs)], capture_output=True, text=True, check=True
    )
    # Group 50 is staff: the ids in the image are the real ones, not the user's.
    assert "Gid: 50" in " ".join(listed.stdout.split())


def test_a_user_without_subordinate_ids_is_told_what_to_ask_for(
    common: Path, tmp_path: Path, as_user: list[str]
) -> None:
    (tmp_path / "etc/subuid").write_text("")
    cache, source = user_folder(common), user_source(common)
    said = build(*as_user, cache=cache, image=describe(common), source=source)
    assert said.startswith("MachineError labuser has no subordinate ids in /etc/subuid, and")
    assert "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 labuser" in said


def test_a_user_who_may_not_make_user_namespaces_is_told_who_can_allow_it(
    common: Path, as_user: list[str]
) -> None:
    cache, source = user_folder(common), user_source(common)
    # Without privileges to gain nobody gets subordinate ids, as in many a container.
    closed = [*as_user, "setpriv", "--no-new-privs", "--"]
    said = build(*closed, cache=cache, image=describe(common), source=source)
    assert said.startswith("MachineError labuser may not make user namespaces here, and needs them")
    assert said.endswith("or set IKELAB_CACHE_SHARED to a cache of theirs.")


def test_an_ordinary_user_runs_an_item_with_the_images_of_another(
    common: Path, guest: Image
) -> None:
    # The images come from root's cache, laid open for reading; all else is the user's own.
    theirs = locate().root
    own, opened = common / "own", common / "theirs"
    rootdir = make_rootdir(common / "rootdir")
    opened.mkdir()
    own.mkdir()
    os.chown(own, USER, USER)
    program = (
        "from pathlib import Path\nfrom harness.machine.cache import locate\n"
        "from harness.machine.job import Job\nfrom tests.lab.guests import item, open_small\n"
        f"lab = open_small(locate(), Path({str(rootdir)!r}))\n"
        "result = lab.run(Job(item('test_passes')))\n"
        "import os\n"
        "print(os.geteuid(), result.status, [one['outcome'] for one in result.reports])\n"
    )
    drop = f"setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs --"
    script = f'mount --bind -o ro {theirs} {opened} && exec {drop} "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", user_python(), "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": str(user_source(common)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(own),
            "IKELAB_CACHE": str(own / "cache"),
            "IKELAB_CACHE_SHARED": str(opened),
        },
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{USER} 0 ['passed', 'passed', 'passed']\n", done.stderr
    # Nothing but what this user's own guest is: images, and a project that is there, are theirs.
    made = {path.name for path in (own / "cache").iterdir()}
    assert {"base", "runs", "snapshot"} <= made <= {"base", "project", "runs", "snapshot"}


def test_the_same_tree_gives_the_same_file_system_whenever_it_was_written(tmp_path: Path) -> None:
    for name, order in (("one", "abc"), ("two", "cab")):
        for item in order:
            (tmp_path / name / item).mkdir(parents=True)
            (tmp_path / name / item / "file").write_text(item * 5000)
    os.utime(tmp_path / "two/a/file", (1, 1))
    one = make_erofs(tmp_path / "one", tmp_path / "one.erofs", all_root=True)
    two = make_erofs(tmp_path / "two", tmp_path / "two.erofs", all_root=True)
    assert one == two
    assert (tmp_path / "one.erofs").stat().st_size == 2 << 20


def test_byte_code_is_the_guests_and_carries_the_guests_paths(tmp_path: Path, guest: Image) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/good.py").write_text("names = {'one', 'two', 'three', 'four'}\n")
    (tmp_path / "tree/bad.py").write_text("def (:\n")
    root = obtain_interpreter(locate(), guest)
    codes = []
    for _ in range(2):
        compile_tree(root, tmp_path / "tree", "/seen/as")
        (code,) = (tmp_path / "tree/__pycache__").iterdir()
        assert code.name == "good.cpython-311.pyc"
        codes.append(code.read_bytes())
        code.unlink()
    assert codes[0] == codes[1]
    assert b"/seen/as/good.py" in codes[0]
    assert str(tmp_path).encode() not in codes[0]


def test_who_cannot_read_the_guests_folder_takes_its_python_out_of_the_image(
    tmp_path: Path, guest: Image
) -> None:
    image = Image(guest.name, guest.erofs, None, guest.packages, guest.python, guest.sha256)
    root = obtain_interpreter(Cache(tmp_path), image)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a.py").write_text("x = 1\n")
    compile_tree(root, tmp_path / "tree", "/seen/as")
    assert (tmp_path / "tree/__pycache__/a.cpython-311.pyc").exists()


def test_a_package_with_another_hash_than_the_lock_says_is_one_sentence(
    tmp_path: Path, guest: Image
) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text("iniconfig==2.3.1 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(MachineError, match=r"some\.lock: a package has not the hash"):
        obtain_site(Cache(tmp_path / "cache"), lock, guest)


def test_the_project_layer_changes_with_a_file_and_not_with_its_place_or_time(
    tmp_path: Path, guest: Image
) -> None:
    cache = locate()
    keys = []
    for name in ("one", "two", "three"):
        rootdir = make_rootdir(tmp_path / name)
        if name == "two":
            os.utime(rootdir / "conftest.py", (1, 1))
            (rootdir / "not-named.txt").write_text("x")
        if name == "three":
            (rootdir / "checks/more.txt").write_text("x")
        keys.append(obtain_project(cache, ProjectTree(rootdir, ("checks",)), guest)[1])
    assert keys[0] == keys[1] != keys[2]


def test_a_path_outside_of_the_rootdir_is_one_sentence(tmp_path: Path, guest: Image) -> None:
    with pytest.raises(MachineError, match=r"^\.\./x: this path is outside of the rootdir"):
        obtain_project(locate(), ProjectTree(tmp_path, ("../x",)), guest)
    with pytest.raises(MachineError, match="there is no such file or folder to run scenarios of"):
        obtain_project(locate(), ProjectTree(tmp_path, ("none",)), guest)


def test_a_kvm_that_never_runs_a_guest_is_found_out_and_remembered(tmp_path: Path) -> None:
    cache = Cache(tmp_path, shared=(locate().root,))
    kernel = obtain_kernel(locate(), load_specs(ROOT / "images")["debian-6.1"])
    # The same probe says yes where a guest does run, and no where the limit is too short.
    assert guest_runs(cache, kernel, "tcg", 60)
    assert not guest_runs(cache, kernel, "tcg", 0.05)
    found = real_clock_accelerator(Cache(tmp_path), kernel)
    assert found == ("kvm" if guest_runs(cache, kernel, "kvm", 8) else "tcg")
    assert real_clock_accelerator(Cache(tmp_path), kernel) == found
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert len(list((tmp_path / "probe").glob("[!.]*"))) == 1
