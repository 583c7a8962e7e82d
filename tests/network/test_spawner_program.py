# SPDX-License-Identifier: GPL-2.0-or-later
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WITHOUT_MOUNT_SETATTR = """
from harness.network import spawner_program
spawner_program.SYS_MOUNT_SETATTR = 100_000
spawner_program.mount("none", "/", None, spawner_program.MS_REC | spawner_program.MS_PRIVATE)
spawner_program.keep_the_parents_root()
for path in ("/etc/new", "/usr/new", "/run/new", "/tmp/new"):
    try:
        open(path, "w").close()
        print(path, "written")
    except OSError as error:
        print(path, error.strerror)
"""

ON_AN_OVERLAY = """
import asyncio, sys
from pathlib import Path
from harness.network.spawner import Spawner

async def main(image):
    async with await Spawner.start() as spawner:
        node = await spawner.node("moon", [image])
        node.write("/etc/new", "written")
        done = await node.run(["cat", "/etc/new"])
        print(done.stdout.decode())

asyncio.run(main(Path(sys.argv[1])))
"""


def apart(*argv: str) -> str:
    """Run a program whose mounts are its own, and return what it printed."""
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--net", *argv]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=True, text=True)
    return done.stdout


def test_a_kernel_without_mount_setattr_gets_the_same_read_only_root() -> None:
    printed = apart(sys.executable, "-c", WITHOUT_MOUNT_SETATTR)
    assert printed.splitlines() == [
        "/etc/new Read-only file system",
        "/usr/new Read-only file system",
        "/run/new written",
        "/tmp/new written",
    ]
    assert not Path("/tmp/new").exists()


def test_an_image_may_itself_be_an_overlay(small_image: Path, tmp_path: Path) -> None:
    """As in a guest, whose own root is an overlay on a read-only image."""
    script = (
        f"mount -t tmpfs tmpfs {tmp_path} && cd {tmp_path} && mkdir upper work root && "
        f"mount -t overlay -o lowerdir={small_image},upperdir=upper,workdir=work overlay root && "
        f'cd {ROOT} && exec "$@"'
    )
    program = (sys.executable, "-c", ON_AN_OVERLAY, str(tmp_path / "root"))
    assert apart("sh", "-c", script, "sh", *program) == "written\n"
