# SPDX-License-Identifier: GPL-2.0-or-later
"""Identities as the field writes them, for both IKE versions."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from harness.daemon.native.table import Unusable
from harness.ike.constants_v2 import IdType
from harness.ike.v1.identity import Identity as IdentityV1
from harness.ike.v2.connection import Identity as IdentityV2


@dataclass(frozen=True, slots=True)
class Who:
    """An identity: its ID type, the same number in both versions, and its data."""

    type: int
    data: bytes

    @property
    def v1(self) -> IdentityV1:
        """The identity for IKEv1."""
        return IdentityV1(self.type, self.data)

    @property
    def v2(self) -> IdentityV2:
        """The identity for IKEv2."""
        return IdentityV2(self.type, self.data)


def identity_of(text: str) -> Who:
    """What a text names: an address, ``moon.example`` or ``@moon.example``, ``carol@example``.

    With a ``=`` in it, it is the subject of a certificate: ``C=CH, O=ikelab, CN=moon``. Raises
    `Unusable`.
    """
    if not text.strip():
        raise Unusable("is empty: name an address, a host, user@host, or a certificate's subject")
    try:
        address = ip_address(text)
    except ValueError:
        pass
    else:
        return Who(IdType.IPV4_ADDR if address.version == 4 else IdType.IPV6_ADDR, address.packed)
    if "=" in text:
        return Who(IdType.DER_ASN1_DN, _subject(text))
    if not text.isascii():
        raise Unusable(f"{text!r} has letters that no host name has")
    if text.startswith("@"):
        return Who(IdType.FQDN, text[1:].encode())
    return Who(IdType.RFC822_ADDR if "@" in text else IdType.FQDN, text.encode())


def _subject(text: str) -> bytes:
    from cryptography import x509

    try:
        # RFC 4514 begins with the last part, people with the first.
        parts = [part.strip() for part in text.split(",")]
        return x509.Name.from_rfc4514_string(",".join(reversed(parts))).public_bytes()
    except ValueError as error:
        raise Unusable(f"{text!r} is no certificate's subject ({error})") from None
