# SPDX-License-Identifier: GPL-2.0-or-later
"""Who proves what with AUTH, HASH and SIG, checked from outside on what two engines said."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from harness.capture.decryption import Decryption
from harness.capture.entries import Ike, Proof
from harness.capture.ladder import ladder
from harness.capture.secrets import Secrets, SharedSecret
from harness.ike import payloads_v2 as v2
from harness.ike.v1.configuration import Phase1, Phase1Mode, PreSharedKey, Signer
from harness.ike.v2.connection import Settings, SharedKey
from tests.capture.engines import Overheard, of_v1, of_v2, overheard_v2
from tests.capture.packets import clear, frames, header, ike, ike_secret, sealed
from tests.ike.v1.pair import Pair as PairV1
from tests.ike.v1.pair import seil, swan
from tests.ike.v1.test_signatures import CURVES, RACOON, on_curve, pair_of
from tests.ike.v1.test_signatures import signer as rsa_signer
from tests.ike.v2.pair import KEY, SUN_NET, Pair
from tests.ike.v2.test_authentication import certified
from tests.ike.v2.test_fragments import hybrid

MOONS = SharedSecret(KEY.secret, "moon")
SUNS = SharedSecret(KEY.secret, "sun")
ANOTHER = SharedSecret(b"another", "sun")
SEILS = SharedSecret(b"xeeB5gohvaYi", "seil")


def proofs(decryption: Decryption) -> list[Proof]:
    found = (entry.content for entry in decryption.ike)
    return [one.proof for one in found if isinstance(one, Ike) and one.proof is not None]


def said_by(pair: Pair) -> Overheard:
    heard = overheard_v2(pair)
    pair.up()
    return of_v2(heard, pair.moon)


def test_auth_verifies_with_the_pre_shared_key_of_both_ends() -> None:
    found = proofs(said_by(Pair()).knowing(MOONS, SUNS).decrypted())
    assert (
        found
        == [
            Proof("AUTH", True, "verifies with the pre-shared key of moon and sun", ("moon", "sun"))
        ]
        * 2
    )


def test_auth_tells_whose_key_is_another() -> None:
    connection = replace(
        SUN_NET, local_auth=SharedKey(b"another"), remote_auth=SharedKey(b"another")
    )
    (found,) = proofs(said_by(Pair(sun=(connection,))).knowing(MOONS, ANOTHER).decrypted())
    assert (found.verified, found.by, found.not_by) == (True, ("moon",), ("sun",))
    assert str(found) == "AUTH verifies with the pre-shared key of moon, not with that of sun"


def test_auth_that_nobody_s_key_makes_is_refused_and_the_ladder_shows_it() -> None:
    decryption = said_by(Pair()).knowing(ANOTHER).decrypted()
    assert [one.verified for one in proofs(decryption)] == [False, False]
    shown = "\n".join(ladder(decryption.entries))
    assert shown.count("AUTH does not verify with the pre-shared key of sun") == 2


def test_auth_covers_what_was_said_before_it() -> None:
    """Whoever changes in IKE_SA_INIT what makes no key is found out by AUTH alone."""
    said = said_by(Pair()).knowing(MOONS)
    first = bytearray(said.frames[0].data)
    # The last octet is a notify's.
    first[-1] ^= 1
    altered = said.frames[0]._replace(data=bytes(first))
    found = proofs(replace(said, frames=(altered, *said.frames[1:])).decrypted())
    # Each end signs what it sent, and the responder's message is untouched.
    assert [one.verified for one in found] == [False, True]


def test_auth_covers_the_intermediate_exchanges() -> None:
    said = said_by(hybrid()).knowing(MOONS)
    assert len(said.decrypted().ike) >= 6
    assert [one.verified for one in proofs(said.decrypted())] == [True, True]


def test_auth_covers_intermediate_exchanges_that_came_in_fragments() -> None:
    said = said_by(hybrid(settings=Settings(fragment_size=600))).knowing(MOONS)
    contents = [entry.content for entry in said.decrypted().ike]
    assert any(isinstance(one, Ike) and one.fragment for one in contents)
    assert [one.verified for one in proofs(said.decrypted())] == [True, True]


@pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
def test_auth_verifies_with_the_certificate_that_came_with_it(kind: str) -> None:
    found = proofs(said_by(certified(kind, "p384")).decrypted())
    assert [one.by for one in found] == [("CN=moon.example",), ("CN=sun.example",)]
    assert str(found[0]) == "AUTH verifies with the certificate of CN=moon.example"


def test_what_is_missing_to_check_auth_is_said() -> None:
    said = said_by(Pair())
    assert {str(one) for one in proofs(said.decrypted())} == {
        "AUTH is not checked: no pre-shared key is known"
    }
    bare = tuple(replace(one, pi=b"", pr=b"") for one in said.secrets.ike_v2)
    found = proofs(Overheard(said.frames, Secrets(ike_v2=bare)).decrypted())
    assert [str(one) for one in found] == [
        "AUTH is not checked: SK_pi is not known",
        "AUTH is not checked: SK_pr is not known",
    ]
    late = proofs(Overheard(said.frames[2:], said.secrets).decrypted())
    assert {one.text for one in late} == {
        "is not checked: the capture does not show its IKE_SA_INIT"
    }


def test_keys_from_two_sources_are_joined_to_check_auth() -> None:
    """A table of Wireshark has no SK_p; the log of a daemon does not name the SA."""
    said = said_by(Pair())
    table = tuple(replace(one, pi=b"", pr=b"") for one in said.secrets.ike_v2)
    log = tuple(
        replace(one, spi_i=None, spi_r=None, encryption=None) for one in said.secrets.ike_v2
    )
    both = Secrets(ike_v2=table).joined(Secrets(ike_v2=log))
    assert both.ike_v2 == said.secrets.ike_v2
    assert [one.verified for one in proofs(Overheard(said.frames, both).knowing(MOONS).decrypted())]


def test_an_sa_whose_keys_differ_in_one_octet_is_not_joined() -> None:
    one = ike_secret()
    other = replace(one, er=bytes([one.er[0] ^ 1]) + one.er[1:])
    assert Secrets(ike_v2=(one,)).joined(Secrets(ike_v2=(other,))).ike_v2 == (one, other)


def test_auth_whose_initiator_asked_for_eap_is_not_checked() -> None:
    secret = replace(ike_secret(), pi=b"p" * 32, pr=b"p" * 32)
    nonce = v2.Nonce(bytes(32))
    chosen = v2.SecurityAssociation((v2.Proposal(1, 1, b"", (v2.Transform.of(2, 5),)),))
    begin = replace(header(34, 0), responder_spi=bytes(8))
    packets = [
        ike(clear(begin, [nonce])),
        ike(clear(header(34, 0, initiator=False, response=True), [chosen, nonce]), back=True),
        ike(sealed(secret, header(35, 1), [v2.Identification(35, 2, b"moon")])[0]),
        ike(sealed(secret, header(35, 2), [v2.Authentication(2, bytes(32))])[0]),
    ]
    said = Overheard(tuple(frames(packets)), Secrets(ike_v2=(secret,), shared=(MOONS,)))
    assert [str(one) for one in proofs(said.decrypted())] == [
        "AUTH is not checked: its key comes from EAP"
    ]


# -- IKEv1 ------------------------------------------------------------------------------------


def said_by_v1(pair: PairV1) -> Overheard:
    pair.up()
    return of_v1(pair)


@pytest.mark.parametrize("mode", list(Phase1Mode))
def test_hash_verifies_with_the_pre_shared_key(mode: Phase1Mode) -> None:
    phase1 = Phase1(mode=mode, accept_aggressive_psk=True)
    said = said_by_v1(PairV1(seil(phase1=phase1), swan(phase1=phase1))).knowing(SEILS)
    found = proofs(said.decrypted())
    assert {str(one) for one in found} == {
        "HASH_I verifies with the pre-shared key of seil",
        "HASH_R verifies with the pre-shared key of seil",
    }
    assert len(found) == 2


def test_hash_verifies_with_skeyid_where_no_secret_is_known() -> None:
    found = proofs(said_by_v1(PairV1()).decrypted())
    assert [str(one) for one in found] == [
        "HASH_I verifies with SKEYID",
        "HASH_R verifies with SKEYID",
    ]


def test_hash_tells_whose_secret_is_another() -> None:
    pair = PairV1(seil(), swan(credentials=PreSharedKey(b"another")))
    pair.initiate()
    pair.run()
    (found,) = proofs(of_v1(pair).knowing(SEILS, ANOTHER).decrypted())
    assert str(found) == "HASH_I verifies with the pre-shared key of seil, not with that of sun"


@pytest.mark.parametrize("mode", list(Phase1Mode))
@pytest.mark.parametrize(
    "made",
    [rsa_signer, *(partial(on_curve, curve=one) for one in CURVES)],
    ids=["rsa", *(one.name for one in CURVES)],
)
def test_a_signature_of_ikev1_verifies_with_the_certificate(
    made: Callable[[str], Signer], mode: Phase1Mode
) -> None:
    said = said_by_v1(pair_of(made("moon"), made("sun"), replace(RACOON, mode=mode)))
    assert {str(one) for one in proofs(said.decrypted())} == {
        "SIG verifies with the certificate of CN=moon",
        "SIG verifies with the certificate of CN=sun",
    }
