# SPDX-License-Identifier: GPL-2.0-or-later
"""The console of a router: ``python -m harness.daemon.console --control SOCKET``.

A person types what an administrator of a SEIL types, ``show status ike``, and reads what a SEIL
shows; ``help`` lists the commands. It ends with ``exit`` or at the end of its input. Exit status:
0 ended as asked, 2 usage, 3 the daemon cannot be reached or nobody could log in.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.daemon.complaints import printable
from harness.daemon.console import text as form
from harness.daemon.console.login import Login, LoginError, read_login
from harness.daemon.console.router import Daemon, DaemonGone, Router, RouterRefused
from harness.daemon.status import Status

USAGE, LOST = 2, 3
END_OF_FILE = "."
PROMPT = "ikelabd# "


@dataclass(frozen=True)
class Console:
    """Commands, a line each, and their answers, over a pair of streams."""

    router: Router
    source: TextIO
    sink: TextIO

    def run(self) -> None:
        """Answer commands until ``exit`` or the end of the input; raises `DaemonGone`."""
        while (line := self._ask(PROMPT)) is not None:
            words = line.split()
            if words == ["exit"]:
                return
            if words:
                self._print(self._answer(words))

    def _answer(self, words: list[str]) -> Iterable[str]:
        command = " ".join(words)
        try:
            if command == "load-from stdin":
                return self._load()
            show = SHOW.get(command)
            if show is not None:
                return show(self.router.status())
            if command.startswith(INTERFACE):
                return _interface(self.router.status(), command.removeprefix(INTERFACE))
            if command == "clear ike":
                self.router.clear()
                return ()
            if command == "help":
                return HELP
        except RouterRefused as refused:
            return [f"% {line}" for line in str(refused).split("\n")]
        return [f"% {printable(command[:60])}: there is no such command; type help"]

    def _load(self) -> Iterable[str]:
        lines = []
        while (line := self.source.readline()) and line.strip() != END_OF_FILE:
            lines.append(line)
        self.router.load("".join(lines))
        return (f"{len(lines)} lines were loaded",)

    def _ask(self, prompt: str) -> str | None:
        self.sink.write(prompt)
        self.sink.flush()
        return self.source.readline() or None

    def _print(self, lines: Iterable[str]) -> None:
        self.sink.writelines(f"{line}\n" for line in lines)


def _interface(status: Status, name: str) -> Iterator[str]:
    for interface in status.interfaces:
        if interface.name == name:
            return form.interface_lines(interface)
    known = ", ".join(one.name for one in status.interfaces) or "none"
    raise RouterRefused(f"there is no interface {printable(name[:60])}; there is {known}")


INTERFACE = "show status interface."
SHOW: Mapping[str, Callable[[Status], Iterator[str]]] = {
    "show status ike": form.isakmp_lines,
    "show status ipsec": form.ipsec_lines,
    "show status ipsec.security-policy": form.policy_lines,
    "show log": lambda status: form.log_lines(status.log),
}
HELP = (
    *SHOW,
    f"{INTERFACE}ipsec0",
    "clear ike",
    f"load-from stdin    lines of a configuration follow, and one with only {END_OF_FILE}",
    "help",
    "exit",
)


def main(arguments: list[str] | None = None) -> int:
    """Run a console on the standard streams, and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        login = read_login(options.login) if options.login else None
    except LoginError as error:
        print(f"console: {error}", file=sys.stderr)
        return USAGE
    try:
        return _serve(Daemon(options.control), login)
    except (DaemonGone, LoginError) as error:
        print(f"console: {error}", file=sys.stderr)
        return LOST
    except BrokenPipeError:
        # Nobody reads any more; what is still buffered must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 0


def _serve(router: Router, login: Login | None) -> int:
    # Whatever somebody types: an answer and no traceback. The streams are new, because those of a
    # process that was forked believe that they are still what they were before.
    with (
        open(0, encoding="utf-8", errors="replace", closefd=False) as source,
        open(1, "w", encoding="utf-8", errors="replace", closefd=False) as sink,
    ):
        if login is not None:
            login.ask(source, sink)
        Console(router, source, sink).run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.daemon.console",
        description="The console of a router, for a running ikelabd.",
        epilog="exit status: 0 ended as asked, 2 usage, 3 no daemon or no login",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--control", type=Path, required=True, metavar="SOCKET", help="the daemon's control socket"
    )
    parser.add_argument(
        "--login", type=Path, metavar="FILE", help="TOML with user and password to ask for first"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
