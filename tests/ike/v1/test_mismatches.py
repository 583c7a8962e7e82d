# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of ends that do not agree: the notify on the wire, and the reason at both ends."""

from dataclasses import replace

import pytest

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import ExchangeType, IpsecAttribute, NotifyType, Phase1Attribute
from harness.ike.payload import first
from harness.ike.payloads_v1 import Notification, SecurityAssociation
from harness.ike.script import ALWAYS
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v1.configuration import (
    Child,
    Lifetime,
    LifetimeCheck,
    Phase1,
    Phase1Mode,
    PreSharedKey,
)
from harness.ike.v1.events import (
    IpsecSaInstalled,
    IpsecSaRemoved,
    IsakmpSaEstablished,
    Phase1Failed,
    QuickModeFailed,
    Refused,
)
from harness.ike.v1.identity import ANYTHING, address_identity, name_identity, subnet_identity
from harness.ike.v1.reasons import Reason
from harness.ike.v1.seam import Plain
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import LEFT, RIGHT, Pair, seil, swan

INFORMATIONAL = ExchangeType.INFORMATIONAL


def phase1(group="MODP_1536", cipher="AES_CBC_256", digest="HMAC_SHA2_256", **changes):
    return Phase1(
        (encryption(cipher),), (prf(digest),), (key_exchange(group),), Lifetime(777), **changes
    )


def child(**changes):
    return replace(seil().children[0], **changes)


def nothing_is_left(pair: Pair) -> None:
    assert not pair.a.sas + pair.b.sas
    assert pair.a.endpoint.half_open == pair.b.endpoint.half_open == 0


def test_another_group_is_refused_in_one_plain_message_of_56_octets():
    pair = Pair(seil(phase1=phase1("MODP_1024")), swan(phase1=phase1()))
    pair.initiate()
    pair.run()
    assert pair.sizes == [164, 56]
    answer = pair.messages()[1]
    (notify,) = answer.payloads
    assert isinstance(notify, Notification)
    assert answer.flags == 0
    assert answer.message_id != 0
    assert notify.notify_type == NotifyType.NO_PROPOSAL_CHOSEN == 14
    assert notify.spi == answer.initiator_spi + answer.responder_spi
    assert answer.responder_spi != bytes(8)
    nothing_is_left(pair)


def test_the_diagnosis_names_the_group_on_both_sides():
    pair = Pair(seil(phase1=phase1("MODP_1024")), swan(phase1=phase1()))
    pair.initiate()
    pair.run()
    failed = pair.b.only(Phase1Failed)
    assert failed.reason is Reason.NO_PROPOSAL_CHOSEN
    assert failed.detail == (
        "offered AES_CBC_256/HMAC_SHA2_256/MODP_1024/PRE_SHARED_KEY;"
        " configured AES_CBC_256/HMAC_SHA2_256/MODP_1536/PRE_SHARED_KEY"
    )
    ours = pair.a.only(Phase1Failed)
    assert (ours.reason, ours.notify) == (Reason.REFUSED, 14)


@pytest.mark.parametrize(
    "other",
    [
        phase1(cipher="AES_CBC_128"),
        phase1(cipher="3DES"),
        phase1(digest="HMAC_SHA1"),
        phase1("MODP_2048"),
    ],
    ids=["key length", "cipher", "hash", "group"],
)
def test_each_part_of_a_phase_1_proposal_counts(other):
    pair = Pair(seil(phase1=phase1()), swan(phase1=other))
    pair.initiate()
    pair.run()
    assert pair.a.only(Phase1Failed).notify == NotifyType.NO_PROPOSAL_CHOSEN
    nothing_is_left(pair)


def test_the_first_transform_of_the_initiator_that_fits_is_chosen():
    both = Phase1((encryption("AES_CBC_128"), encryption("AES_CBC_256")))
    pair = Pair(b=swan(phase1=both))
    pair.up()
    assert pair.a.only(IsakmpSaEstablished).choice.encryption.name == "AES_CBC_256"


def test_a_stranger_is_told_that_no_proposal_is_chosen():
    pair = Pair(b=swan(remote=seil().local._replace(host="10.0.0.9")))
    pair.initiate()
    pair.run()
    failed = pair.b.only(Phase1Failed)
    assert failed.reason is Reason.NO_CONNECTION
    assert "10.0.0.1" in failed.detail
    assert pair.a.only(Phase1Failed).notify == 14


def test_a_phase_2_mismatch_is_refused_in_an_encrypted_message():
    weak = child(encryptions=(encryption("AES_CBC_256"),), integrities=(integrity("HMAC_MD5_96"),))
    pair = Pair(a=seil(children=(weak,)))
    told = Transcript(pair.b)
    pair.initiate()
    pair.run()
    notify = told.payloads(INFORMATIONAL)[-1][0]
    assert notify.notify_type == NotifyType.NO_PROPOSAL_CHOSEN
    assert [one.flags for one in pair.messages()[-2:]] == [1, 1]
    # As in the seed: a Quick Mode of 172 octets and an answer of 92.
    assert pair.sizes[-2:] == [172, 92]
    ours, theirs = pair.a.only(QuickModeFailed), pair.b.only(QuickModeFailed)
    assert (ours.reason, ours.notify) == (Reason.REFUSED, 14)
    assert "HMAC_MD5_96" in theirs.detail
    assert "HMAC_SHA2_256_128" in theirs.detail
    assert not pair.a.of(IpsecSaInstalled) + pair.b.of(IpsecSaInstalled)
    # Phase 1 stays.
    assert len(pair.a.endpoint.isakmp_sas()) == len(pair.b.endpoint.isakmp_sas()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"encryptions": (encryption("AES_CBC_192"),)},
        {"transport": True},
        {"pfs": key_exchange("MODP_2048")},
    ],
    ids=["key length", "mode", "group"],
)
def test_each_part_of_a_phase_2_proposal_counts(changes):
    strict = child(local=RIGHT, remote=LEFT, check=LifetimeCheck.EXACT)
    pair = Pair(a=seil(children=(child(**changes),)), b=swan(children=(strict,)))
    pair.initiate()
    pair.run()
    assert pair.a.only(QuickModeFailed).notify == NotifyType.NO_PROPOSAL_CHOSEN
    assert not pair.a.sas


def test_a_responder_that_obeys_takes_secrecy_that_it_does_not_ask_for():
    pair = Pair(a=seil(children=(child(pfs=key_exchange("MODP_2048")),)))
    pair.up()
    assert pair.b.sas[0].pfs == key_exchange("MODP_2048")


def test_unknown_selectors_are_refused_as_invalid_ids():
    pair = Pair(a=seil(children=(child(local=ANYTHING, remote=ANYTHING),)))
    pair.initiate()
    pair.run()
    assert pair.a.only(QuickModeFailed).notify == NotifyType.INVALID_ID_INFORMATION == 18
    theirs = pair.b.only(QuickModeFailed)
    assert theirs.reason is Reason.INVALID_ID
    assert "0.0.0.0/0.0.0.0" in theirs.detail
    assert "192.168.2.0/255.255.255.0" in theirs.detail


def test_other_ids_in_the_answer_end_the_negotiation_as_in_a_seil():
    pair = Pair(a=seil(children=(child(local=ANYTHING, remote=ANYTHING),)))
    ids = (RIGHT, LEFT)

    # A responder that answers with its own subnets, as strongSwan does.
    def asked(plain):
        if not plain.is_exchange(ExchangeType.QUICK_MODE):
            return plain
        known = {5: iter(reversed(ids))}
        return plain.forged(
            payloads=tuple(
                next(known[5]).payload() if one.payload_type == 5 else one for one in plain.payloads
            )
        )

    def answered(plain):
        return asked(plain)

    pair.b.script.received(times=ALWAYS).replace(asked)
    pair.b.script.sent(times=ALWAYS).replace(answered)
    pair.initiate()
    pair.run()
    failed = pair.a.only(QuickModeFailed)
    assert failed.reason is Reason.MISMATCHED_ID
    assert failed.detail.startswith("mismatched ID was returned")
    assert failed.notify is None
    assert not pair.a.of(IpsecSaInstalled)
    pair.advance(400)
    assert not pair.b.sas
    assert pair.b.only(IpsecSaRemoved).reason is Reason.TIMEOUT


@pytest.mark.parametrize("mode", list(Phase1Mode))
@pytest.mark.parametrize("end", ["a", "b"])
def test_an_unexpected_identity_fails_phase_1_at_the_end_that_minds(mode, end):
    both = Phase1(mode=mode, accept_aggressive_psk=True)
    wanted = {"remote_identity": name_identity("moon.example.org")}
    pair = Pair(
        seil(phase1=both, **(wanted if end == "a" else {})),
        swan(phase1=both, **(wanted if end == "b" else {})),
    )
    pair.initiate()
    pair.run()
    minding, other = (pair.a, pair.b) if end == "a" else (pair.b, pair.a)
    failed = minding.of(Phase1Failed)[0]
    assert failed.reason is Reason.INVALID_ID
    assert failed.notify == NotifyType.INVALID_ID_INFORMATION
    assert "moon.example.org" in failed.detail
    assert not minding.endpoint.isakmp_sas()
    assert not pair.a.sas + pair.b.sas
    if end == "b":
        assert other.only(Phase1Failed).notify == NotifyType.INVALID_ID_INFORMATION


def test_another_secret_is_guessed_from_garbage_and_ends_in_time():
    pair = Pair(a=seil(credentials=PreSharedKey(b"another")))
    pair.initiate()
    pair.run()
    assert "do both ends have one secret?" in pair.b.of(Refused)[0].why
    pair.advance(200)
    assert pair.a.only(Phase1Failed).reason is Reason.TIMEOUT
    nothing_is_left(pair)


def test_another_secret_fails_aggressive_mode_at_once():
    both = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
    pair = Pair(seil(phase1=both, credentials=PreSharedKey(b"another")), swan(phase1=both))
    pair.initiate()
    pair.run()
    ours = pair.a.only(Phase1Failed)
    assert (ours.reason, ours.notify) == (Reason.AUTHENTICATION_FAILED, 24)
    assert "is it the same secret?" in ours.detail
    assert pair.b.only(Phase1Failed).notify == NotifyType.AUTHENTICATION_FAILED


def test_aggressive_mode_with_a_secret_is_refused_with_a_reason():
    both = Phase1(mode=Phase1Mode.AGGRESSIVE)
    pair = Pair(seil(phase1=both), swan(phase1=both))
    pair.initiate()
    pair.run()
    assert pair.sizes == [568, 56]
    assert pair.a.only(Phase1Failed).notify == NotifyType.AUTHENTICATION_FAILED == 24
    assert "lets anybody guess" in pair.b.only(Phase1Failed).detail
    nothing_is_left(pair)


def test_a_plain_error_cannot_end_a_negotiation_that_has_keys():
    pair = Pair()
    pair.initiate()
    for _ in range(4):
        pair.deliver(pair.queue.pop(0))
    cookie = pair.a.of(object)[0].isakmp
    forged = Notification(NotifyType.AUTHENTICATION_FAILED, b"", 1, bytes(16))
    theirs = pair.b.events[0].isakmp
    pair.b.endpoint.send(theirs, INFORMATIONAL, (forged,), pair.now, protected=False)
    pair.run()
    assert pair.a.endpoint.isakmp_sas() == (cookie,)


@pytest.mark.parametrize(
    ("check", "own", "offered", "agreed"),
    [
        ("obey", 100, 200, 200),
        ("obey", 200, 100, 100),
        ("strict", 200, 100, 100),
        ("strict", 100, 200, None),
        ("claim", 200, 100, 100),
        ("claim", 100, 200, 100),
        ("exact", 100, 100, 100),
        ("exact", 100, 200, None),
        ("exact", 200, 100, None),
        ("strict", 0, 100, 100),
        ("claim", 100, 0, 100),
    ],
)
def test_lifetimes_of_phase_2_are_checked_as_configured(check, own, offered, agreed):
    def with_lifetime(one: Child, seconds: int) -> Child:
        return replace(one, lifetime=Lifetime(seconds, 77), check=LifetimeCheck(check))

    pair = Pair(
        seil(children=(with_lifetime(seil().children[0], offered),)),
        swan(children=(with_lifetime(swan().children[0], own),)),
    )
    pair.initiate()
    pair.run()
    if agreed is None:
        assert pair.a.only(QuickModeFailed).notify == NotifyType.NO_PROPOSAL_CHOSEN
        assert "lifetime" in pair.b.only(QuickModeFailed).detail
    else:
        assert pair.b.sas[0].lifetime == Lifetime(agreed, 77)
        assert pair.a.sas[0].lifetime == Lifetime(agreed, 77)


def test_a_claiming_responder_tells_its_lifetime():
    claiming = replace(swan().children[0], lifetime=Lifetime(60), check=LifetimeCheck.CLAIM)
    pair = Pair(b=swan(children=(claiming,)))
    told = Transcript(pair.b)
    pair.up()
    notify = told.payloads(ExchangeType.QUICK_MODE)[0][-1]
    assert notify.notify_type == NotifyType.RESPONDER_LIFETIME
    assert notify.data.hex() == "800100018002003c"
    assert notify.spi == pair.b.sas[0].inbound_spi
    assert pair.a.sas[0].lifetime.seconds == 60


@pytest.mark.parametrize(
    ("exchange", "duration", "failure"),
    [
        (ExchangeType.IDENTITY_PROTECTION, Phase1Attribute.LIFE_DURATION, Phase1Failed),
        (ExchangeType.QUICK_MODE, IpsecAttribute.SA_LIFE_DURATION, QuickModeFailed),
    ],
    ids=["phase 1", "phase 2"],
)
@pytest.mark.parametrize("by", [-1, 1])
def test_an_answer_with_another_lifetime_than_was_offered_is_rejected(
    exchange, duration, failure, by
):
    def changed(own: Attribute) -> Attribute:
        other = Attribute.shortest(duration, own.number + by)
        return other if own.type == duration else own

    def living_otherwise(plain: Plain) -> Plain:
        sa = first(plain.payloads, SecurityAssociation)
        (proposal,) = sa.proposals
        (taken,) = proposal.transforms
        taken = replace(taken, attributes=tuple(map(changed, taken.attributes)))
        answer = replace(sa, proposals=(replace(proposal, transforms=(taken,)),))
        return plain.forged(payloads=tuple(answer if one is sa else one for one in plain.payloads))

    pair = Pair()
    pair.b.script.sent(exchange=exchange).replace(living_otherwise)
    pair.initiate()
    pair.run()
    failed = pair.a.only(failure)
    assert failed.reason is Reason.UNACCEPTABLE_ANSWER
    assert "a lifetime of" in failed.detail
    assert not pair.a.sas


def test_lifetimes_of_phase_1_are_checked_too():
    strict = Phase1(lifetime=Lifetime(60), check=LifetimeCheck.STRICT)
    pair = Pair(b=swan(phase1=strict))
    pair.initiate()
    pair.run()
    assert "longer than the own 60 s" in pair.b.only(Phase1Failed).detail


def test_a_child_without_ids_stands_for_the_addresses_of_the_peers():
    host = Child("host", address_identity("10.0.0.1"), address_identity("10.0.0.2"), transport=True)
    mirror = replace(host, local=host.remote, remote=host.local)
    pair = Pair(seil(children=(host,)), swan(children=(mirror,)))

    def without_ids(plain):
        kept = tuple(one for one in plain.payloads if one.payload_type != 5)
        return plain.forged(payloads=kept) if plain.is_exchange(32) else plain

    pair.a.script.sent(times=ALWAYS).replace(without_ids)
    pair.b.script.sent(times=ALWAYS).replace(without_ids)
    pair.initiate("host")
    pair.run()
    assert pair.a.sas[0].transport
    assert pair.b.sas[0].local == address_identity("10.0.0.2")


def test_a_second_child_is_chosen_by_its_selectors():
    more = subnet_identity("192.168.9.0/24")
    pair = Pair(
        seil(children=(*seil().children, Child("more", LEFT, more))),
        swan(children=(*swan().children, Child("other", more, LEFT))),
    )
    pair.initiate("more")
    pair.initiate("lan")
    pair.run()
    assert [sa.name for sa in pair.a.sas] == ["more", "lan"]
    assert [sa.name for sa in pair.b.sas] == ["other", "lan"]
