# SPDX-License-Identifier: GPL-2.0-or-later
"""``my_identifier`` and ``peers_identifier`` of a racoon.conf."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.x509 import Name, NameAttribute
from cryptography.x509.oid import NameOID

from harness.daemon.racoon.lexer import Misplaced, Token
from harness.daemon.racoon.syntax import Arguments
from harness.daemon.racoon.values import address
from harness.ike.v1.identity import Identity, address_identity, dn_identity, name_identity

KINDS = ("address", "fqdn", "user_fqdn", "keyid", "asn1dn")

_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """What kind of identity, and which; None is what the end has: its address or its subject."""

    token: Token
    kind: str
    identity: Identity | None


def identifier(arguments: Arguments) -> Identifier:
    """The identity that a statement gives."""
    kind = arguments.take("a kind of identity")
    if kind.text not in KINDS:
        raise Misplaced(kind, f"a kind of identity is one of {', '.join(KINDS)}")
    if not arguments:
        if kind.text not in ("address", "asn1dn"):
            raise Misplaced(arguments.here, "the identity is missing before this")
        return Identifier(kind, kind.text, None)
    token = arguments.take("an identity")
    return Identifier(kind, kind.text, _identity(kind.text, token))


def _identity(kind: str, token: Token) -> Identity:
    match kind:
        case "address":
            return address_identity(address(token))
        case "asn1dn":
            return dn_identity(_distinguished_name(token))
        case "keyid":
            raise Misplaced(token, "ikelabd has no keyid read from a file; use fqdn or address")
    if not token.text.isascii() or not token.text or not token.text.isprintable():
        raise Misplaced(token, "a name in ASCII is expected here")
    if (kind == "user_fqdn") != ("@" in token.text):
        raise Misplaced(token, "a user_fqdn has an @, and an fqdn has none")
    return name_identity(token.text)


def _distinguished_name(token: Token) -> bytes:
    """A name such as ``C=CH, O=Example, CN=moon`` in DER."""
    attributes = []
    for part in re.split(r"\s*,\s*", token.text.strip()):
        kind, equals, value = part.partition("=")
        if not equals or kind.strip() not in _ATTRIBUTES:
            raise Misplaced(
                token, f"a distinguished name is TYPE=VALUE, with types {', '.join(_ATTRIBUTES)}"
            )
        try:
            attributes.append(NameAttribute(_ATTRIBUTES[kind.strip()], value.strip()))
        except ValueError as error:
            raise Misplaced(token, f"{part} is no part of a distinguished name: {error}") from None
    return Name(attributes).public_bytes()
