# SPDX-License-Identifier: GPL-2.0-or-later
"""The languages in which ikelabd can be configured, each read by its own module when needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from harness.daemon.configuration import ConfigurationError, DaemonConfiguration

if TYPE_CHECKING:
    from harness.daemon.credentials import Credentials

Dialect = Literal["native", "seil", "racoon"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

LARGEST = 1 << 20


def read_file(path: Path, dialect: str, credentials: Credentials) -> DaemonConfiguration:
    """The configuration in a file; raises `ConfigurationError` with a line for each mistake."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if len(octets) > LARGEST:
        raise ConfigurationError(f"{path}: is larger than 1 MiB; is it the right file?")
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}:{line}: is not UTF-8; save it as UTF-8") from None
    return read_text(text, str(path), dialect, credentials)


def read_text(text: str, file: str, dialect: str, credentials: Credentials) -> DaemonConfiguration:
    """The configuration in a text that is said to be from a file."""
    match dialect:
        case "seil":
            from harness.daemon.seil.dialect import read_seil

            return read_seil(text, file)
        case "racoon":
            from harness.daemon.racoon.dialect import read_racoon

            return read_racoon(text, file, credentials.private_key)
        case _:
            from harness.daemon.native.dialect import read_toml

            return read_toml(text, file, credentials)
