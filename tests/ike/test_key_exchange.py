# SPDX-License-Identifier: GPL-2.0-or-later
"""Key exchange methods, against known values (vectors/ says whose), and what they refuse."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ike import ml_kem
from harness.ike.key_exchange import (
    InvalidKeyExchangeData,
    initiate,
    respond,
    secret_size,
    share,
)
from harness.ike.modp import MODP_GROUPS
from harness.ike.transforms import KEY_EXCHANGES, GroupKind, KeyExchange, key_exchange
from tests.ike.vectors import vectors

VECTORS = vectors("key_exchanges")
KEM = vectors("ml_kem")
DIFFIE_HELLMAN = [g for g in KEY_EXCHANGES if g.kind is not GroupKind.KEM]


def stream(seed: int):
    """Randomness that a seed decides."""
    state = seed

    def draw(size: int) -> bytes:
        nonlocal state
        state += 1
        return state.to_bytes(8, "big") * (size // 8) + bytes(size % 8)

    return draw


@pytest.mark.parametrize(("title", "v"), VECTORS, ids=[t for t, _ in VECTORS])
def test_shares_and_secrets_are_the_known_ones(title, v):
    group = key_exchange(v["group"])
    one, other = share(group, v["secret_i"]), share(group, v["secret_r"])
    assert one.public == v["public_i"]
    assert other.public == v["public_r"]
    assert one.agree(v["public_r"]) == v["shared"]
    assert other.agree(v["public_i"]) == v["shared"]


def test_every_group_has_a_vector():
    seen = {v["group"] for _, v in VECTORS} | {v["algorithm"] for _, v in KEM}
    assert seen == {group.name for group in KEY_EXCHANGES}


@pytest.mark.parametrize(
    ("name", "secret_i", "secret_r", "shared"),
    [
        # RFC 5903 section 8.1: the 256-bit group.
        (
            "ECP_256",
            "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
            "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
        ),
    ],
)
def test_the_shared_secret_of_ecp_is_x_alone(name, secret_i, secret_r, shared):
    group = key_exchange(name)
    one, other = (share(group, bytes.fromhex(s)) for s in (secret_i, secret_r))
    assert one.agree(other.public).hex() == shared


def pi_times_two_to(bits: int) -> int:
    """floor(2^bits * pi), by Machin's formula."""
    unit = 1 << (bits + 64)

    def arctan(divisor: int) -> int:
        total, term, n = 0, unit // divisor, 1
        while term:
            total += term // n if n % 4 == 1 else -(term // n)
            term //= divisor * divisor
            n += 2
        return total

    return 4 * (4 * arctan(5) - arctan(239)) >> 64


@pytest.mark.parametrize(
    ("bits", "offset"),
    # RFC 2409 section 6.1 and 6.2, RFC 3526 section 2 to 7.
    [(768, 149686), (1024, 129093), (1536, 741804), (2048, 124476), (3072, 1690314),
     (4096, 240904), (6144, 929484), (8192, 4743158)],
)  # fmt: skip
def test_the_primes_are_those_of_the_formula_in_the_rfcs(bits, offset):
    prime = 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi_times_two_to(bits - 130) + offset)
    assert MODP_GROUPS[f"MODP_{bits}"].prime == prime


@pytest.mark.parametrize("name", ["MODP_1024_160", "MODP_2048_224", "MODP_2048_256"])
def test_generators_of_subgroups_have_their_order(name):
    group = MODP_GROUPS[name]
    assert group.order is not None
    assert pow(group.generator, group.order, group.prime) == 1


@pytest.mark.parametrize("group", [g for g in DIFFIE_HELLMAN if g.kind is GroupKind.MODP],
                         ids=lambda g: g.name)  # fmt: skip
def test_trivial_values_of_a_field_are_refused(group: KeyExchange):
    own = share(group, b"\x05" * 20)
    prime = MODP_GROUPS[group.name].prime
    for value in (0, 1, prime - 1, prime, prime + 2, (1 << group.initiator_size * 8) - 1):
        with pytest.raises(InvalidKeyExchangeData):
            own.agree(value.to_bytes(group.initiator_size, "big"))


def test_a_value_outside_the_subgroup_is_refused():
    group = key_exchange("MODP_1024_160")
    with pytest.raises(InvalidKeyExchangeData, match="outside the subgroup"):
        share(group, b"\x05" * 20).agree((2).to_bytes(128, "big"))


@pytest.mark.parametrize("group", [g for g in DIFFIE_HELLMAN if g.kind is GroupKind.ECP],
                         ids=lambda g: g.name)  # fmt: skip
def test_points_off_the_curve_are_refused(group: KeyExchange):
    own = share(group, b"\x05")
    good = share(group, b"\x07").public
    for bad in (bytes(len(good)), good[:-1] + bytes([good[-1] ^ 1]), b"\xff" * len(good)):
        with pytest.raises(InvalidKeyExchangeData, match="not a point on the curve"):
            own.agree(bad)


@pytest.mark.parametrize("name", ["X25519", "X448"])
def test_points_of_small_order_are_refused(name):
    group = key_exchange(name)
    own = initiate(group, stream(1))
    for value in (0, 1):
        with pytest.raises(InvalidKeyExchangeData, match="small order"):
            own.agree(value.to_bytes(group.initiator_size, "little"))


# The larger fields run the same code and cost seconds.
QUICK = [g for g in KEY_EXCHANGES if g.kind is not GroupKind.MODP or g.shared_size <= 256]


@pytest.mark.parametrize("group", QUICK, ids=lambda g: g.name)
@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=130))
def test_any_bytes_are_agreed_with_or_refused_as_invalid(group, data):
    own = initiate(group, stream(3))
    padded = data[: group.responder_size].ljust(group.responder_size, b"\x03")
    for value in (data, padded):
        with contextlib.suppress(InvalidKeyExchangeData):
            assert len(own.agree(value)) == group.shared_size


@pytest.mark.parametrize("group", KEY_EXCHANGES, ids=lambda g: g.name)
def test_both_ends_agree_and_the_same_randomness_gives_the_same_values(group: KeyExchange):
    own = initiate(group, stream(10))
    public, shared = respond(group, own.public, stream(20))
    assert len(own.public) == group.initiator_size
    assert len(public) == group.responder_size
    assert own.agree(public) == shared
    assert len(shared) == group.shared_size
    assert initiate(group, stream(10)).public == own.public
    assert respond(group, own.public, stream(20)) == (public, shared)
    assert initiate(group, stream(11)).public != own.public
    assert secret_size(group) > 0


@pytest.mark.parametrize(("title", "v"), KEM, ids=[t for t, _ in KEM])
def test_ml_kem_keys_ciphertexts_and_secrets_are_the_known_ones(title, v):
    group = key_exchange(v["algorithm"])
    own = share(group, v["seed"])
    assert own.public == v["public"]
    assert respond(group, v["public"], lambda _: v["message"]) == (v["ciphertext"], v["shared"])
    assert own.agree(v["ciphertext"]) == v["shared"]


@pytest.mark.parametrize("name", ["ML_KEM_768", "ML_KEM_1024"])
def test_encapsulation_keys_with_large_coefficients_or_other_lengths_are_refused(name):
    group = key_exchange(name)
    public = initiate(group, stream(1)).public
    with pytest.raises(InvalidKeyExchangeData, match="above q"):
        respond(group, b"\xff\xff" + public[2:], stream(2))
    with pytest.raises(InvalidKeyExchangeData, match=f"not {len(public) - 1}"):
        respond(group, public[:-1], stream(2))
    with pytest.raises(ml_kem.InvalidEncapsulationKey, match="not 5"):
        ml_kem.encapsulate(group.curve, b"short", bytes(32))


def test_a_forged_ciphertext_gives_another_secret_and_no_error():
    group = key_exchange("ML_KEM_768")
    own = initiate(group, stream(1))
    public, shared = respond(group, own.public, stream(2))
    assert own.agree(bytes([public[0] ^ 1]) + public[1:]) != shared


def test_no_secret_shows_in_a_repr():
    for group in KEY_EXCHANGES:
        text = repr(initiate(group, stream(5)))
        assert "exponent" not in text
        assert "private" not in text
