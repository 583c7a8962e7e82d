# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab``: each command is pytest or a module of the project underneath.

Exit status: 0 pass, 1 fail, 2 usage, 3 the infrastructure was lost.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from harness.machine.errors import MachineError

COMMANDS = ("run", "replay", "decrypt", "scenarios", "peers", "doctor", "clean")
"""Each is the module of that name, imported when it is asked for: some take long to import."""
USAGE, LOST = 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="ikelab",
        description="Do these two IPsec peers work together, in this network, "
        "under these conditions?",
        epilog="exit status: 0 pass, 1 fail, 2 usage, 3 the infrastructure was lost",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    # What follows -- is pytest's, whatever it looks like.
    own = given[: given.index("--")] if "--" in given else given
    if own and own[0] in COMMANDS:
        # By the command's own parser, which lets names and options stand in any order.
        ours = importlib.import_module(f"harness.cli.{own[0]}").add_to(commands)
        options, unknown = ours.parse_known_intermixed_args(own[1:])
        if unknown:
            hint = "; what is for pytest stands behind --" if own[0] == "run" else ""
            ours.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    else:
        for name in COMMANDS:
            importlib.import_module(f"harness.cli.{name}").add_to(commands)
        from importlib import metadata  # Slow: only where it may be asked for.

        version = f"ikelab {metadata.version('ikelab')}"
        parser.add_argument("--version", action="version", version=version)
        options = parser.parse_args(own)
    options.for_pytest = given[len(own) + 1 :]
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does. What Python still holds goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except MachineError as error:
        print(f"ikelab: {error}", file=sys.stderr)
        return LOST
    except KeyboardInterrupt:
        print("ikelab: interrupted", file=sys.stderr)
        return 130
    return status
