# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelabd``: an IKE daemon in the foreground.

Exit status: 0 stopped as asked, 2 usage or configuration, 3 what it needs cannot be had.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.daemon.configuration import ConfigurationError, DaemonConfiguration
from harness.daemon.dialects import DIALECTS, read_file, read_text

if TYPE_CHECKING:
    from harness.daemon.credentials import Credentials
    from harness.daemon.reports import Report
    from harness.daemon.service import Service

USAGE, LOST = 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until it is told to stop, and return its exit status."""
    options = _parser().parse_args(arguments)
    from harness.daemon.credentials import Credentials

    credentials = Credentials(options.config.parent)
    try:
        configuration = _read(options, credentials)
    except ConfigurationError as error:
        print(f"{error}", file=sys.stderr)
        return USAGE
    if options.check:
        _say(f"{options.config} can be used")
        return 0
    return asyncio.run(_run(options, configuration, credentials))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ikelabd",
        description="An IKE daemon for IKEv1 and IKEv2, in the foreground.",
        epilog="SIGHUP reads the configuration again; SIGTERM and SIGINT delete every SA and end. "
        "Exit status: 0 stopped as asked, 2 usage or configuration, 3 what it needs cannot be had",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="what to do")
    parser.add_argument("--dialect", choices=DIALECTS, default="native", help="its language")
    parser.add_argument(
        "--data-plane", choices=("kernel", "userspace"), help="who does ESP, whatever the file says"
    )
    parser.add_argument("--control", type=Path, metavar="SOCKET", help="take commands here")
    parser.add_argument("--keys", type=Path, metavar="DIR", help="write Wireshark's tables there")
    parser.add_argument("--check", action="store_true", help="only check the configuration")
    parser.add_argument("--ready-fd", type=int, metavar="N", help="write a line there once it runs")
    return parser


def _read(options: argparse.Namespace, credentials: Credentials) -> DaemonConfiguration:
    configuration = read_file(options.config, options.dialect, credentials)
    if options.data_plane is not None:
        return replace(configuration, data_plane=options.data_plane)
    return configuration


def _read_text(credentials: Credentials, text: str, file: str, dialect: str) -> DaemonConfiguration:
    return read_text(text, file, dialect, credentials)


async def _run(
    options: argparse.Namespace, configuration: DaemonConfiguration, credentials: Credentials
) -> int:
    from harness.daemon.console.control import ConsoleControl
    from harness.daemon.control import Control, ControlError
    from harness.daemon.data_plane import DataPlaneError
    from harness.daemon.running import make_service
    from harness.daemon.sockets import SocketError

    key_log = None
    if options.keys is not None:
        from harness.daemon.key_log import KeyLogError, WiresharkKeyLog

        try:
            key_log = WiresharkKeyLog(options.keys)
        except KeyLogError as error:
            print(f"ikelabd: {error}", file=sys.stderr)
            return LOST
    control = None
    try:
        service = make_service(configuration, key_log=key_log)
        service.listen(_log)
        console = ConsoleControl(service, partial(_read_text, credentials))
        await service.start()
        if options.control is not None:
            control = Control(service, console.verbs())
            await control.listen(options.control)
    except (SocketError, DataPlaneError, ControlError, OSError) as error:
        print(f"ikelabd: {error}", file=sys.stderr)
        return LOST
    _say("ikelabd is ready")
    if options.ready_fd is not None:
        os.write(options.ready_fd, b"ready\n")
        os.close(options.ready_fd)
    await _until_told(service, options, credentials)
    _say("ikelabd stops")
    if control is not None:
        await control.close()
    await service.stop()
    return 0


async def _until_told(
    service: Service, options: argparse.Namespace, credentials: Credentials
) -> None:
    """Return at SIGTERM or SIGINT; at SIGHUP read the configuration again."""
    from harness.daemon.reports import Trouble

    loop = asyncio.get_running_loop()
    told: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, told.put_nowait, number)
    while await told.get() == signal.SIGHUP:
        try:
            configuration = _read(options, credentials)
        except ConfigurationError as error:
            service.tell(Trouble(f"the configuration stays as it was: {error}"))
            continue
        await service.reconfigure(configuration)


def _log(report: Report) -> None:
    from harness.daemon.reports import sentence

    _say(sentence(report))


def _say(text: str) -> None:
    # Whoever read the lines may have gone away; the SAs are more important.
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
