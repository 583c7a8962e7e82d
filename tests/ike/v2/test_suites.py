# SPDX-License-Identifier: GPL-2.0-or-later
"""Which proposal wins, and which answers an initiator must not take."""

from __future__ import annotations

from dataclasses import replace

from harness.ike.attributes import Attribute
from harness.ike.payloads_v2 import Proposal, SecurityAssociation, Transform
from harness.ike.transforms import encryption, key_exchange
from harness.ike.v2.suites import IkeProposal, accept, ike_offer, select
from tests.ike.v2.pair import CBC, ECP_256, ESP, GCM, HMAC_SHA256, IKE, MODP_2048, SHA256, X25519

CLASSIC = IkeProposal((CBC,), (SHA256,), (MODP_2048, X25519), (HMAC_SHA256,))


def chosen(ours: list[IkeProposal], theirs: list[IkeProposal], group: int | None = None) -> object:
    found = select([one.choices() for one in ours], ike_offer(theirs), 1, b"", group)
    return found and (found.proposal.number, found.suite.encryption.name, found.suite.group)


def test_our_order_decides_and_the_number_is_the_offers() -> None:
    assert chosen([IKE, CLASSIC], [CLASSIC, IKE]) == (2, GCM.name, X25519)
    assert chosen([CLASSIC, IKE], [CLASSIC, IKE]) == (1, CBC.name, MODP_2048)


def test_the_group_that_came_along_wins_within_an_alternative() -> None:
    assert chosen([CLASSIC], [CLASSIC], X25519.id) == (1, CBC.name, X25519)
    assert chosen([CLASSIC], [CLASSIC], ECP_256.id) == (1, CBC.name, MODP_2048)


def test_a_missing_or_unknown_part_is_no_match() -> None:
    assert chosen([IKE], [replace(IKE, prfs=())]) is None
    assert chosen([IKE], [replace(IKE, groups=(ECP_256,))]) is None
    assert chosen([IKE], [replace(IKE, integrities=(HMAC_SHA256,))]) is None
    assert chosen([IKE], [replace(IKE, encryptions=(encryption("AES_GCM_16_256"),))]) is None


def test_unknown_transform_types_spoil_a_proposal_and_unknown_attributes_a_transform() -> None:
    (proposal,) = ike_offer([IKE]).proposals
    spoiled = replace(proposal, transforms=(*proposal.transforms, Transform(99, 1)))
    assert select([IKE.choices()], SecurityAssociation((spoiled,)), 1, b"") is None
    odd = Transform(1, 20, (Attribute(14, 128), Attribute(99, 1)))
    rest = tuple(one for one in proposal.transforms if one.type != 1)
    assert (
        select([IKE.choices()], SecurityAssociation((Proposal(1, 1, b"", (odd, *rest)),)), 1, b"")
        is None
    )
    both = SecurityAssociation((replace(proposal, transforms=(odd, *proposal.transforms)),))
    assert select([IKE.choices()], both, 1, b"") is not None


def test_an_additional_key_exchange_may_be_none_only_where_none_is_offered() -> None:
    kem = key_exchange("ML_KEM_768")
    must, may = replace(IKE, additional=((kem,),)), replace(IKE, additional=((kem, None),))
    assert chosen([IKE], [must]) is None
    assert chosen([IKE], [may]) is not None
    assert chosen([must], [IKE]) is None
    (offered,) = ike_offer([may]).proposals
    assert [one.id for one in offered.transforms if one.type == 6] == [kem.id, 0]


def test_an_initiator_takes_one_proposal_of_its_own_with_one_of_each() -> None:
    choices = [IKE.choices(), CLASSIC.choices()]
    (first, second) = ike_offer([IKE, CLASSIC]).proposals
    assert accept(choices, SecurityAssociation((first,)), 1) is not None
    assert accept(choices, SecurityAssociation((first, first)), 1) is None
    assert accept(choices, SecurityAssociation((replace(first, number=2),)), 1) is None
    assert accept(choices, SecurityAssociation((replace(first, number=3),)), 1) is None
    assert accept(choices, SecurityAssociation((replace(first, protocol=3),)), 1) is None
    assert accept(choices, SecurityAssociation((second,)), 1) is None, "it has two groups"


def test_esn_is_no_where_nobody_says_so() -> None:
    received = SecurityAssociation((Proposal(1, 3, b"\1\2\3\4", (Transform.of(1, 20, 128),)),))
    found = select([ESP.choices(key_exchange=False)], received, 3, b"\5\6\7\x08")
    assert found is not None
    assert not found.suite.esn
    assert [one.type for one in found.proposal.transforms] == [1]
