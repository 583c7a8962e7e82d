# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SEIL configuration puts on the wire, in the sizes and orders of a SEIL's own capture."""

from __future__ import annotations

import pytest

from harness.daemon.seil.dialect import read_seil
from harness.ike.constants_v1 import ExchangeType, IdType, NotifyType, Phase1Attribute
from harness.ike.payloads_v1 import Hash, Identification, Nonce, SecurityAssociation, VendorId
from harness.ike.script import ALWAYS
from harness.ike.transforms import encryption, integrity, key_exchange
from harness.ike.v1.configuration import Child, Connection, Phase1, Phase1Mode
from harness.ike.v1.events import IpsecSaRemoved, Phase1Failed, QuickModeFailed
from harness.ike.v1.identity import ANYTHING, subnet_identity
from harness.ike.v1.reasons import Reason
from harness.ike.v1.seam import Plain
from harness.ike.vendor_ids import DPD, KAME_RACOON, NAT_T_DRAFT_02_NEWLINE, RFC_3947
from tests.daemon.seil_files import MINIMAL, PHASE1, PHASE2, SIXTEEN, WITHOUT_PROXY_ID
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import Pair, mirrored, swan

A = Phase1Attribute
LIFETIME_60 = "interface.ipsec0.ike.proposal.phase1.lifetime : 60\n"
RESPONDER_ONLY = "interface.ipsec0.responder-only : enable\n"
AGGRESSIVE = "interface.ipsec0.ike.exchange-mode : aggressive\n"
SWAN_CHILD = Child("lan", subnet_identity("192.168.2.0/24"), subnet_identity("192.168.1.0/24"))


def seil(text: str = MINIMAL) -> Connection:
    (connection,) = read_seil(text, "seil.conf").v1
    return connection


def pair_of(text: str = MINIMAL, **peer: object) -> Pair:
    return Pair(seil(text), swan(**peer))


def first_message(text: str):
    pair = pair_of(text)
    pair.initiate("ipsec0")
    return pair.messages()[0], len(pair.sent[0].data)


@pytest.mark.parametrize(
    ("more", "count", "sa_size", "message_size"),
    [
        ("", 6, 252, 360),
        (PHASE1, 1, 56, 164),
        (LIFETIME_60, 6, 228, 336),
        (SIXTEEN, 16, 644, 752),
    ],
    ids=["default", "one transform", "lifetime 60", "four by four"],
)
def test_message_1_has_the_size_of_a_seil(more, count, sa_size, message_size):
    message, size = first_message(MINIMAL + more)
    sa = message.payloads[0]
    assert isinstance(sa, SecurityAssociation)
    assert len(sa.proposals[0].transforms) == count
    assert (4 + len(sa.body()), size) == (sa_size, message_size)


def test_message_1_has_six_transforms_in_the_order_of_a_seil():
    message, _ = first_message(MINIMAL)
    transforms = message.payloads[0].proposals[0].transforms
    wanted = (A.ENCRYPTION_ALGORITHM, A.KEY_LENGTH, A.HASH_ALGORITHM, A.GROUP_DESCRIPTION)
    assert [tuple(one.number_of(kind) for kind in wanted) for one in transforms] == [
        (7, 256, 4, 5), (7, 256, 2, 5), (7, 128, 4, 5), (7, 128, 2, 5), (5, None, 4, 5),
        (5, None, 2, 5),
    ]  # fmt: skip
    assert [each.type for each in transforms[0].attributes] == [11, 12, 1, 14, 3, 2, 4]
    assert transforms[0].attribute(A.LIFE_DURATION).value == (86400).to_bytes(4, "big")
    assert {one.number_of(A.AUTHENTICATION_METHOD) for one in transforms} == {1}


def test_message_1_ends_with_the_vendor_ids_of_a_seil():
    message, _ = first_message(MINIMAL)
    assert [one.data for one in message.payloads[1:] if isinstance(one, VendorId)] == [
        KAME_RACOON, DPD, RFC_3947, NAT_T_DRAFT_02_NEWLINE,
    ]  # fmt: skip
    assert KAME_RACOON.hex() == "7003cbc1097dbe9c2600ba6983bc8b35"


def test_message_5_and_quick_mode_say_what_those_of_a_seil_say():
    pair = pair_of(remote_identity=None)
    transcript = Transcript(pair.a)
    pair.initiate("ipsec0")
    pair.run()
    identity, digest = transcript.payloads(ExchangeType.IDENTITY_PROTECTION)[2]
    assert (identity.id_type, identity.protocol, identity.port) == (IdType.IPV4_ADDR, 17, 0)
    assert isinstance(digest, Hash)
    assert 4 + len(digest.data) == 36
    quick = transcript.payloads(ExchangeType.QUICK_MODE)[0]
    assert [type(one) for one in quick] == [
        SecurityAssociation, Nonce, Identification, Identification,
    ]  # fmt: skip
    assert [one.id_type for one in quick[2:]] == [IdType.IPV4_ADDR_SUBNET] * 2
    assert [one.data[:4] for one in quick[2:]] == [bytes([192, 168, 1, 0]), bytes([192, 168, 2, 0])]
    assert (pair.sizes[4], pair.sizes[6], pair.sizes[8]) == (92, 108, 316)
    assert mirrored(pair.a, pair.b)


def test_a_quick_mode_of_one_transform_has_172_octets():
    md5 = Child(
        "lan", SWAN_CHILD.local, SWAN_CHILD.remote, (encryption("AES_CBC_256"),),
        (integrity("HMAC_MD5_96"),),
    )  # fmt: skip
    pair = pair_of(MINIMAL + PHASE2, children=(md5,))
    pair.initiate("ipsec0")
    pair.run()
    assert pair.sizes[8] == 172
    assert mirrored(pair.a, pair.b)


def test_another_group_is_refused_with_no_proposal_chosen_and_fits_once_the_peer_has_it():
    pair = pair_of(MINIMAL + PHASE1)
    pair.initiate("ipsec0")
    pair.run()
    assert pair.b.only(Phase1Failed).notify == NotifyType.NO_PROPOSAL_CHOSEN
    assert pair.sizes == [164, 56]
    fitting = pair_of(MINIMAL + PHASE1, phase1=Phase1(groups=(key_exchange("MODP_1024"),)))
    fitting.initiate("ipsec0")
    fitting.run()
    assert mirrored(fitting.a, fitting.b)


def test_without_proxy_id_a_seil_asks_for_everything_and_refuses_narrower_identities():
    pair = pair_of(WITHOUT_PROXY_ID, children=(Child("lan", ANYTHING, ANYTHING),))
    transcript = Transcript(pair.a)
    pair.b.script.sent(times=ALWAYS).replace(narrowed)
    pair.initiate("ipsec0")
    pair.run()
    ids = transcript.payloads(ExchangeType.QUICK_MODE)[0][2:]
    assert [one.data for one in ids] == [bytes(8), bytes(8)]
    failed = pair.a.only(QuickModeFailed)
    assert failed.reason == Reason.MISMATCHED_ID
    assert "mismatched ID was returned" in failed.detail
    assert pair.a.sas == ()


def narrowed(plain: Plain) -> Plain:
    """An answer with the responder's own subnets, as a strongSwan gives."""
    if not plain.is_exchange(ExchangeType.QUICK_MODE):
        return plain
    own = iter((SWAN_CHILD.remote, SWAN_CHILD.local))
    payloads = (
        next(own).payload() if isinstance(one, Identification) else one for one in plain.payloads
    )
    return plain.forged(payloads=tuple(payloads))


def test_a_responder_only_seil_answers_and_never_begins():
    pair = pair_of(MINIMAL + RESPONDER_ONLY)
    with pytest.raises(ValueError, match="responder-only"):
        pair.initiate("ipsec0")
    assert pair.sent == []
    pair.initiate("lan", end=pair.b)
    pair.run()
    assert mirrored(pair.a, pair.b)


def test_aggressive_mode_begins_with_568_octets_and_needs_a_peer_that_does_not_care():
    pair = pair_of(MINIMAL + AGGRESSIVE)
    pair.initiate("ipsec0")
    pair.run()
    assert pair.sizes == [568, 56]
    assert pair.b.only(Phase1Failed).notify == NotifyType.AUTHENTICATION_FAILED
    careless = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
    forced = pair_of(MINIMAL + AGGRESSIVE, phase1=careless)
    forced.initiate("ipsec0")
    forced.run()
    assert mirrored(forced.a, forced.b)


def test_a_peers_identifier_that_the_peer_is_not_ends_phase_1_with_the_reason():
    pair = pair_of(MINIMAL + "interface.ipsec0.ike.peers-identifier : other.example.org\n")
    pair.initiate("ipsec0")
    pair.run()
    failed = pair.a.only(Phase1Failed)
    assert failed.reason == Reason.INVALID_ID
    assert "10.0.0.2" in failed.detail
    assert "other.example.org" in failed.detail


def test_a_peer_that_is_silent_is_found_and_its_sas_go():
    pair = pair_of(MINIMAL)
    pair.initiate("ipsec0")
    pair.run()
    before = len(pair.sent)
    pair.advance(21)
    asked = [m for m in pair.messages()[before:] if m.exchange == ExchangeType.INFORMATIONAL]
    assert len(asked) >= 2
    pair.advance(100, run=False)
    assert {one.reason for one in pair.a.of(IpsecSaRemoved)} == {Reason.DEAD_PEER}
    assert pair.a.sas == ()
