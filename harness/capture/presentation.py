# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's folder made readable: the ladder of its capture, and a Wireshark profile with its keys.

    present(folder)             writes `ladder.txt` and `wireshark/`
    ladder_of(folder)           the same lines, for a terminal

Both read what the run left: its capture, key logs, SADs, events and configurations. A capture that
cannot be read is a sentence in the ladder, never an error: the run has its verdict already.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.capture.captured import load
from harness.capture.decryption import Decryption, decrypt
from harness.capture.gathering import secrets_in
from harness.capture.ladder import PLAIN, Colours, ladder
from harness.capture.secrets import NO_SECRETS, Secrets
from harness.capture.wireshark import write_profile

CAPTURE = "capture.pcapng"
LADDER = "ladder.txt"
PROFILE = "wireshark"


class Told(NamedTuple):
    """A run's capture decrypted, and a sentence for each part that could not be used.

    Sentences name files relative to the run's folder, so that equal runs are told alike. `secrets`
    are all that the folder holds, those too that no packet proved.
    """

    decryption: Decryption
    problems: tuple[str, ...]
    secrets: Secrets = NO_SECRETS


NOTHING = Told(Decryption((), NO_SECRETS), ())


def told_by(folder: Path) -> Told:
    """What a run's folder says of its capture; what cannot be read is a sentence."""
    try:
        captured = load(folder / CAPTURE)
    except OSError as error:
        return Told(Decryption((), NO_SECRETS), (f"{CAPTURE} cannot be read: {error.strerror}",))
    reading = secrets_in(folder, without=(PROFILE,))
    problems = (*(f"{CAPTURE}: {one}" for one in captured.problems), *reading.problems)
    relative = tuple(one.replace(f"{folder}{os.sep}", "") for one in problems)
    return Told(decrypt(captured.frames, reading.secrets), relative, reading.secrets)


def present(folder: Path) -> Told:
    """Write `ladder.txt` and the profile `wireshark/` into a run's folder; raises OSError.

    Returns what was told, which holds nothing where that went wrong.
    """
    told = NOTHING
    try:
        told = told_by(folder)
        lines = list(_lines(told, PLAIN))
    except OSError:
        raise
    except Exception as error:
        # Whatever peers put onto a wire, it must not take down a run that has its verdict.
        lines = [f"{CAPTURE} could not be told, which is a fault of ikelab: {error!r}"]
    else:
        write_profile(folder / PROFILE, told.decryption.secrets)
    path = folder / LADDER
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return told


def ladder_of(folder: Path, colours: Colours = PLAIN) -> Iterator[str]:
    """The lines of a run's ladder, and the sentences about what could not be used."""
    return _lines(told_by(folder), colours)


def _lines(told: Told, colours: Colours) -> Iterator[str]:
    yield from ladder(told.decryption.entries, colours=colours)
    yield from told.problems
