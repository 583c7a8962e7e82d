# SPDX-License-Identifier: GPL-2.0-or-later
"""A Wireshark profile that opens a run's capture decrypted.

    write_profile(run / "wireshark", decryption.secrets)

Wireshark takes profiles from its configuration folder only, which the environment variable
WIRESHARK_CONFIG_DIR names: `WIRESHARK_CONFIG_DIR=RUN/wireshark wireshark -r RUN/capture.pcapng`.
The files hold keys: they are for their owner alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from harness.capture.secrets import Secrets
from harness.capture.wireshark_tables import (
    ESP_TABLE,
    IKEV1_TABLE,
    IKEV2_TABLE,
    esp_rows,
    ikev1_rows,
    ikev2_rows,
)

PREFERENCES = "preferences"
CONFIGURATION_VARIABLE = "WIRESHARK_CONFIG_DIR"
_HEADLINE = "# Written by ikelab. It holds keys; give it to nobody who may not read the traffic.\n"
_PREFERENCES = (
    ("esp.enable_encryption_decode", "TRUE"),
    ("esp.enable_authentication_check", "TRUE"),
    ("esp.do_esp_sequence_analysis", "TRUE"),
    # Without a key ESP is not guessed to be NULL encryption: it would be shown as what it is not.
    ("esp.enable_null_encryption_decode_heuristic", "FALSE"),
    ("udp.check_checksum", "FALSE"),
    ("nameres.mac_name", "FALSE"),
    ("nameres.transport_name", "FALSE"),
    ("nameres.network_name", "FALSE"),
)


def write_profile(folder: Path, secrets: Secrets) -> None:
    """Write tables and preferences into the folder, which is made; raises OSError.

    Secrets whose SA is not known are left out, and what Wireshark knows no algorithm for is a
    comment to it. Existing files of these names are replaced.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / IKEV1_TABLE, ikev1_rows(secrets.ike_v1))
    _write(folder / IKEV2_TABLE, ikev2_rows(secrets.ike_v2))
    _write(folder / ESP_TABLE, esp_rows(secrets.ipsec))
    _write(folder / PREFERENCES, (f"{name}: {value}" for name, value in _PREFERENCES))


def environment(profile: Path) -> dict[str, str]:
    """What to add to a program's environment so that it uses the profile, and only that."""
    return {CONFIGURATION_VARIABLE: str(profile.resolve())}


def _write(path: Path, lines: Iterable[str]) -> None:
    # A new file from the start: an old one may be open to others, or be a link.
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(_HEADLINE)
        file.writelines(f"{line}\n" for line in dict.fromkeys(lines))
