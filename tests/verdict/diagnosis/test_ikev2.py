# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures of IKEv2 explained from what two engines really sent each other."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509

from harness.capture.decryption import decrypt
from harness.capture.secrets import Secrets
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.description import identity
from harness.ike.payloads_v2 import Notify
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v2.connection import Anchors, Identity, Settings, SharedKey, Signer
from harness.ike.v2.cookies import CookieJar
from harness.ike.v2.script import Script
from harness.ike.v2.suites import ChildProposal, IkeProposal
from harness.verdict.diagnosis.attempts import failures
from harness.verdict.diagnosis.failures_v2 import failures_v2
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.identities import Claim, same
from harness.verdict.diagnosis.negotiations import negotiations
from harness.verdict.diagnosis.wishes import Setting
from tests.ike.v2.pair import ECP_256, ESP, GCM, HMAC_SHA256, KEY, MOON_NET, SUN_NET, X25519, Pair
from tests.ike.v2.test_authentication import START, authority, key_of, signer, trusting
from tests.verdict.diagnosis.engines import Tap, tried_v2

CBC_128, CBC_256 = encryption("AES_CBC_128"), encryption("AES_CBC_256")
SHA256 = prf("HMAC_SHA2_256")


def ike(cipher=CBC_128, digest=SHA256, group=X25519, mac=HMAC_SHA256) -> IkeProposal:
    return IkeProposal((cipher,), (digest,), (group,), (mac,))


def offering(*proposals: IkeProposal):
    return replace(MOON_NET, proposals=proposals)


def wanting(*proposals: IkeProposal):
    return replace(SUN_NET, proposals=proposals)


def with_child(connection, **changes):
    (child,) = connection.children
    return replace(connection, children=(replace(child, **changes),))


def calls_of(work: Callable[[], object]) -> int:
    """How many functions some work calls, the same each time."""
    events: list[str] = []
    sys.setprofile(lambda frame, event, of: events.append(event))
    try:
        work()
    finally:
        sys.setprofile(None)
    return events.count("call")


def test_what_comes_up_has_no_diagnosis() -> None:
    assert tried_v2().diagnoses() == ()


@pytest.mark.parametrize(
    ("other", "what", "offered", "wanted"),
    [
        ({"cipher": CBC_256}, "key length", "AES_CBC_128", "AES_CBC_256"),
        (
            {"cipher": encryption("CAMELLIA_CBC_128")},
            "encryption",
            "AES_CBC_128",
            "CAMELLIA_CBC_128",
        ),
        ({"digest": prf("HMAC_SHA2_384")}, "PRF", "HMAC_SHA2_256", "HMAC_SHA2_384"),
        (
            {"mac": integrity("HMAC_SHA1_96")},
            "integrity",
            "HMAC_SHA2_256_128",
            "HMAC_SHA1_96",
        ),
        ({"group": ECP_256}, "DH group", "X25519", "ECP 256"),
    ],
)
def test_each_transform_of_an_ike_sa_is_named(other, what, offered, wanted) -> None:
    found = tried_v2(offering(ike()), wanting(ike(**other))).diagnosis()
    assert (found.cause, found.notify) == (Cause.PROPOSAL, "NO_PROPOSAL_CHOSEN")
    assert (found.asker, found.refuser) == ("moon", "sun")
    assert found.difference(what) == (offered, wanted)
    assert len(found.differing) == 1
    assert {one.node for one in found.remedies} == {"moon", "sun"}


def test_of_several_proposals_the_nearest_is_compared() -> None:
    far, near = ike(GCM, prf("HMAC_SHA2_512"), key_exchange("X448")), ike(group=ECP_256)
    found = tried_v2(offering(far, near), wanting(ike())).diagnosis()
    assert found.difference("DH group") == ("ECP 256", "X25519")
    assert len(found.differing) == 1


def test_an_additional_key_exchange_that_only_one_end_has_is_named() -> None:
    hybrid = replace(ike(), additional=((key_exchange("ML_KEM_768"),),))
    found = tried_v2(offering(ike()), wanting(hybrid)).diagnosis()
    assert found.difference("additional key exchange 1") == ("none", "ML_KEM_768")


def test_another_group_in_the_ke_payload_is_no_failure_when_it_is_asked_for_again() -> None:
    both = IkeProposal((GCM,), (SHA256,), (X25519, ECP_256))
    other = IkeProposal((GCM,), (SHA256,), (ECP_256,))
    assert tried_v2(offering(both), wanting(other)).diagnoses() == ()


def test_another_group_that_is_never_asked_for_again_is_named() -> None:
    both = IkeProposal((GCM,), (SHA256,), (X25519, ECP_256))
    other = IkeProposal((GCM,), (SHA256,), (ECP_256,))
    script = Script()
    script.received(exchange=ExchangeType.IKE_SA_INIT, times=100).drop()
    pair = Pair((offering(both),), (wanting(other),), seams=(script, None))
    tap = Tap(pair)
    pair.up()
    found = tap.diagnosis()
    assert (found.cause, found.notify) == (Cause.KEY_EXCHANGE, "INVALID_KE_PAYLOAD")
    assert found.difference("KE payload") == ("X25519", "ECP 256")


def test_a_child_sa_with_other_algorithms_is_refused_in_ike_auth() -> None:
    other = ChildProposal((CBC_256,), (HMAC_SHA256,))
    found = tried_v2(sun=with_child(SUN_NET, proposals=(other,))).diagnosis()
    assert (found.cause, found.exchange) == (Cause.PROPOSAL, "IKE_AUTH")
    assert found.difference("encryption") == ("AES_GCM_16_128", "AES_CBC_256")
    assert found.difference("integrity") == ("none", "HMAC_SHA2_256_128")
    assert found.remedy("moon").setting is Setting.CHILD_PROPOSALS


def test_sequence_numbers_of_another_size_are_named() -> None:
    extended = ChildProposal((GCM,), esn=(True,))
    found = tried_v2(sun=with_child(SUN_NET, proposals=(extended,))).diagnosis()
    assert found.difference("sequence numbers") == ("32 bits", "64 bits")


def test_a_later_child_sa_is_refused_for_its_pfs_group() -> None:
    def offered(group):
        return ChildProposal((GCM,), groups=(group,))

    pair = Pair(
        (with_child(MOON_NET, proposals=(offered(X25519),)),),
        (with_child(SUN_NET, proposals=(offered(ECP_256),)),),
    )
    tap = Tap(pair)
    pair.up()
    assert tap.diagnoses() == ()
    pair.moon.endpoint.commands.rekey_child(pair.moon.ike, pair.moon.child.inbound_spi, pair.now)
    pair.settle()
    found = tap.diagnosis()
    assert (found.cause, found.exchange) == (Cause.PROPOSAL, "CREATE_CHILD_SA")
    assert found.difference("PFS group") == ("X25519", "ECP 256")


@pytest.mark.parametrize("wanted", [X25519, ECP_256], ids=["agreed", "refused"])
def test_twice_as_many_rekeyings_take_twice_the_steps_to_look_through(wanted) -> None:
    def steps(rekeyings: int) -> int:
        mine, other = (ChildProposal((GCM,), groups=(one,)) for one in (X25519, wanted))
        pair = Pair(
            (with_child(MOON_NET, proposals=(mine,)),), (with_child(SUN_NET, proposals=(other,)),)
        )
        tap = Tap(pair)
        pair.up()
        for _ in range(rekeyings):
            child = pair.moon.child.inbound_spi
            pair.moon.endpoint.commands.rekey_child(pair.moon.ike, child, pair.now)
            pair.settle()
        (negotiation,) = negotiations(decrypt(tap.frames, tap.secrets).entries)
        assert len(list(failures_v2(negotiation))) == (rekeyings if wanted is ECP_256 else 0)
        return calls_of(lambda: list(failures_v2(negotiation)))

    few, more, most = (steps(count) for count in (10, 20, 40))
    assert most - more == 2 * (more - few)


def test_traffic_selectors_are_shown_with_those_that_are_wanted() -> None:
    elsewhere = (TrafficSelector.of(ip_network("10.3.0.0/16")),)
    found = tried_v2(with_child(MOON_NET, remote=elsewhere)).diagnosis()
    assert (found.cause, found.notify) == (Cause.SELECTORS, "TS_UNACCEPTABLE")
    assert found.difference("traffic of sun") == ("10.3.0.0/16", "10.2.0.0/16")
    assert found.difference("traffic of moon") is None
    assert {(one.node, one.setting, one.value) for one in found.remedies} == {
        ("moon", Setting.REMOTE_SUBNETS, ("10.2.0.0/16",)),
        ("sun", Setting.LOCAL_SUBNETS, ("10.3.0.0/16",)),
    }


@pytest.mark.parametrize("end", ["moon", "sun"])
def test_an_identity_that_is_not_expected_is_shown_with_the_one_that_is(end) -> None:
    mars = Identity.of("mars.example")
    moon = replace(MOON_NET, remote_id=mars) if end == "moon" else MOON_NET
    sun = replace(SUN_NET, remote_id=mars) if end == "sun" else SUN_NET
    found = tried_v2(moon, sun).diagnoses()[0]
    assert found.cause is Cause.IDENTITY
    assert found.proved
    sent = {"moon": ("mars.example", "sun.example"), "sun": ("moon.example", "mars.example")}
    assert sent[end] in [(row.offered, row.wanted) for row in found.differing]


@pytest.mark.parametrize("odd", ["moon", "sun"])
def test_auth_that_does_not_verify_proves_another_secret(odd) -> None:
    other = SharedKey(b"another secret than the other end's")
    connections = {"moon": MOON_NET, "sun": SUN_NET}
    connections[odd] = replace(connections[odd], local_auth=other, remote_auth=other)
    found = tried_v2(*connections.values()).diagnosis()
    assert (found.cause, found.notify) == (Cause.SECRET, "AUTHENTICATION_FAILED")
    assert "AUTH of moon does not verify under the secret of sun" in found.sentence
    assert not any(secret in repr(found) for secret in ("another secret", "an example key"))


def test_only_one_direction_may_have_another_secret() -> None:
    sun = replace(SUN_NET, local_auth=SharedKey(b"what sun proves itself with"))
    found = tried_v2(MOON_NET, sun).diagnosis()
    assert found.cause is Cause.SECRET
    assert (found.asker, found.refuser) == ("sun", "moon")


def test_a_failure_whose_secret_verifies_is_not_called_a_wrong_secret() -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_AUTH).replace(
        lambda plain: replace(
            plain,
            message=replace(plain.message, payloads=(Notify(NotifyType.AUTHENTICATION_FAILED),)),
        )
    )
    pair = Pair(seams=(None, script))
    tap = Tap(pair)
    pair.up()
    found = tap.diagnosis()
    assert found.cause is Cause.AUTHENTICATION
    assert not found.proved
    assert "the proof is good by the secret of sun" in found.sentence


def test_a_signature_where_a_key_is_expected_is_another_method() -> None:
    moon = trusting(MOON_NET, signer("p256", "moon.example"))
    found = tried_v2(moon, SUN_NET, settings=Settings(epoch=START)).diagnosis()
    assert found.cause is Cause.METHOD
    assert found.difference("authentication") == ("a signature", "a pre-shared key")


def certified(mine: Signer, settings: Settings):
    return tried_v2(
        trusting(MOON_NET, mine),
        trusting(SUN_NET, signer("p256", "sun.example")),
        settings=settings,
    )


def test_a_certificate_of_an_unknown_authority_is_shown_with_the_trusted_one() -> None:
    tried = certified(signer("p256", "moon.example", "strange"), Settings(epoch=START))
    found = tried.diagnosis()
    assert found.cause is Cause.CERTIFICATE
    assert found.difference("issuer") == ("CN=strange", "CN=lab")


def test_an_expired_certificate_is_shown_with_the_time_of_the_capture() -> None:
    late = START + timedelta(days=31)
    tried = certified(signer("p256", "moon.example"), Settings(epoch=late))
    frames = [
        one._replace(time_ns=one.time_ns + int(timedelta(days=31).total_seconds() * 1e9))
        for one in tried.frames
    ]
    found = tried.diagnosis(frames=frames)
    assert found.cause is Cause.CERTIFICATE
    (row,) = found.differing
    assert row.what == "valid"
    assert "it expired at 2026-01-31" in found.sentence


def test_a_certificate_for_somebody_else_is_shown_with_its_names() -> None:
    found = certified(signer("p256", "mars.example"), Settings(epoch=START)).diagnosis()
    assert found.cause is Cause.CERTIFICATE
    assert found.difference("certificate for") == ("mars.example", "moon.example")


def test_a_signature_by_another_key_is_told_from_a_bad_certificate() -> None:
    right = signer("p256", "moon.example")
    tried = certified(Signer(key_of("p256", "forger"), right.chain), Settings(epoch=START))
    found = tried.diagnosis()
    assert found.cause is Cause.AUTHENTICATION
    assert found.proved
    assert "AUTH does not verify with the certificate of CN=moon.example" in found.sentence


def test_the_initiator_may_be_who_does_not_accept_the_certificate() -> None:
    tried = tried_v2(
        trusting(MOON_NET, signer("p256", "moon.example")),
        trusting(SUN_NET, signer("p256", "sun.example", "strange")),
        settings=Settings(epoch=START),
    )
    found = tried.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.CERTIFICATE, "sun", "moon")


def test_anchors_are_compared_only_where_the_end_expects_certificates() -> None:
    keyed = replace(SUN_NET, local_auth=KEY, remote_auth=Anchors((authority("strange")[1],)))
    found = tried_v2(MOON_NET, keyed, settings=Settings(epoch=START)).diagnosis()
    assert found.cause is Cause.METHOD


def lost(sender: str, exchange: int):
    """Lose every message of an exchange from one end."""

    def prepare(pair: Pair) -> None:
        def through(datagram):
            data = datagram.data[4:] if datagram.source.port == 4500 else datagram.data
            mine = datagram.source.host == {"moon": "192.0.2.1", "sun": "192.0.2.2"}[sender]
            return None if mine and data[18] == exchange else datagram

        pair.translate = through

    return prepare


def test_an_end_that_never_answers_is_named_with_the_repetitions() -> None:
    tried = tried_v2(prepare=lost("moon", ExchangeType.IKE_SA_INIT), later=200)
    found = tried.diagnosis()
    assert found.cause is Cause.NO_ANSWER
    assert "sun did not answer the IKE_SA_INIT request of moon (frame 1, sent 6 times)" in (
        found.sentence
    )


def test_silence_from_ike_auth_on_is_told_as_such() -> None:
    tried = tried_v2(prepare=lost("moon", ExchangeType.IKE_AUTH), later=200)
    found = tried.diagnosis()
    assert found.cause is Cause.NO_ANSWER
    assert not found.proved
    assert found.exchange == "IKE_AUTH"
    # Nothing was offered and nothing wanted: there is no table with such heads.
    assert found.rows == ()
    assert found.notes == ("sun's last message is in frame 2",)


def test_an_answer_that_does_not_arrive_is_told_from_a_request_that_does_not() -> None:
    found = tried_v2(prepare=lost("sun", ExchangeType.IKE_SA_INIT), later=200).diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.NO_ANSWER, "sun", "moon")
    assert found.sentence.startswith("moon did not answer the IKE_SA_INIT response of sun (frame 2")


def test_a_nat_that_lets_nothing_through_port_4500_is_named() -> None:
    def blocked(pair: Pair) -> None:
        pair.translate = lambda datagram: None if 4500 in datagram.destination else datagram

    found = tried_v2(
        replace(MOON_NET, force_encapsulation=True), prepare=blocked, later=200
    ).diagnosis()
    assert found.cause is Cause.NAT
    assert not found.proved
    assert "none to UDP port 4500; a NAT translates moon" in found.sentence


@pytest.mark.parametrize(
    ("configured", "text", "agrees"),
    [
        ("@moon.example", "moon.example", True),
        ("MOON.example", "moon.example", True),
        ("*.example", "moon.example", True),
        ("*.example.org", "moon.example", False),
        ("sun.example", "moon.example", False),
    ],
)
def test_an_identity_may_be_a_pattern(configured: str, text: str, agrees: bool) -> None:
    assert same(configured, Claim(2, text.encode(), text, b"")) is agrees


def test_a_distinguished_name_is_the_same_in_either_order() -> None:
    name = x509.Name.from_rfc4514_string("CN=moon.strongswan.org,O=Linux strongSwan,C=CH")
    der = name.public_bytes()
    claim = Claim(9, der, identity(9, der), b"")
    assert claim.text == "CN=moon.strongswan.org,O=Linux strongSwan,C=CH"
    assert same("C=CH, O=Linux strongSwan, CN=moon.strongswan.org", claim)
    assert same("CN=moon.strongswan.org, O=Linux strongSwan, C=CH", claim)
    assert not same("C=CH, O=Linux strongSwan, CN=sun.strongswan.org", claim)


def test_fragments_that_never_come_together_are_numbered() -> None:
    small = Settings(epoch=START, fragment_size=700)

    def lossy(pair: Pair) -> None:
        def through(datagram):
            data = datagram.data[4:] if datagram.source.port == 4500 else datagram.data
            second = data[16] == 53 and data[32:34] == b"\x00\x02"
            return None if second else datagram

        pair.translate = through

    moon, sun = (trusting(one, signer("rsa", name)) for one, name in (
        (MOON_NET, "moon.example"), (SUN_NET, "sun.example")))  # fmt: skip
    tried = tried_v2(moon, sun, settings=small, prepare=lossy, later=100)
    # The wire is watched where the second fragment has already been lost.
    frames = [one for one in tried.frames if not _second_fragment(one.data)]
    found = tried.diagnosis(frames=frames)
    assert found.cause is Cause.FRAGMENTS
    assert "number 2 is missing" in found.sentence


def _second_fragment(frame: bytes) -> bool:
    """Whether a frame holds an SKF with the number 2; on port 4500 behind the marker."""
    message = frame[42:] if frame[36:38] == b"\x01\xf4" else frame[46:]
    return message[16] == 53 and message[32:34] == b"\x00\x02"


def test_a_responder_that_asks_for_cookies_for_ever_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CookieJar, "knows", lambda *known: False)
    found = tried_v2(settings=Settings(cookie_threshold=0), later=1).diagnosis()
    assert (found.cause, found.notify) == (Cause.COOKIE, "COOKIE")
    assert "sun asked moon" in found.sentence
    assert "it was not accepted" in found.sentence


def test_an_answer_that_cannot_be_read_is_told_as_such() -> None:
    tried = tried_v2(with_child(MOON_NET), replace(SUN_NET, remote_id=Identity.of("mars.example")))
    found = tried.diagnosis(secrets=Secrets(), wishes=())
    assert found.cause is Cause.UNREADABLE
    assert not found.proved
    assert "no key" in found.sentence


def test_without_a_configuration_only_the_offer_is_known() -> None:
    found = tried_v2(offering(ike()), wanting(ike(group=ECP_256))).diagnosis(wishes=())
    assert (found.cause, found.proved, found.remedies) == (Cause.PROPOSAL, False, ())
    assert [row.wanted for row in found.rows] == [""] * len(found.rows)
    assert "its configuration is not known" in found.sentence


def test_the_same_failure_again_is_counted_and_not_repeated() -> None:
    pair = Pair((offering(ike()),), (wanting(ike(group=ECP_256)),))
    tap = Tap(pair)
    pair.up()
    pair.up()
    assert tap.diagnosis().times == 2


def test_twice_as_many_attempts_take_twice_the_steps_to_look_through() -> None:
    def steps(attempts: int) -> int:
        pair = Pair((offering(ike()),), (wanting(ike(group=ECP_256)),))
        tap = Tap(pair)
        for _ in range(attempts):
            pair.up()
        entries = decrypt(tap.frames, tap.secrets).entries
        assert len(list(failures(entries))) == attempts
        return calls_of(lambda: list(failures(entries)))

    few, more, most = (steps(count) for count in (10, 20, 40))
    assert most - more == 2 * (more - few)


def test_a_second_attempt_that_comes_up_leaves_no_failure() -> None:
    pair = Pair()
    tap = Tap(pair)
    pair.translate = lambda datagram: None
    pair.up()
    pair.rest(200)
    assert tap.diagnosis().cause is Cause.NO_ANSWER
    pair.translate = lambda datagram: datagram
    pair.up()
    assert tap.diagnoses() == ()


def test_esp_is_the_protocol_of_both() -> None:
    found = tried_v2(
        sun=with_child(SUN_NET, proposals=(ChildProposal((CBC_256,), (HMAC_SHA256,)),))
    ).diagnosis()
    assert ESP.encryptions == (GCM,)
    assert next(row for row in found.rows if row.what == "protocol").offered == "ESP"
