# SPDX-License-Identifier: GPL-2.0-or-later
"""ML-KEM encapsulation with the message as a parameter (FIPS 203).

The library makes keys from a seed and decapsulates, but draws the message of an encapsulation by
itself; a run from a seed needs it chosen. Only encapsulation is here: some milliseconds a call.
"""

import hashlib
from dataclasses import dataclass

Q = 3329
N = 256
Polynomial = list[int]


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """FIPS 203 table 2; `rank` is k there, and both noise parameters are 2."""

    rank: int
    u_bits: int
    v_bits: int


PARAMETER_SETS = {"ml-kem-768": ParameterSet(3, 10, 4), "ml-kem-1024": ParameterSet(4, 11, 5)}


class InvalidEncapsulationKey(ValueError):
    """An encapsulation key has the wrong length or a coefficient of q or more (FIPS 203 7.2)."""


def _bit_reversed(value: int) -> int:
    return int(f"{value:07b}"[::-1], 2)


ZETAS = [pow(17, _bit_reversed(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _bit_reversed(i) + 1, Q) for i in range(128)]


def _ntt(values: Polynomial) -> Polynomial:
    """Algorithm 9: the number-theoretic transform."""
    result = list(values)
    index = 1
    length = 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[index]
            index += 1
            for j in range(start, start + length):
                turned = zeta * result[j + length] % Q
                result[j + length] = (result[j] - turned) % Q
                result[j] = (result[j] + turned) % Q
        length //= 2
    return result


def _inverse_ntt(values: Polynomial) -> Polynomial:
    """Algorithm 10: back from the transform."""
    result = list(values)
    index = 127
    length = 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[index]
            index -= 1
            for j in range(start, start + length):
                low, high = result[j], result[j + length]
                result[j] = (low + high) % Q
                result[j + length] = zeta * (high - low) % Q
        length *= 2
    return [value * 3303 % Q for value in result]


def _inner_product(left: list[Polynomial], right: list[Polynomial]) -> Polynomial:
    """The sum of the products of transformed polynomials (algorithms 11 and 12)."""
    result = [0] * N
    for f, g in zip(left, right, strict=True):
        for i, gamma in enumerate(GAMMAS):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            result[2 * i] += a0 * b0 + a1 * b1 % Q * gamma
            result[2 * i + 1] += a0 * b1 + a1 * b0
    return [value % Q for value in result]


def _sample_ntt(seed: bytes) -> Polynomial:
    """Algorithm 7: a uniform transformed polynomial."""
    result: Polynomial = []
    # Three quarters of the candidates are kept; 1344 bytes hold enough but once in 2^-60 or so.
    size = 1344
    while True:
        stream = hashlib.shake_128(seed).digest(size)
        result = []
        for a, b, c in zip(stream[::3], stream[1::3], stream[2::3], strict=True):
            for candidate in (a + 256 * (b % 16), b // 16 + 16 * c):
                if candidate < Q:
                    result.append(candidate)
        if len(result) >= N:
            return result[:N]
        size *= 2


def _sample_noise(key: bytes, nonce: int) -> Polynomial:
    """Algorithm 8 with eta 2: the centred binomial distribution over PRF_2(key, nonce)."""
    stream = hashlib.shake_256(key + bytes([nonce])).digest(64 * 2)
    bits = int.from_bytes(stream, "little")
    result = []
    for _ in range(N):
        result.append(((bits & 1) + (bits >> 1 & 1) - (bits >> 2 & 1) - (bits >> 3 & 1)) % Q)
        bits >>= 4
    return result


def _decode(data: bytes, bits: int) -> Polynomial:
    """Algorithm 6: `bits`-bit numbers, low bits first."""
    value = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    return [value >> (bits * i) & mask for i in range(N)]


def _encode(values: Polynomial, bits: int) -> bytes:
    """Algorithm 5, the inverse of _decode."""
    value = 0
    for number in reversed(values):
        value = value << bits | number
    return value.to_bytes(N * bits // 8, "little")


def _compress(values: Polynomial, bits: int) -> Polynomial:
    """Equation 4.7: rounding to `bits` bits."""
    return [((value << bits + 1) + Q) // (2 * Q) % (1 << bits) for value in values]


def _sum(*polynomials: Polynomial) -> Polynomial:
    return [sum(values) % Q for values in zip(*polynomials, strict=True)]


def _encrypt(parameters: ParameterSet, key: bytes, message: bytes, coins: bytes) -> bytes:
    """Algorithm 14: K-PKE.Encrypt."""
    rank = parameters.rank
    split = 384 * rank
    t = [_decode(key[384 * i : 384 * (i + 1)], 12) for i in range(rank)]
    if any(value >= Q for polynomial in t for value in polynomial):
        raise InvalidEncapsulationKey("The ML-KEM encapsulation key has a coefficient above q.")
    rho = key[split:]
    y = [_ntt(_sample_noise(coins, i)) for i in range(rank)]
    first_noise = [_sample_noise(coins, rank + i) for i in range(rank)]
    second_noise = _sample_noise(coins, 2 * rank)
    encoded_u = b""
    for i in range(rank):
        # A transposed: column i of the matrix, whose entry (j, i) comes of rho, i, j.
        column = [_sample_ntt(rho + bytes([i, j])) for j in range(rank)]
        u = _sum(_inverse_ntt(_inner_product(column, y)), first_noise[i])
        encoded_u += _encode(_compress(u, parameters.u_bits), parameters.u_bits)
    mu = [bit * ((Q + 1) // 2) for bit in _decode(message, 1)]
    v = _sum(_inverse_ntt(_inner_product(t, y)), second_noise, mu)
    return encoded_u + _encode(_compress(v, parameters.v_bits), parameters.v_bits)


def encapsulate(name: str, key: bytes, message: bytes) -> tuple[bytes, bytes]:
    """The ciphertext and the 32-byte shared secret for an encapsulation key (algorithm 17).

    `name` is `ml-kem-768` or `ml-kem-1024`, `message` 32 random bytes. Raises
    InvalidEncapsulationKey when the key fails the checks of FIPS 203 section 7.2.
    """
    parameters = PARAMETER_SETS[name]
    if len(key) != 384 * parameters.rank + 32:
        raise InvalidEncapsulationKey(
            f"An {name} encapsulation key has {384 * parameters.rank + 32} bytes, not {len(key)}."
        )
    digest = hashlib.sha3_512(message + hashlib.sha3_256(key).digest()).digest()
    return _encrypt(parameters, key, message, digest[32:]), digest[:32]
