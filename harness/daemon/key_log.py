# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of all SAs in Wireshark's three tables, mode 0600.

Each row is in its file before the message is sent that makes the keys useful.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from harness.capture.secrets import IkeV1Secret, IkeV2Secret, IpsecSecret
from harness.capture.wireshark_tables import (
    ESP_TABLE,
    IKEV1_TABLE,
    IKEV2_TABLE,
    TABLES,
    esp_rows,
    ikev1_rows,
    ikev2_rows,
)
from harness.daemon.steps import Install, LogIkeKeys, LogIsakmpKey
from harness.ike.address import Address
from harness.ike.esp import EspSa


class KeyLogError(Exception):
    """The keys cannot be written down; the text is one sentence for the user."""


class WiresharkKeyLog:
    """A folder with the three tables, which begin empty."""

    def __init__(self, folder: Path) -> None:
        """Open the tables; raises `KeyLogError`."""
        self._files = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in TABLES:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
                self._files[name] = os.open(folder / name, flags, 0o600)
                os.fchmod(self._files[name], 0o600)
        except OSError as error:
            raise KeyLogError(
                f"{folder}: keys cannot be written there: {error.strerror}"
            ) from error

    def isakmp(self, step: LogIsakmpKey) -> None:
        """See KeyLog."""
        secret = IkeV1Secret(step.cookie_i, step.key, skeyid=step.skeyid, skeyid_a=step.skeyid_a)
        self._write(IKEV1_TABLE, ikev1_rows([secret]))

    def ike(self, step: LogIkeKeys) -> None:
        """See KeyLog."""
        keys, suite = step.keys, step.suite
        secret = IkeV2Secret(
            step.spi_i,
            step.spi_r,
            keys.ei,
            keys.er,
            keys.ai,
            keys.ar,
            suite.encryption,
            suite.integrity,
            pi=keys.pi,
            pr=keys.pr,
        )
        self._write(IKEV2_TABLE, ikev2_rows([secret]))

    def child(self, step: Install) -> None:
        """See KeyLog."""
        pair = step.pair
        local, remote = pair.path.local, pair.path.remote
        found = [_half(pair.inbound, remote, local), _half(pair.outbound, local, remote)]
        self._write(ESP_TABLE, esp_rows(found))

    def close(self) -> None:
        """Close the tables."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _write(self, name: str, rows: Iterable[str]) -> None:
        os.write(self._files[name], "".join(f"{row}\n" for row in rows).encode())


def _half(sa: EspSa, source: Address, destination: Address) -> IpsecSecret:
    return IpsecSecret(
        sa.spi,
        destination.host,
        source.host,
        encryption=sa.encryption,
        encryption_key=sa.encryption_key,
        integrity=sa.integrity,
        integrity_key=sa.integrity_key,
        esn=sa.esn,
    )
