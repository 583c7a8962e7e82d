# SPDX-License-Identifier: GPL-2.0-or-later
"""Key exchange methods: an initiator makes a share, a responder answers it, both agree.

The same two calls serve Diffie-Hellman, where both ends make shares, and a KEM, where the
responder encapsulates (RFC 9370 section 2.2.2, FIPS 203). Public values are as on the wire: MODP
padded to the prime, ECP as x and y (RFC 5903 section 7), Montgomery curves as RFC 8031 says.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519

from harness.ike import ml_kem
from harness.ike.modp import MODP_GROUPS, ModpGroup
from harness.ike.transforms import GroupKind, KeyExchange

Randomness = Callable[[int], bytes]

KEM_SEED = 64
KEM_MESSAGE = 32

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
    "brainpoolP512r1": ec.BrainpoolP512R1,
}


class InvalidKeyExchangeData(ValueError):
    """The other end's value has the wrong length or is no good point or number of the group."""


class Share(Protocol):
    """One end's secret and the public value that it sends."""

    @property
    def public(self) -> bytes:
        """The Key Exchange Data to send."""
        ...

    def agree(self, peer: bytes) -> bytes:
        """The shared secret with the other end's value; raises InvalidKeyExchangeData."""
        ...


def _power_function() -> Callable[[int, int, int], int]:
    """The fastest modular exponentiation here: five times faster where gmpy2 is installed."""
    try:
        found = importlib.import_module("gmpy2").powmod
    except ImportError:
        return pow
    return lambda base, exponent, modulus: int(found(base, exponent, modulus))


_power = _power_function()


def _check_length(group: KeyExchange, data: bytes, size: int) -> None:
    if len(data) != size:
        raise InvalidKeyExchangeData(
            f"Key Exchange Data of {group.name} has {size} bytes, not {len(data)}."
        )


@dataclass(frozen=True, slots=True)
class ModpShare:
    """A share in a finite field (RFC 2409, RFC 3526); the checks are those of RFC 6989."""

    group: KeyExchange
    field_group: ModpGroup = field(repr=False)
    exponent: int = field(repr=False)
    public: bytes

    def agree(self, peer: bytes) -> bytes:
        """See Share."""
        _check_length(self.group, peer, self.group.responder_size)
        prime, order = self.field_group.prime, self.field_group.order
        value = int.from_bytes(peer, "big")
        if not 1 < value < prime - 1:
            raise InvalidKeyExchangeData(
                f"The public value of {self.group.name} is not between 2 and p - 2."
            )
        if order is not None and _power(value, order, prime) != 1:
            raise InvalidKeyExchangeData(
                f"The public value of {self.group.name} is outside the subgroup."
            )
        shared = _power(value, self.exponent, prime)
        return shared.to_bytes(self.group.shared_size, "big")


@dataclass(frozen=True, slots=True)
class EcpShare:
    """A share on a curve over a prime field (RFC 5903, RFC 6954)."""

    group: KeyExchange
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    public: bytes

    def agree(self, peer: bytes) -> bytes:
        """See Share; the library refuses points that are not on the curve."""
        _check_length(self.group, peer, self.group.responder_size)
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(
                CURVES[self.group.curve](), b"\x04" + peer
            )
            return self.private.exchange(ec.ECDH(), point)
        except ValueError:
            raise InvalidKeyExchangeData(
                f"The public value of {self.group.name} is not a point on the curve."
            ) from None


@dataclass(frozen=True, slots=True)
class MontgomeryShare:
    """A share on Curve25519 or Curve448 (RFC 8031)."""

    group: KeyExchange
    private: x25519.X25519PrivateKey | x448.X448PrivateKey = field(repr=False)
    public: bytes

    def agree(self, peer: bytes) -> bytes:
        """See Share; the all-zero secret of a point of small order is refused."""
        _check_length(self.group, peer, self.group.responder_size)
        try:
            if isinstance(self.private, x25519.X25519PrivateKey):
                return self.private.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
            return self.private.exchange(x448.X448PublicKey.from_public_bytes(peer))
        except ValueError:
            raise InvalidKeyExchangeData(
                f"The public value of {self.group.name} is a point of small order."
            ) from None


@dataclass(frozen=True, slots=True)
class KemShare:
    """A decapsulation key: the initiator's side of a KEM."""

    group: KeyExchange
    private: mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey = field(repr=False)
    public: bytes

    def agree(self, peer: bytes) -> bytes:
        """See Share; a forged ciphertext gives another secret, not an error (FIPS 203 6.3)."""
        _check_length(self.group, peer, self.group.responder_size)
        return self.private.decapsulate(peer)


def secret_size(group: KeyExchange) -> int:
    """How many random bytes `share` wants for a share of `group`."""
    match group.kind:
        case GroupKind.MODP:
            return (MODP_GROUPS[group.name].exponent_bits + 7) // 8
        case GroupKind.ECP:
            # Eight bytes more than the order, so that the remainder is uniform (FIPS 186-5 A.2.1).
            return group.shared_size + 8
        case GroupKind.MONTGOMERY:
            return group.shared_size
        case GroupKind.KEM:
            return KEM_SEED


def _modp_share(group: KeyExchange, secret: bytes) -> ModpShare:
    numbers = MODP_GROUPS[group.name]
    # Exponents 0 and 1 give themselves away; any other secret is the exponent as it is.
    exponent = max(int.from_bytes(secret, "big"), 2)
    public = _power(numbers.generator, exponent, numbers.prime)
    return ModpShare(group, numbers, exponent, public.to_bytes(group.initiator_size, "big"))


def _ecp_share(group: KeyExchange, secret: bytes) -> EcpShare:
    curve = CURVES[group.curve]()
    # Reduced into 1..n-1; a secret that is a scalar already stays what it is.
    scalar = (int.from_bytes(secret, "big") - 1) % (curve.group_order - 1) + 1
    private = ec.derive_private_key(scalar, curve)
    point = private.public_key().public_numbers()
    size = group.shared_size
    return EcpShare(group, private, point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big"))


def share(group: KeyExchange, secret: bytes) -> Share:
    """The share that `secret` makes: the same bytes give the same share.

    `secret` should be `secret_size(group)` random bytes. For MODP and ECP it is a big-endian
    number of any length, so that a published exponent can be used as it is.
    """
    match group.kind:
        case GroupKind.MODP:
            return _modp_share(group, secret)
        case GroupKind.ECP:
            return _ecp_share(group, secret)
        case GroupKind.MONTGOMERY:
            return _montgomery_share(group, secret)
        case GroupKind.KEM:
            return _kem_share(group, secret)


def _montgomery_share(group: KeyExchange, secret: bytes) -> MontgomeryShare:
    private: x25519.X25519PrivateKey | x448.X448PrivateKey
    if group.curve == "x25519":
        private = x25519.X25519PrivateKey.from_private_bytes(secret)
    else:
        private = x448.X448PrivateKey.from_private_bytes(secret)
    return MontgomeryShare(group, private, private.public_key().public_bytes_raw())


def _kem_share(group: KeyExchange, seed: bytes) -> KemShare:
    private: mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey
    if group.curve == "ml-kem-768":
        private = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed)
    else:
        private = mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed)
    return KemShare(group, private, private.public_key().public_bytes_raw())


def initiate(group: KeyExchange, randomness: Randomness) -> Share:
    """A fresh share for the initiator; `agree` finishes with the responder's value."""
    return share(group, randomness(secret_size(group)))


def respond(group: KeyExchange, peer: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
    """The responder's value to send and the shared secret, for the initiator's value.

    Raises InvalidKeyExchangeData.
    """
    if group.kind is GroupKind.KEM:
        _check_length(group, peer, group.initiator_size)
        try:
            return ml_kem.encapsulate(group.curve, peer, randomness(KEM_MESSAGE))
        except ml_kem.InvalidEncapsulationKey as error:
            raise InvalidKeyExchangeData(str(error)) from None
    own = initiate(group, randomness)
    return own.public, own.agree(peer)
