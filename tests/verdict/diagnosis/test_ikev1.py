# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures of IKEv1 explained from what two engines really sent each other."""

from dataclasses import replace

import pytest

from harness.capture.secrets import Secrets
from harness.ike.constants_v1 import ExchangeType
from harness.ike.script import ALWAYS
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v1.configuration import (
    Lifetime,
    LifetimeCheck,
    NatTraversal,
    Phase1,
    Phase1Mode,
    PreSharedKey,
)
from harness.ike.v1.identity import ANYTHING, name_identity, subnet_identity
from harness.verdict.diagnosis.context import Exit
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.wishes import Setting
from tests.ike.v1.pair import LEFT, RIGHT, seil, swan
from tests.verdict.diagnosis.engines import tried_v1


def phase_1(cipher="AES_CBC_256", digest="HMAC_SHA2_256", group="MODP_1536", **changes):
    return Phase1(
        (encryption(cipher),), (prf(digest),), (key_exchange(group),), Lifetime(777), **changes
    )


def child(**changes):
    return replace(seil().children[0], **changes)


def own_child(**changes):
    return replace(swan().children[0], **changes)


def test_what_comes_up_has_no_diagnosis():
    assert tried_v1().diagnoses() == ()


def test_the_seeds_mismatch_names_the_dh_group_on_both_sides_and_mends_either():
    tried = tried_v1(seil(phase1=phase_1(group="MODP_1024")), swan(phase1=phase_1()))
    found = tried.diagnosis()
    assert found.cause is Cause.PROPOSAL
    assert found.proved
    assert (found.asker, found.refuser, found.notify) == ("moon", "sun", "NO-PROPOSAL-CHOSEN")
    assert found.difference("DH group") == ("MODP 1024", "MODP 1536")
    assert [row.what for row in found.differing] == ["DH group"]
    assert found.sentence == (
        "sun wants the DH group MODP 1536 for the ISAKMP SA and was offered MODP 1024: "
        "it answered NO-PROPOSAL-CHOSEN."
    )
    spelled = {one.node: one.spelled.text for one in found.remedies}
    assert spelled == {
        "moon": "proposals for IKE: aes256-sha256-modp1536",
        "sun": "proposals for IKE: aes256-sha256-modp1024",
    }


@pytest.mark.parametrize(
    ("other", "what", "offered", "wanted"),
    [
        ({"cipher": "AES_CBC_128"}, "key length", "AES_CBC_256", "AES_CBC_128"),
        ({"cipher": "3DES"}, "encryption", "AES_CBC_256", "3DES"),
        ({"digest": "HMAC_SHA1"}, "hash", "HMAC_SHA2_256", "HMAC_SHA1"),
        ({"group": "MODP_2048"}, "DH group", "MODP 1536", "MODP 2048"),
    ],
)
def test_each_transform_of_phase_1_is_named(other, what, offered, wanted):
    found = tried_v1(seil(phase1=phase_1()), swan(phase1=phase_1(**other))).diagnosis()
    assert found.difference(what) == (offered, wanted)
    assert len(found.differing) == 1


def test_of_six_transforms_the_nearest_is_compared():
    found = tried_v1(seil(), swan(phase1=phase_1("3DES", group="MODP_2048"))).diagnosis()
    assert [row.what for row in found.differing] == ["DH group"]
    assert "offers 6 alternatives" in found.notes[0]


def test_a_lifetime_that_is_not_the_exact_one_is_named():
    strict = phase_1(check=LifetimeCheck.EXACT)
    found = tried_v1(
        seil(phase1=replace(phase_1(), lifetime=Lifetime(60))), swan(phase1=strict)
    ).diagnosis()
    assert found.cause is Cause.LIFETIME
    assert found.difference("lifetime") == ("60 s", "777 s")
    assert found.remedy("moon").value == 777
    assert found.remedy("sun").value == 60


def test_a_phase_2_mismatch_is_found_in_the_encrypted_message():
    weak = child(encryptions=(encryption("AES_CBC_256"),), integrities=(integrity("HMAC_MD5_96"),))
    found = tried_v1(seil(children=(weak,))).diagnosis()
    assert (found.cause, found.exchange) == (Cause.PROPOSAL, "Quick Mode")
    assert found.difference("integrity") == ("HMAC_MD5_96", "HMAC_SHA2_256_128")
    assert found.remedy("sun").setting is Setting.CHILD_PROPOSALS


@pytest.mark.parametrize(
    ("changes", "cause", "what"),
    [
        ({"encryptions": (encryption("AES_CBC_192"),)}, Cause.PROPOSAL, "key length"),
        ({"transport": True}, Cause.MODE, "mode"),
        ({"pfs": key_exchange("MODP_2048")}, Cause.PROPOSAL, "PFS group"),
    ],
)
def test_each_part_of_phase_2_is_named(changes, cause, what):
    exact = own_child(check=LifetimeCheck.EXACT)
    found = tried_v1(seil(children=(child(**changes),)), swan(children=(exact,))).diagnosis()
    assert found.cause is cause
    assert [row.what for row in found.differing] == [what]


def test_a_responder_that_insists_on_pfs_is_offered_none():
    secretive = own_child(pfs=key_exchange("MODP_1536"))
    found = tried_v1(swan_side := seil(), swan(children=(secretive,))).diagnosis()
    assert swan_side.children[0].pfs is None
    assert found.difference("PFS group") == ("none", "MODP 1536")


def test_a_phase_2_lifetime_that_is_too_long_is_named():
    strict = own_child(lifetime=Lifetime(60), check=LifetimeCheck.STRICT)
    tried = tried_v1(b=swan(phase1=Phase1(check=LifetimeCheck.STRICT), children=(strict,)))
    found = tried.diagnosis()
    assert found.cause is Cause.LIFETIME
    assert found.difference("lifetime") == ("28800 s", "60 s")


def test_proxy_ids_that_are_not_known_are_shown_with_those_that_are():
    found = tried_v1(seil(children=(child(local=ANYTHING, remote=ANYTHING),))).diagnosis()
    assert (found.cause, found.notify) == (Cause.SELECTORS, "INVALID-ID-INFORMATION")
    assert found.difference("traffic of moon") == ("0.0.0.0/0", "192.168.1.0/24")
    assert found.difference("traffic of sun") == ("0.0.0.0/0", "192.168.2.0/24")
    settings = {(one.node, one.setting): one.value for one in found.remedies}
    assert settings[("moon", Setting.LOCAL_SUBNETS)] == ("192.168.1.0/24",)
    assert settings[("sun", Setting.REMOTE_SUBNETS)] == ("0.0.0.0/0",)


def test_the_child_that_was_asked_for_is_compared_and_not_the_first():
    other = subnet_identity("192.168.3.0/24")
    weak = child(integrities=(integrity("HMAC_MD5_96"),))
    asked = replace(weak, name="guests", local=other)
    wanted = own_child(name="guests", remote=other)
    pair = (seil(children=(child(), asked)), swan(children=(own_child(), wanted)))
    found = tried_v1(*pair, child="guests").diagnosis()
    assert (found.cause, found.asker) == (Cause.PROPOSAL, "moon")
    assert found.difference("integrity") == ("HMAC_MD5_96", "HMAC_SHA2_256_128")


def test_a_child_that_only_one_end_has_is_shown_with_one_that_the_other_has():
    other = subnet_identity("192.168.3.0/24")
    guests = child(name="guests", local=other)
    found = tried_v1(seil(children=(child(), guests)), child="guests").diagnosis()
    assert found.cause is Cause.SELECTORS
    assert found.difference("traffic of moon") == ("192.168.3.0/24", "192.168.1.0/24")
    assert found.remedy("moon").setting is Setting.LOCAL_SUBNETS


def answered_with_its_own(pair):
    """Let sun answer a Quick Mode with its own subnets, as strongSwan does."""

    def asked(plain):
        if not plain.is_exchange(ExchangeType.QUICK_MODE):
            return plain
        known = iter((LEFT, RIGHT))
        return plain.forged(
            payloads=tuple(
                next(known).payload() if one.payload_type == 5 else one for one in plain.payloads
            )
        )

    pair.b.script.received(times=ALWAYS).replace(asked)
    pair.b.script.sent(times=ALWAYS).replace(asked)


def test_other_proxy_ids_in_the_answer_are_a_mismatch_that_the_initiator_minds():
    everything = seil(children=(child(local=ANYTHING, remote=ANYTHING),))
    found = tried_v1(everything, prepare=answered_with_its_own, later=100).diagnosis()
    assert found.cause is Cause.SELECTORS
    assert found.sentence.startswith(
        "moon asked for traffic 0.0.0.0/0 === 0.0.0.0/0, and sun answered with "
        "192.168.1.0/24 === 192.168.2.0/24, which is not the same"
    )
    assert found.remedy("moon").value == ("192.168.1.0/24",)
    assert found.remedy("sun").value == ("0.0.0.0/0",)


@pytest.mark.parametrize("mode", list(Phase1Mode))
@pytest.mark.parametrize("end", ["moon", "sun"])
def test_an_identity_that_is_not_expected_is_shown_with_the_one_that_is(mode, end):
    both = Phase1(mode=mode, accept_aggressive_psk=True)
    wanted = {"remote_identity": name_identity("moon.example.org")}
    found = tried_v1(
        seil(phase1=both, **(wanted if end == "moon" else {})),
        swan(phase1=both, **(wanted if end == "sun" else {})),
        later=200,
    ).diagnoses()[0]
    other, sent = ("sun", "10.0.0.2") if end == "moon" else ("moon", "10.0.0.1")
    assert found.cause is Cause.IDENTITY
    assert (found.asker, found.refuser) == (other, end)
    assert found.difference(f"identity of {other}") == (sent, "moon.example.org")


def test_another_secret_shows_in_the_hash_that_the_responder_cannot_even_decrypt():
    tried = tried_v1(seil(credentials=PreSharedKey(b"another")), later=200)
    found = tried.diagnosis()
    assert (found.cause, found.exchange) == (Cause.SECRET, "Main Mode")
    assert found.proved
    assert "HASH of moon does not verify under the secret of sun" in found.sentence
    assert any("cannot even decrypt" in note for note in found.notes)


def test_without_keys_differing_secrets_show_in_the_configurations():
    tried = tried_v1(seil(credentials=PreSharedKey(b"another")), later=200)
    found = tried.diagnosis(secrets=Secrets())
    assert found.cause is Cause.SECRET
    assert "have different secrets in their configurations" in found.sentence


def test_without_keys_and_configurations_only_the_silence_is_told():
    tried = tried_v1(seil(credentials=PreSharedKey(b"another")), later=200)
    found = tried.diagnosis(secrets=Secrets(), wishes=())
    assert found.cause is Cause.NO_ANSWER
    assert not found.proved
    assert "sun did not answer message 5 of Main Mode of moon" in found.sentence
    assert "sent 6 times" in found.sentence


@pytest.mark.parametrize("odd", ["moon", "sun"])
def test_another_secret_in_aggressive_mode_is_found_at_whichever_end_minds(odd):
    both = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
    other = {"credentials": PreSharedKey(b"another")}
    found = tried_v1(
        seil(phase1=both, **(other if odd == "moon" else {})),
        swan(phase1=both, **(other if odd == "sun" else {})),
    ).diagnosis()
    assert found.cause is Cause.SECRET
    assert (found.asker, found.refuser) == ("sun", "moon")


def test_aggressive_mode_that_is_refused_is_told_from_a_wrong_secret():
    aggressive = seil(phase1=Phase1(mode=Phase1Mode.AGGRESSIVE))
    found = tried_v1(aggressive).diagnosis()
    assert (found.cause, found.notify) == (Cause.EXCHANGE_MODE, "AUTHENTICATION-FAILED")
    assert found.proved
    assert found.difference("exchange mode") == ("Aggressive Mode", "Main Mode")
    assert [one.setting for one in found.remedies if one.node == "moon"] == [Setting.EXCHANGE]


def test_a_peer_of_another_address_has_no_connection():
    tried = tried_v1(b=swan(remote=seil().local._replace(host="10.0.0.9")))
    found = tried.diagnosis()
    assert found.cause is Cause.NO_CONNECTION
    assert found.difference("initiator's address") == ("10.0.0.1", "10.0.0.9")


def test_an_end_that_never_answers_is_named_with_the_repetitions():
    found = tried_v1(prepare=deaf, later=200).diagnosis()
    assert found.cause is Cause.NO_ANSWER
    assert "message 1 of Main Mode" in found.sentence
    assert "sent 6 times" in found.sentence
    assert "sun sent no IKE message at all under this SPI" in found.notes


def deaf(pair):
    """Let nothing arrive."""
    pair.translate = lambda datagram: replace(
        datagram, destination=datagram.destination._replace(host="10.0.0.99")
    )


def test_a_daemon_that_crashed_is_the_reason_for_its_silence():
    tried = tried_v1(prepare=deaf, later=200)
    found = tried.diagnosis(exits={"sun": Exit(-11, tried.frames[0].time_ns)})
    assert found.cause is Cause.CRASHED
    assert found.proved
    assert "the daemon of sun was ended by signal 11" in found.sentence


def test_a_daemon_that_ended_long_after_the_last_message_is_not():
    tried = tried_v1(prepare=deaf, later=200)
    later = tried.frames[-1].time_ns + 10**11
    assert tried.diagnosis(exits={"sun": Exit(0, later)}).cause is Cause.NO_ANSWER


def blocked(pair):
    """Let nothing through to or from port 4500."""
    pair.translate = lambda datagram: (
        replace(datagram, destination=datagram.destination._replace(host="10.0.0.99"))
        if datagram.destination.port == 4500
        else datagram
    )


def test_a_nat_that_lets_nothing_through_port_4500_is_named():
    tried = tried_v1(seil(nat=NatTraversal(force=True)), prepare=blocked, later=200)
    found = tried.diagnosis()
    assert found.cause is Cause.NAT
    assert "none to UDP port 4500" in found.sentence
    assert "a NAT translates moon" in found.sentence
