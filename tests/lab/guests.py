# SPDX-License-Identifier: GPL-2.0-or-later
"""A small rootdir of somebody's own, and a lab kernel with it in, for the tests of the machine."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from harness.machine.cache import Cache
from harness.machine.labkernel import LabKernel, Settings, open_lab_kernel
from harness.machine.project import ProjectTree

CONFTEST = """
    import pytest

    @pytest.fixture
    def root():
        return ["root"]

    def pytest_addoption(parser):
        parser.addoption("--colour", default="none")

    def pytest_generate_tests(metafunc):
        if "colour" in metafunc.fixturenames:
            metafunc.parametrize("colour", [metafunc.config.option.colour])
"""

INNER_CONFTEST = """
    import pytest

    @pytest.fixture
    def near(root):
        return [*root, "near"]
"""

ITEMS = '''
    import ctypes, json, os, pathlib, random, signal, socket, subprocess, sys, time, uuid
    import pytest

    @pytest.fixture
    def own(near):
        return [*near, "own"]

    @pytest.fixture
    def out(request):
        return pathlib.Path(request.config.option.ikelab_out)

    def test_passes(own):
        assert own == ["root", "near", "own"]

    def test_fails(own):
        print("said before it failed")
        assert own == ["root"]

    @pytest.mark.skip(reason="not today")
    def test_skips():
        pass

    def test_has_the_option(request, colour):
        assert request.config.option.colour == colour == "green"

    def test_knows_where_it_runs(request):
        assert request.config.option.ikelab_inside == "debian-6.1"
        assert request.config.rootpath == pathlib.Path("/project")
        assert os.uname().release.startswith("6.1.")
        assert pathlib.Path.cwd() == pathlib.Path("/project")
        seen = pathlib.Path("/images/strongswan-bookworm/usr/lib/ipsec/charon")
        assert seen.stat().st_size > 10000

    def test_sleeps_ten_hours():
        began = time.monotonic()
        time.sleep(36000)
        assert 36000 <= time.monotonic() - began < 36001

    def test_measures(out):
        """Everything that could tell one run from another."""
        subprocess.run("""
            ip netns add a; ip netns add b
            ip link add left netns a type veth peer name right netns b
            ip -n a addr add 10.0.0.1/24 dev left; ip -n b addr add 10.0.0.2/24 dev right
            ip -n a link set left up; ip -n b link set right up
            ip -n a xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 mode transport \\
                aead 'rfc4106(gcm(aes))' 0x%s 128
        """ % os.urandom(20).hex(), shell=True, check=True)
        time.sleep(random.random())
        state = subprocess.run(["ip", "-s", "-n", "a", "xfrm", "state"], capture_output=True,
                               text=True, check=True).stdout
        seen = {
            "state": state,
            "urandom": os.urandom(16).hex(),
            "random": random.random(),
            "uuid": str(uuid.uuid4()),
            "time": time.time_ns(),
            "clock": time.monotonic_ns(),
            "pid": os.getpid(),
            "links": subprocess.run(["ip", "-n", "a", "-s", "link"], capture_output=True,
                                    text=True, check=True).stdout,
            "process": subprocess.run([sys.executable, "-c", "import os, time; "
                "print(os.urandom(8), os.getpid(), time.time_ns(), id(os))"],
                capture_output=True, text=True, check=True).stdout,
            "uptime": pathlib.Path("/proc/uptime").read_text(),
            "interrupts": pathlib.Path("/proc/interrupts").read_text(),
        }
        (out / "deep").mkdir()
        (out / "deep" / "seen.json").write_text(json.dumps(seen))

    def test_tells_of_its_world(out):
        """Where a host's name, path or user could show through."""
        texts = [str(dict(os.environ)), str(sys.argv), socket.gethostname()]
        for path in ("cmdline", "mounts", "self/mountinfo", "partitions", "iomem"):
            texts.append(pathlib.Path("/proc", path).read_text())
        texts.append(pathlib.Path("/run/ikelab/guest.json").read_text())
        for pattern in ("/sys/class/dmi/id/*", "/sys/firmware/qemu_fw_cfg/by_name/**/raw"):
            for path in pathlib.Path("/").glob(pattern[1:]):
                if path.is_file():
                    texts.append(path.read_bytes().decode(errors="replace"))
        setup = json.loads(pathlib.Path("/run/ikelab/guest.json").read_text())
        with open(f"/dev/pmem{setup['layers'].index('job')}", "rb") as job:
            texts.append(job.read(65536).decode(errors="replace"))
        (out / "world").write_text("\\n".join(texts))

    def test_writes_to_its_images(out):
        """Try, as root of the guest, to change what the host has mapped."""
        import mmap
        tried = {}
        for number in range(6):
            page = mmap.mmap(-1, 4096)
            page[:] = b"X" * 4096
            fd = os.open(f"/dev/pmem{number}", os.O_RDWR | os.O_DIRECT)
            try:
                for start in (0, 1 << 20):
                    os.pwritev(fd, [page], start)
                tried[number] = "taken"
            except OSError as error:
                tried[number] = error.strerror
            os.close(fd)
        (out / "tried.json").write_text(json.dumps(tried))

    def test_leaves_much(out):
        with (out / "much").open("wb") as file:
            for _ in range(30):
                file.write(os.urandom(1 << 20))

    def test_crashes():
        ctypes.string_at(0)

    def test_hangs_in_python():
        while True:
            time.sleep(1000)

    def test_hangs_on_nothing():
        signal.pause()

    def test_burns():
        while True:
            pass

    def test_says_that_it_runs_and_burns():
        pathlib.Path("/dev/console").write_text("the item runs\\n")
        while True:
            pass

    def test_panics():
        pathlib.Path("/proc/sysrq-trigger").write_text("c")

    def test_restarts():
        pathlib.Path("/proc/sysrq-trigger").write_text("b")
        time.sleep(10)
'''

BROKEN = """
    import nothing_of_this_name
"""


def make_rootdir(folder: Path, extra: Mapping[str, str] | None = None) -> Path:
    """Write the small rootdir under ``folder`` and return it; always the same content."""
    files = {
        "conftest.py": CONFTEST,
        "checks/conftest.py": INNER_CONFTEST,
        "checks/test_items.py": ITEMS,
        "checks/test_broken.py": BROKEN,
        **(extra or {}),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return folder


def open_small(cache: Cache, rootdir: Path, **changed: object) -> LabKernel:
    """Return a lab kernel with the small rootdir in it."""
    settings = Settings(
        tree=ProjectTree(rootdir, ("checks",)),
        warm=("checks",),
        **changed,  # type: ignore[arg-type]
    )
    return open_lab_kernel(settings, cache)


def item(name: str) -> str:
    """Return the node id of one of the small rootdir's items."""
    return f"checks/test_items.py::{name}"
