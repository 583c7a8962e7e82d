# SPDX-License-Identifier: GPL-2.0-or-later
"""The diagnoses of a run from its folder, and as plain values for `diagnosis.json`.

found = diagnose_run(folder, decryption, secrets)
write_diagnoses(folder, found)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.capture.decryption import Decryption
from harness.capture.secrets import Secrets
from harness.verdict.diagnosis.configurations import wishes_in
from harness.verdict.diagnosis.context import Circumstances, Exit
from harness.verdict.diagnosis.explanation import diagnose
from harness.verdict.diagnosis.findings import Diagnosis
from harness.verdict.diagnosis.text import text

TEXT, VALUES = "diagnosis.txt", "diagnosis.json"
EVENTS = "events.jsonl"
_EXITED = re.compile(r"Exited\(status=(-?\d+)\)")


def diagnose_run(
    folder: Path | None, decryption: Decryption, secrets: Secrets
) -> tuple[Diagnosis, ...]:
    """Why negotiations of a run failed; `secrets` are all that were found, proved or not.

    A capture without the folder of a run has no configurations.
    """
    return diagnose(
        Circumstances(
            decryption.entries,
            secrets.joined(decryption.secrets),
            wishes_in(folder) if folder else (),
            exits_in(folder) if folder else {},
        )
    )


def exits_in(folder: Path) -> dict[str, Exit]:
    """The daemons of a run that ended, by node; nothing where the run kept no events."""
    found: dict[str, Exit] = {}
    try:
        lines = (folder / EVENTS).read_text(errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        exited = _EXITED.search(line)
        if exited is None:
            continue
        with contextlib.suppress(ValueError, KeyError, TypeError):
            event = json.loads(line)
            found[str(event["node"])] = Exit(int(exited.group(1)), int(event["time_ns"]))
    return found


def write_diagnoses(folder: Path, found: Sequence[Diagnosis]) -> None:
    """Write `diagnosis.txt` and `diagnosis.json` into a run's folder; raises OSError.

    Without a diagnosis there is neither, even where an earlier run left them.
    """
    for name in (TEXT, VALUES):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    if found:
        _write(folder / TEXT, text(found) + "\n")
        _write(folder / VALUES, json.dumps(as_values(found), indent=1) + "\n")


def text_of(folder: Path) -> str:
    """What `diagnosis.txt` of a run's folder says; empty where there is none."""
    try:
        return (folder / TEXT).read_text(errors="replace")
    except OSError:
        return ""


def read_diagnoses(folder: Path) -> list[dict[str, Any]]:
    """What `diagnosis.json` of a run's folder holds; nothing where there is none."""
    try:
        values = json.loads((folder / VALUES).read_text())
    except (OSError, ValueError):
        return []
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def as_values(found: Iterable[Diagnosis]) -> list[dict[str, Any]]:
    """Diagnoses as `results.json` has them."""
    return [
        {
            "cause": one.cause.value,
            "sentence": one.sentence,
            "proved": one.proved,
            "asker": one.asker,
            "refuser": one.refuser,
            "exchange": one.exchange,
            "notify": one.notify,
            "differing": {row.what: [row.offered, row.wanted] for row in one.differing},
            "remedies": [
                {
                    "node": each.node,
                    "setting": each.setting.value,
                    "text": each.spelled.text,
                    "instead": each.spelled.instead,
                    "where": each.spelled.where,
                }
                for each in one.remedies
            ],
            "frames": list(one.frames),
            "times": one.times,
        }
        for one in found
    ]


def _write(path: Path, content: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
