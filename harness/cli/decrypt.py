# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab decrypt``: the ladder of a capture from anywhere, with the keys in a folder.

It must start fast, so that what only this command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.capture.decryption import Decryption
    from harness.capture.secrets import Secrets

USAGE = 2


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "decrypt",
        help="show who said what in a capture, decrypted",
        description="Show the messages of a pcap or pcapng file, one line each, decrypted where "
        "DIR holds the keys, and why a packet could not be. DIR is the folder of a run, or has "
        "Wireshark's tables ikev1_decryption_table, ikev2_decryption_table and esp_sa.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "capture",
        type=Path,
        metavar="CAPTURE",
        help="a pcap or pcapng file, or the folder of a run, which has its keys",
    )
    parser.add_argument("--secrets", type=Path, metavar="DIR", help="where the keys are")
    parser.add_argument("--verbose", action="store_true", help="show every field of each message")
    parser.add_argument(
        "--guess",
        type=Path,
        metavar="WORDS",
        help="try each line of a file as the preshared key of an Aggressive Mode exchange",
    )
    parser.set_defaults(command=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Print the ladder; 2 when there is no capture to read, or nothing with keys in DIR."""
    from harness.capture.captured import load
    from harness.capture.decryption import decrypt
    from harness.capture.gathering import secrets_in, sources_in
    from harness.capture.ladder import write_ladder
    from harness.capture.presentation import CAPTURE
    from harness.capture.secrets import Reading

    if (options.capture / CAPTURE).is_file():
        options.secrets = options.secrets or options.capture
        options.capture /= CAPTURE
    try:
        captured = load(options.capture)
    except OSError as error:
        return _refuse(f"{options.capture} cannot be read: {error.strerror}")
    except MemoryError:
        return _refuse(f"{options.capture} is larger than this machine's memory; cut it first")
    if not captured.frames and captured.problems:
        return _refuse(*(f"{options.capture}: {problem}" for problem in captured.problems))
    try:
        words = None if options.guess is None else options.guess.read_bytes().splitlines()
    except OSError as error:
        return _refuse(f"{options.guess} cannot be read: {error.strerror}")
    reading = Reading() if options.secrets is None else secrets_in(options.secrets)
    if options.secrets is not None and not any(sources_in(options.secrets)):
        return _refuse(*reading.problems)
    for problem in (*(f"{options.capture}: {one}" for one in captured.problems), *reading.problems):
        print(f"ikelab: {problem}", file=sys.stderr)
    found = decrypt(captured.frames, reading.secrets)
    write_ladder(sys.stdout, found.entries, verbose=options.verbose)
    sys.stdout.flush()
    _explain(options.secrets, found, reading.secrets)
    if words is not None:
        _guess(found, words)
    return 0


def _guess(found: Decryption, words: Sequence[bytes]) -> None:
    """Say whether a word is the preshared key of an Aggressive Mode exchange in the capture."""
    from harness.capture.psk_guess import guess, openings

    count = sum(1 for _ in openings(found.entries))
    guessed = guess(found.entries, words)
    if guessed is not None:
        print(f"\nguess: the preshared key is {guessed.secret.decode(errors='backslashreplace')!r}")
        print(f"{guessed}")
    elif count:
        print(f"\nguess: none of {len(words)} words is the preshared key")
    else:
        print("\nguess: no first two messages of Aggressive Mode with a preshared key are there")


def _explain(folder: Path | None, found: Decryption, secrets: Secrets) -> None:
    """Say why negotiations of the capture failed; the folder of a run has the configurations."""
    from harness.verdict.diagnosis.attempts import failures

    if not any(failures(found.entries)):
        return
    from harness.verdict.diagnosis.evidence import diagnose_run
    from harness.verdict.diagnosis.text import text

    diagnoses = diagnose_run(folder, found, secrets)
    if diagnoses:
        print(f"\n{text(diagnoses)}", flush=True)


def _refuse(*sentences: str) -> int:
    for sentence in sentences:
        print(f"ikelab: {sentence}", file=sys.stderr)
    return USAGE
