# SPDX-License-Identifier: GPL-2.0-or-later
"""Distinguished names of ID payloads, read from DER."""

from __future__ import annotations

from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

EMPTY = b"\x30\x00"


def read_name(der: bytes) -> x509.Name | None:
    """The name that these octets are, or None; it stands where the subject of a request does.

    `cryptography` reads names inside certificates and requests only, and a request can be put
    together by hand: its signature is not looked at.
    """
    if not der or der[0] != EMPTY[0]:
        return None
    info, rest = _template()
    inside = info[0] + der + info[1]
    try:
        return x509.load_der_x509_csr(_sequence(_sequence(inside) + rest)).subject
    except ValueError:
        return None


@cache
def _template() -> tuple[tuple[bytes, bytes], bytes]:
    """What stands before and behind the subject of a request, and behind what is signed."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    signed = request.tbs_certrequest_bytes
    whole = request.public_bytes(Encoding.DER)
    inside = signed[2:] if signed[1] < 0x80 else signed[2 + (signed[1] & 0x7F) :]
    before, _, behind = inside.partition(EMPTY)
    return (before, behind), whole[whole.index(signed) + len(signed) :]


def _sequence(body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes([EMPTY[0], size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([EMPTY[0], 0x80 | len(octets)]) + octets + body
