# SPDX-License-Identifier: GPL-2.0-or-later
"""What an end proves itself with, read from a configuration: texts, or files beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.daemon.native.table import Table, Unusable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from harness.ike.signatures import PrivateKey

_PEM = "-----BEGIN"


@dataclass(frozen=True)
class Secret:
    """A pre-shared key."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True)
class Certified:
    """A certificate and those above it, its key, and the authorities that the peer may have."""

    chain: tuple[Certificate, ...]
    key: PrivateKey = field(repr=False)
    anchors: tuple[Certificate, ...]


class Credentials:
    """Reads credentials; what has been read is kept, so that a reload finds it unchanged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificates: dict[bytes, tuple[Certificate, ...]] = {}
        self._keys: dict[bytes, PrivateKey] = {}

    def read(self, table: Table) -> Secret | Certified | None:
        """The credentials of a connection; None after a complaint."""
        if table.has("certificate"):
            return self._certified(table)
        for name in ("private-key", "authority"):
            if table.has(name):
                table.complain(name, "is of no use without a certificate; add certificate = …")
                table.texts(name)
        if not (table.has("secret") or table.has("secret-file")):
            table.complain("secret", "is missing; add secret = … or certificate = …")
            return None
        octets = table.made("secret", _secret, b"") or table.made("secret-file", self._file, b"")
        return Secret(octets.strip(b"\r\n")) if octets else None

    def _certified(self, table: Table) -> Certified | None:
        if table.has("secret") or table.has("secret-file"):
            table.complain("secret", "stands beside a certificate; keep one of the two")
        for name in ("private-key", "authority"):
            if not table.has(name):
                table.complain(name, f"is missing beside the certificate; add {name} = …")
        chain = table.made("certificate", self._chain, None)
        key = table.made("private-key", self._key, None)
        anchors = table.all_made("authority", self._chain)
        if not chain or key is None or not anchors:
            return None
        return Certified(chain, key, tuple(one for each in anchors for one in each))

    def _file(self, text: str) -> bytes:
        if text.startswith(_PEM):
            return text.encode()
        path = self._folder / text
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise Unusable(f"{path} cannot be read: {why}") from None

    def _chain(self, text: str) -> tuple[Certificate, ...]:
        from harness.ike.certificates import CertificateFailure, load_certificates

        octets = self._file(text)
        if octets not in self._certificates:
            try:
                self._certificates[octets] = load_certificates(octets)
            except CertificateFailure as failure:
                raise Unusable(f"holds no certificate: {failure}") from None
        return self._certificates[octets]

    def private_key(self, octets: bytes) -> PrivateKey:
        """The private key in PEM or DER, the same object for the same octets.

        Two objects of one key are not equal. Raises `CertificateFailure`.
        """
        from harness.ike.certificates import load_private_key

        if octets not in self._keys:
            self._keys[octets] = load_private_key(octets)
        return self._keys[octets]

    def _key(self, text: str) -> PrivateKey:
        from harness.ike.certificates import CertificateFailure

        try:
            return self.private_key(self._file(text))
        except CertificateFailure as failure:
            raise Unusable(f"holds no usable private key: {failure}") from None


def _secret(text: str) -> bytes:
    if not text:
        raise Unusable("is empty; a secret has one octet at least")
    if text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            raise Unusable("begins with 0x and is not hexadecimal") from None
    return text.encode()
