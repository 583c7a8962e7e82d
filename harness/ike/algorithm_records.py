# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of algorithm, as records: numbers in IKEv1 and IKEv2, sizes, names in each dialect.

The records themselves are in `harness.ike.transforms`, which re-exports these types.

Sizes are bytes unless a name ends in `bits`. An id that a protocol does not have is `None`, and
so is a name that a dialect does not have. Algorithms marked `weak` (RFC 8221, 8247, 9395: SHOULD
NOT or MUST NOT) are for those who ask for them by name, never for a default proposal.
"""

from dataclasses import dataclass
from enum import StrEnum


class Dialect(StrEnum):
    """The languages that name algorithms."""

    STRONGSWAN = "strongswan"
    RACOON = "racoon"
    SEIL = "seil"
    SETKEY = "setkey"
    XFRM = "xfrm"
    WIRESHARK_IKE = "wireshark_ike"
    WIRESHARK_ESP = "wireshark_esp"


@dataclass(frozen=True, slots=True)
class Names:
    """What each dialect calls an algorithm; `None` where it does not exist there.

    `xfrm` is the Linux kernel's template name, `wireshark_ike` and `wireshark_esp` the words of
    the `ikev2_decryption_table` and `esp_sa` tables. `also` holds further spellings that any
    dialect's reader may meet.
    """

    strongswan: str | None = None
    racoon: str | None = None
    seil: str | None = None
    setkey: str | None = None
    xfrm: str | None = None
    wireshark_ike: str | None = None
    wireshark_esp: str | None = None
    also: tuple[str, ...] = ()

    def of(self, dialect: Dialect) -> str | None:
        """The name in `dialect`, or `None`."""
        name: str | None = getattr(self, dialect.value)
        return name


class CipherKind(StrEnum):
    """How an encryption algorithm works on a packet."""

    CBC = "cbc"
    CTR = "ctr"
    GCM = "gcm"
    CCM = "ccm"
    CHACHA = "chacha20-poly1305"
    GMAC = "gmac"
    NULL = "null"


COMBINED_KINDS = frozenset({CipherKind.GCM, CipherKind.CCM, CipherKind.CHACHA, CipherKind.GMAC})


@dataclass(frozen=True, slots=True)
class Encryption:
    """An encryption algorithm with one key length.

    `key_bits` excludes the salt; `key_attribute` says whether a proposal carries the Key Length
    attribute. `id` is the IKEv2 transform id, `phase1_id` the IKEv1 Encryption Algorithm
    attribute, `esp_id` the transform id of the IPsec DOI. `icv_size` is 0 unless the algorithm
    authenticates by itself.
    """

    name: str
    rfc_name: str
    kind: CipherKind
    cipher: str
    key_bits: int
    block_size: int
    iv_size: int
    salt_size: int
    icv_size: int
    id: int | None
    phase1_id: int | None
    esp_id: int | None
    key_attribute: bool
    weak: bool
    names: Names

    @property
    def combined(self) -> bool:
        """Whether the algorithm authenticates by itself (RFC 5282, RFC 4303 section 3.2.3)."""
        return self.kind in COMBINED_KINDS

    @property
    def key_size(self) -> int:
        """Bytes of key without the salt."""
        return self.key_bits // 8

    @property
    def keymat_size(self) -> int:
        """Bytes taken from keying material: the key and then the salt (RFC 4106 section 8.1)."""
        return self.key_bits // 8 + self.salt_size

    @property
    def key_length_attribute(self) -> int | None:
        """The value of the Key Length attribute in a proposal, or `None` when it has none."""
        return self.key_bits if self.key_attribute else None


class MacKind(StrEnum):
    """How an integrity algorithm or PRF is made."""

    HMAC = "hmac"
    KEYED = "keyed"
    XCBC = "xcbc"
    CMAC = "cmac"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Integrity:
    """An integrity algorithm: `hash` truncated to `icv_size` bytes.

    `id` is the IKEv2 transform id, `auth_id` the Authentication Algorithm attribute of the IPsec
    DOI, `ah_id` its AH transform id. The kernel takes the truncation as `icv_bits`.
    """

    name: str
    rfc_name: str
    kind: MacKind
    hash: str
    key_size: int
    icv_size: int
    id: int | None
    auth_id: int | None
    ah_id: int | None
    weak: bool
    names: Names

    @property
    def icv_bits(self) -> int:
        """The truncation in bits, as the kernel's SAD wants it."""
        return self.icv_size * 8


@dataclass(frozen=True, slots=True)
class Prf:
    """A pseudorandom function; in IKEv1 the HMAC of the negotiated hash (RFC 2409 section 4).

    `key_size` is the preferred key length, `size` that of the output; `hash_id` the IKEv1 Hash
    Algorithm attribute.
    """

    name: str
    rfc_name: str
    kind: MacKind
    hash: str
    key_size: int
    size: int
    id: int | None
    hash_id: int | None
    weak: bool
    names: Names


class GroupKind(StrEnum):
    """The arithmetic of a key exchange method."""

    MODP = "modp"
    ECP = "ecp"
    MONTGOMERY = "montgomery"
    KEM = "kem"


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """A key exchange method; `id` is the same number in IKEv1 (Group Description) and IKEv2.

    `initiator_size` and `responder_size` are the lengths of the Key Exchange Data, which differ
    for a KEM. `curve` names the curve or parameter set, empty for MODP.
    """

    name: str
    rfc_name: str
    kind: GroupKind
    curve: str
    initiator_size: int
    responder_size: int
    shared_size: int
    id: int
    weak: bool
    names: Names

    @property
    def ikev1(self) -> bool:
        """Whether IKEv1 can negotiate it: a KEM has no place there."""
        return self.kind is not GroupKind.KEM


@dataclass(frozen=True, slots=True)
class SequenceNumbers:
    """Whether sequence numbers have 64 bits: IKEv2's transform type 5 (RFC 7296 3.3.2)."""

    name: str
    id: int
    extended: bool
    strongswan: str
