# SPDX-License-Identifier: GPL-2.0-or-later
"""A root file system made of Debian packages by mmdebstrap, and its failures as sentences."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from harness.machine.errors import MachineError
from harness.machine.spec import SUITES, ImageSpec

MAIN, SECURITY = "Debian", "Debian-Security"
"""What the two parts of the archive call themselves."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Documentation is never read in the lab, and not unpacking it is faster than removing it.
UNWANTED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bash-completion/*",
)
EPOCH = 1767225600
"""The one time stamp (2026-01-01, seconds since 1970) that everything in an image carries."""


def bootstrap(spec: ImageSpec, target: Path) -> None:
    """Make the root file system of ``spec`` at ``target``: a directory as root, else a tar.

    Blocks for some 20 s. Raises MachineError, one sentence, if a package, the network, room on
    the disk or a tool is missing.
    """
    check_tools()
    root = os.geteuid() == 0
    command = [
        "mmdebstrap",
        f"--mode={'root' if root else 'unshare'}",
        f"--format={'directory' if root else 'tar'}",
        f"--variant={'extract' if spec.kind == 'kernel' else 'essential'}",
        f"--include={','.join(spec.packages)}",
        '--aptopt=Acquire::Retries "2"',
        '--aptopt=Acquire::http::Timeout "30"',
        # A mirror that stands still, as those of a snapshot do, is as good; signatures count.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *_proxy(),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED),
        "--skip=check/empty",
        spec.suite,
        str(target),
        *sources(spec.suite),
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C.UTF-8"}
    # On a kill of the harness mmdebstrap is asked to end, so that it takes its children along.
    guarded = ["setpriv", "--pdeathsig", "TERM", "--", *command]
    done = subprocess.run(
        guarded, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode != 0:
        raise MachineError(explain(spec, done.stderr.decode(errors="replace")))


def check_tools() -> None:
    """Raise MachineError, naming the command that mends it, if an image cannot be built here."""
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("mkfs.erofs", "erofs-utils")):
        if shutil.which(tool) is None:
            raise MachineError(
                f"{tool} is not installed, and images are built with it; "
                f"have an administrator run: apt-get install {package}."
            )
    if not KEYRING.exists():
        raise MachineError(
            f"{KEYRING} is missing, and Debian's packages are checked with it; "
            "have an administrator run: apt-get install debian-archive-keyring."
        )
    if os.geteuid() == 0:
        return
    if shutil.which("newuidmap") is None:
        raise MachineError(
            "newuidmap is not installed, and an ordinary user needs it to build images; "
            "have an administrator run: apt-get install uidmap."
        )
    if not _has_subordinate_ids(Path("/etc/subuid")):
        user = _user()
        raise MachineError(
            f"{user} has no subordinate ids in /etc/subuid, and needs them to build images; have "
            f"an administrator run: usermod --add-subuids 100000-165535 "
            f"--add-subgids 100000-165535 {user}, or set IKELAB_CACHE_SHARED to a cache of theirs."
        )
    if not has_user_namespaces():
        raise MachineError(
            f"{_user()} may not make user namespaces here, and needs them to build images; have an "
            "administrator allow it (a container by its options, Ubuntu 24.04 by sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0), or set IKELAB_CACHE_SHARED to a "
            "cache of theirs."
        )


def has_user_namespaces() -> bool:
    """Whether this user may be root of their subordinate ids, found out by being it."""
    command = ["unshare", "--map-root-user", "--map-auto", "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def sources(suite: str) -> list[str]:
    """Return the archive lines for ``suite`` from the mirrors that this machine's apt has.

    Without any, as where this is no Debian, mmdebstrap takes its own.
    """
    mirrors = _mirrors()
    if MAIN not in mirrors:
        return []
    lines = [f"deb {mirrors[MAIN]} {suite} main"]
    if "security" in SUITES[suite] and SECURITY in mirrors:
        lines.append(f"deb {mirrors[SECURITY]} {suite}-security main")
    return lines


def explain(spec: ImageSpec, log: str) -> str:
    """Return the one sentence that says why mmdebstrap failed, from what it wrote."""
    where = f"{spec.source}: "
    for pattern in (
        r"Unable to locate package (\S+)",
        r"Package '?([^' ]+)'? has no installation candidate",
        r"Couldn't find any package by (?:glob|regex) '([^']+)'",
    ):
        match = re.search(pattern, log)
        if match:
            return (
                f"{where}packages: Debian {spec.suite} has no package {match[1]!r}; "
                "correct the name or the suite."
            )
    if re.search(r"No space left on device|enough free space|Disk quota exceeded", log):
        return f"{where}no space is left on the disk to build this image; 1 GB must be free."
    if re.search(
        r"resolving '|Could not resolve|Could not connect|Cannot initiate the connection|"
        r"Network is unreachable|Connection timed out|Connection failed|Unable to connect",
        log,
    ):
        mirror = _mirrors().get(MAIN, "that mmdebstrap takes")
        return (
            f"{where}the Debian mirror {mirror} cannot be reached; "
            "the network is needed once, to build this image."
        )
    if "NO_PUBKEY" in log or "is not signed" in log:
        return (
            f"{where}the signature of Debian {spec.suite} cannot be checked; have an "
            "administrator run: apt-get install --only-upgrade debian-archive-keyring."
        )
    errors = [line for line in log.splitlines() if line.startswith("E: ")]
    last = (errors or log.splitlines() or ["no message"])[0].removeprefix("E: ").strip()
    return f"{where}mmdebstrap could not build this image: {last}"


def _mirrors() -> dict[str, str]:
    """Return the mirrors of Debian that apt is set up with, by the label of their part."""
    found: dict[str, str] = {}
    if shutil.which("apt-get"):
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"],
            check=False,
            capture_output=True,
            text=True,
        ).stdout
        for line in reversed(listed.splitlines()):
            origin, label, uri = (*line.split("|"), "", "")[:3]
            if origin == "Debian" and label in (MAIN, SECURITY) and uri.startswith("http"):
                found[label] = uri.rstrip("/")
    return found


def _proxy() -> list[str]:
    """Return the machine's own apt proxy as options: mmdebstrap does not read it."""
    shown = subprocess.run(
        ["apt-config", "shell", "PROXY", "Acquire::http::Proxy"],
        check=False,
        capture_output=True,
        text=True,
    ).stdout
    match = re.search(r"PROXY='([^']+)'", shown)
    return [f'--aptopt=Acquire::http::Proxy "{match[1]}"'] if match else []


def _has_subordinate_ids(path: Path) -> bool:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in (_user(), str(os.geteuid())) for line in lines)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
