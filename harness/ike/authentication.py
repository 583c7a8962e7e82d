# SPDX-License-Identifier: GPL-2.0-or-later
"""What IKEv2 peers sign or MAC to prove who they are (RFC 7296 section 2.15, RFC 9242).

The octets made here go to `psk_auth` below or to harness.ike.signatures.
"""

import hmac

from harness.ike.prfs import prf_output
from harness.ike.transforms import Prf

KEY_PAD = b"Key Pad for IKEv2"
MESSAGE_ID_SIZE = 4


def signed_octets(
    prf: Prf, message: bytes, peer_nonce: bytes, sk_p: bytes, id_body: bytes, int_auth: bytes = b""
) -> bytes:
    """The octets that one end authenticates: RealMessage | Nonce | prf(SK_p, ID') | [IntAuth].

    For the initiator: `message` is the last IKE_SA_INIT request it sent, whole and without the
    non-ESP marker, `peer_nonce` Nr, `sk_p` SK_pi and `id_body` its ID payload after the generic
    header; for the responder its response, Ni, SK_pr and IDr. `int_auth` comes from `int_auth`
    when there were IKE_INTERMEDIATE exchanges (RFC 9242 section 3.3.2).
    """
    return message + peer_nonce + prf_output(prf, sk_p, id_body) + int_auth


def psk_auth(prf: Prf, secret: bytes, octets: bytes) -> bytes:
    """AUTH data of a shared key: prf(prf(secret, "Key Pad for IKEv2"), octets).

    `secret` is a preshared key or the MSK of an EAP method (RFC 7296 section 2.15 and 2.16).
    """
    return prf_output(prf, prf_output(prf, secret, KEY_PAD), octets)


def psk_auth_matches(prf: Prf, secret: bytes, octets: bytes, auth: bytes) -> bool:
    """Whether `auth` is what `secret` makes, compared in constant time."""
    return hmac.compare_digest(psk_auth(prf, secret, octets), auth)


def intermediate_auth(
    prf: Prf, sk_p: bytes, previous: bytes, header_part: bytes, plaintext: bytes
) -> bytes:
    """IntAuth_i*N or IntAuth_r*N of one IKE_INTERMEDIATE message (RFC 9242 section 3.3.2).

    prf(SK_p, [previous] | A | P): `header_part` is A, from the start of the IKE header to the
    end of the Encrypted payload's generic header with the lengths as if it held `plaintext` and
    nothing else; `plaintext` is P, the inner payloads without padding. `previous` is the value
    of the exchange before, empty for the first; `sk_p` the key in use when the exchange began.
    """
    return prf_output(prf, sk_p, previous + header_part + plaintext)


def int_auth(last_i: bytes, last_r: bytes, auth_message_id: int) -> bytes:
    """IntAuth: both last values and the Message ID of the first IKE_AUTH request.

    Both values come first to last from `intermediate_auth`; the id is in network order.
    """
    return last_i + last_r + auth_message_id.to_bytes(MESSAGE_ID_SIZE, "big")
