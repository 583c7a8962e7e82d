# SPDX-License-Identifier: GPL-2.0-or-later
"""Pre-shared keys in the configurations that a run keeps of its daemons.

They prove what decryption keys cannot: whose key an AUTH or HASH payload was made with.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.capture.secrets import Reading, Secrets, SharedSecret

CONFIGURATION = "configuration"
"""The folder in a node's, with what its daemon was given."""

_IPSEC_SECRET = re.compile(r'[^#\n]*:\s*PSK\s+("[^"]*"|\S+)')
_SECTION = re.compile(r"\s*([\w.-]+)\s*\{\s*$")
_SWANCTL_SECRET = re.compile(r'\s*secret\s*=\s*("[^"]*"|\S+)\s*$')
_SEIL_SECRET = re.compile(r"\s*interface\.ipsec\d+\.preshared-key\s*:\s*(\S+)\s*$")
_HEX, _BASE64 = "0x", "0s"


def read_vici(path: Path) -> Reading:
    """The key in a run's copy of what VICI's ``load-shared`` was given."""
    return _read(path, _of_vici)


def read_ipsec_secrets(path: Path) -> Reading:
    """The PSK lines of an ``ipsec.secrets``."""
    return _read(path, _of_ipsec_secrets)


def read_swanctl(path: Path) -> Reading:
    """The ``ike`` secrets of a ``swanctl.conf``."""
    return _read(path, _of_swanctl)


def read_ikelabd(path: Path) -> Reading:
    """The secrets of an ikelabd's own configuration."""
    return _read(path, _of_ikelabd)


def read_seil(path: Path) -> Reading:
    """The pre-shared keys of a SEIL router's configuration."""
    return _read(path, _of_seil)


def _read(path: Path, of: Callable[[str], Iterator[bytes]]) -> Reading:
    holder = _holder(path)
    try:
        keys = list(of(path.read_text()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Reading(problems=(f"{path} cannot be read ({error}); its keys are not used",))
    return Reading(Secrets(shared=tuple(SharedSecret(one, holder, str(path)) for one in keys)))


def _holder(path: Path) -> str:
    """The node whose configuration this is: the folder above it has its name."""
    parts = path.parts
    return parts[parts.index(CONFIGURATION) - 1] if CONFIGURATION in parts[1:] else path.name


def _of_vici(text: str) -> Iterator[bytes]:
    request = json.loads(text)
    if str(request["type"]).upper() == "IKE":
        yield str(request["data"]).encode()


def _of_ipsec_secrets(text: str) -> Iterator[bytes]:
    for line in text.splitlines():
        found = _IPSEC_SECRET.match(line)
        if found is not None:
            yield _octets(found.group(1))


def _of_swanctl(text: str) -> Iterator[bytes]:
    sections: list[str] = []
    for line in text.splitlines():
        if section := _SECTION.match(line):
            sections.append(section.group(1))
        elif line.strip() == "}":
            sections = sections[:-1]
        elif sections[:1] == ["secrets"] and sections[-1].startswith("ike"):
            secret = _SWANCTL_SECRET.match(line)
            if secret is not None:
                yield _octets(secret.group(1))


def _of_ikelabd(text: str) -> Iterator[bytes]:
    for connection in tomllib.loads(text).get("connection", {}).values():
        if isinstance(connection.get("secret"), str):
            yield connection["secret"].encode()


def _of_seil(text: str) -> Iterator[bytes]:
    for line in text.splitlines():
        found = _SEIL_SECRET.match(line)
        if found is not None:
            yield found.group(1).encode()


def _octets(text: str) -> bytes:
    """The octets of a secret as strongSwan writes it: quoted, 0x and hexadecimal, 0s and base64."""
    if text.startswith('"'):
        return text.strip('"').encode()
    try:
        if text.startswith(_HEX):
            return bytes.fromhex(text[2:])
        if text.startswith(_BASE64):
            return base64.b64decode(text[2:], validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("a secret is neither hexadecimal nor base64 as it says") from None
    return text.encode()
