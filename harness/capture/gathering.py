# SPDX-License-Identifier: GPL-2.0-or-later
"""The secrets in a folder: a run's evidence, a Wireshark profile, or both.

reading = secrets_in(run)
decryption = decrypt(load(run / "capture.pcapng").frames, reading.secrets)
write_profile(run / "wireshark", decryption.secrets)
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from harness.capture.configured import (
    CONFIGURATION,
    read_ikelabd,
    read_ipsec_secrets,
    read_seil,
    read_swanctl,
    read_vici,
)
from harness.capture.kernel_sas import read_events, read_sad
from harness.capture.secrets import Gathering, Reading
from harness.capture.strongswan_log import read_log
from harness.capture.wireshark_tables import TABLES, read_table

Reader = Callable[[Path], Reading]

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        **dict.fromkeys(TABLES, read_table),
        "sad.json": read_sad,
        "events.jsonl": read_events,
        "charon-keys.log": read_log,
        f"{CONFIGURATION}/load-shared.json": read_vici,
        f"{CONFIGURATION}/etc/ipsec.secrets": read_ipsec_secrets,
        f"{CONFIGURATION}/etc/swanctl/swanctl.conf": read_swanctl,
        f"{CONFIGURATION}/run/ikelabd.native": read_ikelabd,
        f"{CONFIGURATION}/run/ikelabd.seil": read_seil,
        f"{CONFIGURATION}/run/seil.conf": read_seil,
    }
)
"""What is read by which name, in the order of how much it proves: tables name their SAs."""


def secrets_in(folder: Path, without: Container[str] = ()) -> Reading:
    """Everything that the folder and the folders in it hold; one sentence where that is nothing.

    Folders in it whose name is in `without` are passed over.
    """
    gathering = Gathering()
    found = False
    for read, path in sources_in(folder, without):
        gathering.take(read(path))
        found = True
    if not found:
        names = ", ".join(name for name in READERS if CONFIGURATION not in name)
        return Reading(problems=(f"{folder} holds no secrets; they are in files named {names}",))
    return gathering.reading()


def sources_in(folder: Path, without: Container[str] = ()) -> Iterator[tuple[Reader, Path]]:
    """The files in the folder, and in those in it, that hold secrets, and what reads each."""
    for name, read in READERS.items():
        if (folder / name).is_file():
            yield read, folder / name
        for path in sorted(folder.glob(f"*/{name}")):
            if path.is_file() and path.relative_to(folder).parts[0] not in without:
                yield read, path
