# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 keying material, hashes and initialisation vectors (RFC 2409 section 5, appendix B).

Bodies (`_b` in the RFC) are payloads without their generic header. `prf` is the HMAC of the
negotiated hash. No secret appears in a `repr`.
"""

from dataclasses import dataclass, field

from harness.ike.ciphers import Cipher, cipher
from harness.ike.prfs import hash_output, prf_output
from harness.ike.transforms import Encryption, Integrity, Prf

MESSAGE_ID_SIZE = 4


@dataclass(frozen=True, slots=True)
class Phase1Keys:
    """The secrets of an ISAKMP SA: SKEYID and its three children."""

    skeyid: bytes = field(repr=False)
    d: bytes = field(repr=False)
    a: bytes = field(repr=False)
    e: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Phase1Exchange:
    """The public values of a Main or Aggressive Mode exchange.

    `public_i` and `public_r` are the bodies of the KE payloads, `cookie_i` and `cookie_r` of 8
    bytes, `sa_i` the body of the initiator's SA payload as it was sent.
    """

    public_i: bytes
    public_r: bytes
    cookie_i: bytes
    cookie_r: bytes
    sa_i: bytes


@dataclass(frozen=True, slots=True)
class Phase2Keys:
    """The keys of one IPsec SA; the encryption key includes the salt (RFC 4106 section 8.1)."""

    encryption: bytes = field(repr=False)
    integrity: bytes = field(repr=False)


def skeyid_psk(prf: Prf, secret: bytes, nonce_i: bytes, nonce_r: bytes) -> bytes:
    """SKEYID with a preshared key: prf(secret, Ni_b | Nr_b)."""
    return prf_output(prf, secret, nonce_i + nonce_r)


def skeyid_signature(prf: Prf, nonce_i: bytes, nonce_r: bytes, shared: bytes) -> bytes:
    """SKEYID with signatures: prf(Ni_b | Nr_b, g^xy)."""
    return prf_output(prf, nonce_i + nonce_r, shared)


def phase1_keys(
    prf: Prf, skeyid: bytes, shared: bytes, cookie_i: bytes, cookie_r: bytes
) -> Phase1Keys:
    """SKEYID_d, SKEYID_a and SKEYID_e, each made with the one before."""
    common = shared + cookie_i + cookie_r
    d = prf_output(prf, skeyid, common + b"\x00")
    a = prf_output(prf, skeyid, d + common + b"\x01")
    e = prf_output(prf, skeyid, a + common + b"\x02")
    return Phase1Keys(skeyid, d, a, e)


def cipher_key(prf: Prf, skeyid_e: bytes, encryption: Encryption) -> bytes:
    """Ka, the key that encrypts ISAKMP messages, expanded when SKEYID_e is too short for it."""
    size = encryption.keymat_size
    if len(skeyid_e) >= size:
        return skeyid_e[:size]
    block = prf_output(prf, skeyid_e, b"\x00")
    material = block
    while len(material) < size:
        block = prf_output(prf, skeyid_e, block)
        material += block
    return material[:size]


def hash_i(prf: Prf, skeyid: bytes, exchange: Phase1Exchange, id_body: bytes) -> bytes:
    """HASH_I: prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)."""
    e = exchange
    ordered = e.public_i + e.public_r + e.cookie_i + e.cookie_r
    return prf_output(prf, skeyid, ordered + e.sa_i + id_body)


def hash_r(prf: Prf, skeyid: bytes, exchange: Phase1Exchange, id_body: bytes) -> bytes:
    """HASH_R: prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)."""
    e = exchange
    ordered = e.public_r + e.public_i + e.cookie_r + e.cookie_i
    return prf_output(prf, skeyid, ordered + e.sa_i + id_body)


def _message_id(number: int) -> bytes:
    return number.to_bytes(MESSAGE_ID_SIZE, "big")


def quick_mode_hash1(prf: Prf, skeyid_a: bytes, message_id: int, rest: bytes) -> bytes:
    """HASH(1): prf(SKEYID_a, M-ID | SA | Ni [ | KE ] [ | IDci | IDcr ]).

    `rest` is every octet of the message after the HASH payload, with generic headers and
    without padding. The same formula serves Informational, Transaction and any other exchange
    that is one HASH payload and its rest (RFC 2409 section 5.7).
    """
    return prf_output(prf, skeyid_a, _message_id(message_id) + rest)


def quick_mode_hash2(
    prf: Prf, skeyid_a: bytes, message_id: int, nonce_i: bytes, rest: bytes
) -> bytes:
    """HASH(2): prf(SKEYID_a, M-ID | Ni_b | SA | Nr [ | KE ] [ | IDci | IDcr ])."""
    return prf_output(prf, skeyid_a, _message_id(message_id) + nonce_i + rest)


def quick_mode_hash3(
    prf: Prf, skeyid_a: bytes, message_id: int, nonce_i: bytes, nonce_r: bytes
) -> bytes:
    """HASH(3): prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)."""
    return prf_output(prf, skeyid_a, b"\x00" + _message_id(message_id) + nonce_i + nonce_r)


def informational_hash(prf: Prf, skeyid_a: bytes, message_id: int, rest: bytes) -> bytes:
    """HASH(1) of an Informational Exchange: prf(SKEYID_a, M-ID | N/D)."""
    return quick_mode_hash1(prf, skeyid_a, message_id, rest)


def phase2_keys(
    prf: Prf,
    skeyid_d: bytes,
    protocol: int,
    spi: bytes,
    nonce_i: bytes,
    nonce_r: bytes,
    encryption: Encryption | None,
    integrity: Integrity | None,
    shared: bytes = b"",
) -> Phase2Keys:
    """The keys of the IPsec SA that `spi` names: KEYMAT, cut into encryption and integrity key.

    Each direction has its own: the SPI is that of the SA's receiver. `protocol` is the number of
    the IPsec DOI (2 AH, 3 ESP). `shared` is the Quick Mode's own g^xy with PFS, else empty.
    """
    cipher_size = encryption.keymat_size if encryption else 0
    size = cipher_size + (integrity.key_size if integrity else 0)
    seed = shared + bytes([protocol]) + spi + nonce_i + nonce_r
    block = b""
    material = b""
    while len(material) < size:
        block = prf_output(prf, skeyid_d, block + seed)
        material += block
    return Phase2Keys(material[:cipher_size], material[cipher_size:size])


def initial_iv(prf: Prf, public_i: bytes, public_r: bytes, encryption: Encryption) -> bytes:
    """The IV of the first encrypted phase 1 message: hash(g^xi | g^xr), cut to a block."""
    return hash_output(prf, public_i + public_r)[: encryption.block_size]


def phase2_iv(prf: Prf, last_block: bytes, message_id: int, encryption: Encryption) -> bytes:
    """The IV of the first message of a phase 2 exchange: hash(last phase 1 block | M-ID)."""
    return hash_output(prf, last_block + _message_id(message_id))[: encryption.block_size]


@dataclass(frozen=True, slots=True)
class MessageCipher:
    """Encryption of ISAKMP messages; the caller keeps the IV that goes from one to the next.

    The IV of a message is the last ciphertext block of the one before in the same exchange, sent
    or received (RFC 2409 appendix B); `next_iv` takes it. A message that fails to parse must not
    move the chain, so nothing here has a state.
    """

    block_size: int
    cipher: Cipher = field(repr=False)

    def padding(self, size: int) -> bytes:
        """The zero octets that bring a plaintext of `size` bytes to whole blocks."""
        return bytes(-size % self.block_size)

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """The ciphertext of `plaintext` and its padding."""
        return self.cipher.encrypt(iv, plaintext + self.padding(len(plaintext)))

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """The plaintext with its padding; raises ValueError for a broken block or none."""
        if not ciphertext or len(ciphertext) % self.block_size:
            raise ValueError(
                f"An encrypted ISAKMP body has whole blocks of {self.block_size} bytes, "
                f"not {len(ciphertext)} bytes."
            )
        return self.cipher.decrypt(iv, ciphertext)

    def next_iv(self, ciphertext: bytes) -> bytes:
        """The IV of the message after the one with this ciphertext."""
        return ciphertext[-self.block_size :]


def message_cipher(prf: Prf, skeyid_e: bytes, encryption: Encryption) -> MessageCipher:
    """The cipher of an ISAKMP SA, keyed with Ka."""
    key = cipher_key(prf, skeyid_e, encryption)
    return MessageCipher(encryption.block_size, cipher(encryption, key))
