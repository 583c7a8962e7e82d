# SPDX-License-Identifier: GPL-2.0-or-later
"""The line to a router: a program that logs in, or a descriptor, for pexpect to talk over."""

from __future__ import annotations

import contextlib
import os
import shutil
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pexpect
from pexpect import fdpexpect
from pexpect.spawnbase import SpawnBase

from harness.peers.console.settings import Box, Serial, Ssh, Telnet
from harness.peers.contract import PeerError

_ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin", "TERM": "dumb", "LC_ALL": "C"}
_KEPT = ("HOME", "USER", "SSH_AUTH_SOCK", "PATH")


@dataclass(frozen=True)
class Line:
    """What pexpect talks over; on a `quiet` one a key must be pressed before anything shows."""

    spawned: SpawnBase
    quiet: bool


@contextmanager
def open_line(box: Box) -> Iterator[Line]:
    """The line to a router while the block runs; raises `PeerError`."""
    match box.way:
        case Ssh(host, port, options):
            argv = ["ssh", "-tt", "-p", str(port), "-o", "NumberOfPasswordPrompts=1"]
            opened = _program([*argv, "-l", box.user, *options, "--", host])
        case Telnet(host, port):
            # Debian's busybox has a client too, and is nearly everywhere.
            telnet = ["telnet"] if shutil.which("telnet") else ["busybox", "telnet"]
            opened = _program([*telnet, host, str(port)])
        case Serial(device, speed):
            opened = _device(device, speed)
    with opened as line:
        yield line


@contextmanager
def over_descriptor(descriptor: int) -> Iterator[Line]:
    """A line over one end of a terminal at whose other end a console begins; it stays open."""
    yield Line(_spawned(descriptor), quiet=False)


def _spawned(descriptor: int) -> SpawnBase:
    return fdpexpect.fdspawn(descriptor, encoding="utf-8", codec_errors="replace")


@contextmanager
def _program(argv: list[str]) -> Iterator[Line]:
    if shutil.which(argv[0]) is None:
        raise PeerError(f"there is no program {argv[0]} here; install it to reach the router")
    environment = _ENVIRONMENT | {key: os.environ[key] for key in _KEPT if key in os.environ}
    spawned = pexpect.spawn(
        argv[0],
        argv[1:],
        env=environment,
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(50, 250),
    )
    # A password is sent as soon as it is asked for; its echo is off by then.
    spawned.delaybeforesend = None
    try:
        yield Line(spawned, quiet=False)
    finally:
        spawned.close(force=True)


@contextmanager
def _device(device: str, speed: int) -> Iterator[Line]:
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise PeerError(f"serial line {device} cannot be opened: {error.strerror}") from None
    try:
        try:
            _set_up(descriptor, speed)
        except termios.error as error:
            raise PeerError(f"{device} is no serial line: {error.args[-1]}") from None
        # Only the opening must not wait for a carrier.
        os.set_blocking(descriptor, True)
        yield Line(_spawned(descriptor), quiet=True)
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _set_up(descriptor: int, speed: int) -> None:
    """8 data bits, no parity, one stop bit, and nothing changed on the way."""
    tty.setraw(descriptor, termios.TCSANOW)
    settings = termios.tcgetattr(descriptor)
    rate = getattr(termios, f"B{speed}")
    settings[2] |= termios.CLOCAL | termios.CREAD | termios.CS8
    settings[2] &= ~(termios.PARENB | termios.CSTOPB)
    settings[4] = settings[5] = rate
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)
