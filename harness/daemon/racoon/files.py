# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that a racoon.conf names: certificates, keys, preshared keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import Certificate

from harness.daemon.racoon.lexer import Misplaced, Token
from harness.ike.certificates import CertificateFailure, load_certificates
from harness.ike.signatures import PrivateKey
from harness.ike.v1.configuration import PreSharedKey, Signer

LoadKey = Callable[[bytes], PrivateKey]
"""Reads a private key in PEM or DER; raises `CertificateFailure`."""

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""What ``openssl x509 -hash`` is used for: links by which racoon finds authorities."""


def below(root: Path, folder: Path, path: str) -> Path:
    """A path in `folder`, or below `root` where it is absolute."""
    return root / path.lstrip("/") if path.startswith("/") else folder / path


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """``certificate_type x509``: the files of the own certificate and of its key."""

    certificate: Token
    key: Token


@dataclass(frozen=True, slots=True)
class Files:
    """Where files are: `certificates` is a folder, `secrets` names the file of preshared keys.

    `load_key` gives a private key; see `Credentials.private_key`. Absolute paths are below `root`.
    """

    certificates: Path
    secrets: Token | None
    load_key: LoadKey
    root: Path = Path("/")

    def signature(self, own: OwnCertificate, authority: Token | None) -> Signer:
        """The credentials of an end with a certificate; raises `Misplaced`."""
        chain = self._certificates(own.certificate)
        try:
            key = self.load_key(self._read(own.key))
        except CertificateFailure as failure:
            raise Misplaced(own.key, str(failure)) from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Misplaced(own.key, "rsasig needs an RSA key")
        if key.public_key() != chain[0].public_key():
            raise Misplaced(own.key, f"this is not the key of {own.certificate}")
        named = [authority] if authority else self._linked(own.certificate)
        anchors = (one for token in named for one in self._certificates(token))
        return Signer(chain, key, tuple(dict.fromkeys(anchors)))

    def secret(self, peer: str, asked: Token) -> PreSharedKey:
        """The preshared key of a peer, by its address; raises `Misplaced`."""
        if self.secrets is None:
            raise Misplaced(asked, "this needs the file of keys; add path pre_shared_key")
        for line in self._read(self.secrets).splitlines():
            words = line.split(maxsplit=1)
            if len(words) == 2 and words[0] == peer.encode():
                return PreSharedKey(words[1].rstrip())
        raise Misplaced(self.secrets, f"this file has no line {peer} KEY")

    def _certificates(self, token: Token) -> tuple[Certificate, ...]:
        try:
            found = load_certificates(self._read(token))
        except CertificateFailure as failure:
            raise Misplaced(token, str(failure)) from None
        if not found:
            raise Misplaced(token, "this file has no certificate")
        return found

    def _read(self, token: Token) -> bytes:
        path = below(self.root, self.certificates, token.text)
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "this is no path"
            raise Misplaced(token, f"{path} cannot be read: {why}") from None

    def _linked(self, own: Token) -> list[Token]:
        """The authorities that stand in the folder of certificates under their hash."""
        folder = self.certificates
        try:
            names = sorted(one.name for one in folder.iterdir() if _HASHED.fullmatch(one.name))
        except (OSError, ValueError):
            names = []
        if not names:
            raise Misplaced(
                own,
                f"{folder} has no authority to check the peer with; name one with ca_type x509, or"
                " link one by its hash",
            )
        return [Token(name, own.line, quoted=True) for name in names]
