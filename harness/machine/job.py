# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest is asked to run and what it answers, and how both lie in its memory devices."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.machine.errors import MachineError
from harness.machine.guest import MAGIC, PROJECT, RESULT
from harness.machine.microvm import JOB_SIZE

# A scenario may let days pass in the lab; one that hangs must end all the same.
LAB_LIMIT_S = 7 * 86400.0


@dataclass(frozen=True)
class Job:
    """One pytest item to run: its node id, the options that pytest shall see, and the seed.

    ``limit_s`` is the lab time in seconds after which the item is ended as hung. Nothing in a
    job may tell of the host: equal jobs must give equal results anywhere.
    """

    nodeid: str
    options: Mapping[str, str | int | None] = field(default_factory=dict)
    seed: int = 0
    limit_s: float = LAB_LIMIT_S


@dataclass(frozen=True)
class Result:
    """What came out of one item.

    ``reports`` are pytest's serialised reports, to be given to ``pytest_report_from_serializable``
    as they are. ``artifacts`` is a tar of the run's folder. ``status`` is pytest's exit status in
    the guest, ``output`` the end of what it wrote. Times are in seconds: ``wall_s`` of all,
    ``restore_s`` until the guest ran, ``lab_s`` of the lab's own clock.
    """

    reports: tuple[dict[str, Any], ...]
    artifacts: bytes
    status: int
    output: str
    wall_s: float
    restore_s: float
    lab_s: float

    def unpack(self, folder: Path) -> None:
        """Lay the artifacts down in ``folder``, which is made if need be; files get mode 0600.

        Only files and folders are taken from what a guest has sent, and only below ``folder``:
        raises MachineError for any that would lie elsewhere.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(self.artifacts)) as archive:
            for entry in archive:
                if entry.name.startswith("/") or ".." in Path(entry.name).parts:
                    raise MachineError(f"the guest sent a file that would lie at {entry.name!r}.")
                content = archive.extractfile(entry) if entry.isfile() else None
                if content is not None:
                    _write_secret(folder / entry.name, content.read())
                elif entry.isdir():
                    (folder / entry.name).mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Answer:
    """What a guest left in its out device, before anything is made of it."""

    header: Mapping[str, Any]
    artifacts: bytes


def _write_secret(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)


def encode_job(job: Job) -> bytes:
    """Return the content of the job device for ``job``: the same bytes for equal jobs."""
    return encode_order(
        {
            "nodeid": job.nodeid,
            "options": dict(job.options),
            "seed": job.seed,
            "limit_s": float(job.limit_s),
        }
    )


def encode_order(order: Mapping[str, Any]) -> bytes:
    """Return the content of the job device for an order to the agent; raises MachineError."""
    text = json.dumps(order, sort_keys=True, separators=(",", ":")).encode()
    data = MAGIC + struct.pack("<Q", len(text)) + text
    if len(data) > JOB_SIZE:
        raise MachineError(
            f"This job takes {len(data)} bytes and may take {JOB_SIZE}; shorten its options."
        )
    return data + bytes(JOB_SIZE - len(data))


def decode_answer(path: Path) -> Answer | None:
    """Return what the guest left in the out device's file, or None if it left nothing."""
    with path.open("rb") as file:
        start = file.read(len(RESULT) + 16)
        if start[: len(RESULT)] != RESULT:
            return None
        header_size, archive_size = struct.unpack_from("<QQ", start, len(RESULT))
        header = json.loads(file.read(header_size))
        return Answer(header, file.read(archive_size))


def from_wire(report: Mapping[str, Any], rootdir: Path | None = None) -> dict[str, Any]:
    """Return a serialised report as pytest wants it back: with tuples where JSON has lists.

    With ``rootdir``, paths under the guest's rootdir become paths under this one.
    """
    data = dict(report) if rootdir is None else _relocated(dict(report), str(rootdir))
    if isinstance(data.get("location"), list):
        data["location"] = tuple(data["location"])
    for name in ("sections", "user_properties"):
        if isinstance(data.get(name), list):
            data[name] = [tuple(item) for item in data[name]]
    # The reason of a skip is (path, line, words); a failure's is a mapping or a text.
    if isinstance(data.get("longrepr"), list):
        data["longrepr"] = tuple(data["longrepr"])
    return data


def _relocated(value: Any, rootdir: str) -> Any:
    if isinstance(value, str) and (value == PROJECT or value.startswith(PROJECT + "/")):
        return rootdir + value[len(PROJECT) :]
    if isinstance(value, Mapping):
        return {name: _relocated(item, rootdir) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_relocated(item, rootdir) for item in value]
    return value
