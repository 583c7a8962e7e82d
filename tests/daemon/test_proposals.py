# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.daemon.native.table import Unusable
from harness.daemon.proposals import child_proposal, ike_proposal
from harness.ike.transforms import ENCRYPTIONS, KEY_EXCHANGES, Dialect


def test_integrity_says_which_prf_there_is() -> None:
    found = ike_proposal("aes256-aes128-sha384-ecp384-x25519")
    assert [one.name for one in found.encryptions] == ["AES_CBC_256", "AES_CBC_128"]
    assert [one.name for one in found.integrities] == ["HMAC_SHA2_384_192"]
    assert [one.name for one in found.prfs] == ["HMAC_SHA2_384"]
    assert [one.name for one in found.groups] == ["ECP_384", "X25519"]


def test_an_algorithm_with_its_own_integrity_takes_only_the_prf_from_a_hash() -> None:
    found = ike_proposal("aes256gcm16-sha256-x25519")
    assert found.integrities == ()
    assert [one.name for one in found.prfs] == ["HMAC_SHA2_256"]


def test_additional_key_exchanges_are_counted() -> None:
    found = ike_proposal("aes256-sha256-x25519-ke1_mlkem768-ke1_ecp256-ke2_x448")
    assert [[one.name for one in each] for each in found.additional] == [
        ["ML_KEM_768", "ECP_256"],
        ["X448"],
    ]


def test_sequence_numbers_are_plain_unless_told() -> None:
    assert child_proposal("aes256gcm16").esn == (False,)
    assert child_proposal("aes256gcm16-esn-noesn").esn == (True, False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sha256-x25519", "has no encryption"),
        ("aes256-sha256", "has no key exchange"),
        ("aes256-x25519", "has no integrity or PRF"),
        ("aes256-prfsha256-x25519", "has no integrity beside aes256"),
        ("aes256-aes256gcm16-sha256-x25519", "write two proposals"),
        ("aes256-sha256-x25519-esn", "are for the proposals of a child"),
        ("aes256-sha256-x25519-ke2_x448", "count from ke1_ on"),
        ("aes256-sha256-x25520", "'x25520'; did you mean x25519?"),
        ("", "unknown algorithm, ''"),
    ],
)
def test_a_proposal_for_an_ike_sa_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(Unusable) as refused:
        ike_proposal(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x25519", "has no encryption"),
        ("aes256", "has no integrity"),
        ("aes256gcm16-sha256", "leave it out"),
        ("aes256-sha256-prfsha256", "is for the proposals of a connection"),
    ],
)
def test_a_proposal_for_a_child_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(Unusable) as refused:
        child_proposal(text)
    assert why in str(refused.value)


def test_every_named_encryption_and_group_can_be_proposed() -> None:
    for cipher in ENCRYPTIONS:
        word = cipher.names.of(Dialect.STRONGSWAN)
        if word is not None:
            text = word if cipher.combined else f"{word}-sha256"
            assert child_proposal(text).encryptions == (cipher,)
    for group in KEY_EXCHANGES:
        word = group.names.of(Dialect.STRONGSWAN)
        assert ike_proposal(f"aes256-sha256-{word}").groups == (group,)
