# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab replay``: a run again, from its folder, and whether the same came out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from harness.capture.pcapng import read
from harness.cli.run import COMMON, HERE, evidence_in, rooted_in, run_pytest
from harness.plugin.runs import SCHEMA

CAPTURE = "capture.pcapng"


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "replay",
        help="run again what a run's folder holds",
        description="Run a scenario again as DIR/replay.json says, and compare the captures.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of one run")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the evidence (default: DIR/replay)"
    )
    parser.add_argument(
        "--folder",
        dest="scenarios",
        metavar="FOLDER",
        type=Path,
        default=HERE,
        help="where the scenarios are, if not the project's",
    )
    parser.set_defaults(command=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Run what the folder holds; 2 when it holds nothing that can be run."""
    path = options.folder / "replay.json"
    try:
        record = json.loads(path.read_text())
        if record["schema"] != SCHEMA:
            return _usage(
                f"{path}: this is of schema {record['schema']}, and this version reads {SCHEMA};"
                " run the scenario anew"
            )
        arguments = _arguments(record, options.scenarios.absolute())
        file = record["nodeid"].partition("::")[0]
        if not (options.scenarios / file).is_file():
            return _usage(
                f"{path}: this is a run of {record['scenario']} in {file}, which is not in"
                f" {options.scenarios}; say where its scenarios are with --folder"
            )
    except OSError as error:
        return _usage(f"{path}: {error.strerror}; name the folder of one run, below --out")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _usage(f"{path}: this is not what a run writes ({error}); run the scenario anew")
    out = (options.out or options.folder / "replay").absolute()
    status = run_pytest([*arguments, *evidence_in(out)])
    _compare(options.folder / CAPTURE, sorted(out.glob(f"*/{CAPTURE}")), record["kernel"])
    return status


def _arguments(record: dict[str, Any], folder: Path) -> list[str]:
    arguments = [*COMMON, *rooted_in(folder)]
    arguments += [f"--{role}={peer}" for role, peer in record["peers"].items()]
    for name in ("kernel", "clock"):
        arguments.append(f"--{name}={record[name]}")
    arguments.append(f"--data-plane={record['data_plane']}")
    arguments.append(f"--front-end={record['front_end']}")
    if record["kernel"] != "host":
        arguments.append(f"--seed={record['seed']}")
    return [*arguments, str(folder / record["nodeid"])]


def _compare(before: Path, after: list[Path], kernel: str) -> None:
    if not before.exists() or not after:
        return
    if before.read_bytes() == after[0].read_bytes():
        print("replay: the capture is the same, byte for byte")
        return
    why = " (on the host nothing is the same twice)" if kernel == "host" else ""
    old, new = (read(path).packets for path in (before, after[0]))
    number = next((n for n, (a, b) in enumerate(zip(old, new, strict=False), 1) if a != b), 0)
    where = f"from frame {number} on" if number else f"in length: {len(old)} and {len(new)} frames"
    print(f"replay: the captures differ {where}{why}")


def _usage(sentence: str) -> int:
    print(f"ikelab: {sentence}", file=sys.stderr)
    return 2
