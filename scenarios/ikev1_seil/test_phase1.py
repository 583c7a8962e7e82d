# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SEIL offers for phase 1, and what becomes of an offer that the peer does not want."""

from __future__ import annotations

from harness.capture.exchanges import Informational, MainMode
from harness.ike.constants_v1 import NotifyType, PayloadType, Phase1Attribute, ProtocolId
from harness.ike.payloads_v1 import Identification, Notification, SecurityAssociation
from harness.ike.sa_v1 import encode_transform
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.peers.contract import NativeFile, Peer
from harness.scenario import scenario
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.wishes import Setting
from scenarios.ikev1_seil.agreements import seil_file, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    INFORMATIONAL,
    MAIN,
    crosses,
    established,
    ladder,
    main_mode,
    messages,
    nothing_is_installed,
    terms,
)

A = Phase1Attribute
PHASE1 = "interface.ipsec0.ike.proposal.phase1"
ONE = (
    f"{PHASE1}.lifetime               : 777",
    f"{PHASE1}.encryption.0.algorithm : aes256",
    f"{PHASE1}.hash.0.algorithm       : sha256",
    f"{PHASE1}.dh-group               : modp1024",
)
ENCRYPTIONS = ("aes256", "aes192", "aes128", "3des")
HASHES = ("sha512", "sha384", "sha256", "sha1")
SIXTEEN = (
    *(f"{PHASE1}.encryption.{at}.algorithm : {name}" for at, name in enumerate(ENCRYPTIONS)),
    *(f"{PHASE1}.hash.{at}.algorithm : {name}" for at, name in enumerate(HASHES)),
)


@either_front_end
@scenario(
    "phase1-proposal-count",
    "Four encryptions and four hashes are offered as sixteen transforms, in their order.",
    rfc="2408 4.2",
    seed="002",
)
def test_phase1_proposal_count(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(*SIXTEEN))
    established(net)
    offer, answer = messages(net)[:2]
    kinds = (A.ENCRYPTION_ALGORITHM, A.KEY_LENGTH, A.HASH_ALGORITHM)
    assert [tuple(one.number_of(kind) for kind in kinds) for one in offer.transforms] == [
        (*cipher, digest)
        for cipher in ((7, 256), (7, 192), (7, 128), (5, None))
        for digest in (6, 5, 4, 2)
    ]
    assert [one.number for one in offer.transforms] == list(range(1, 17))
    assert (4 + len(offer.only(SecurityAssociation).body()), offer.size) == (644, 752)
    # The peer takes the one that it has in its configuration, which is the third.
    (chosen,) = answer.transforms
    assert chosen.number == 3
    assert terms(chosen) == terms(offer.transforms[2])


@either_front_end
@scenario(
    "phase1-mismatch",
    "A SEIL that offers MODP 1024 is refused by strongSwan, which wants MODP 1536.",
    rfc="2408 5.4",
    seed="002",
)
def test_phase1_mismatch(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(*ONE))
    net.wire("wan").await_ike("INFORMATIONAL", sender="sun")
    assert net.wire("wan").exchanges == [
        MainMode(error="stopped after message 1"),
        Informational(("NO-PROPOSAL-CHOSEN",)),
    ]
    assert ladder(net) == [f"seil: {MAIN}", f"sun: {INFORMATIONAL}"]
    offer, refusal = messages(net)
    (transform,) = offer.transforms
    assert terms(transform) == {
        A.LIFE_TYPE: 1,
        A.LIFE_DURATION: 777,
        A.ENCRYPTION_ALGORITHM: 7,
        A.KEY_LENGTH: 256,
        A.AUTHENTICATION_METHOD: 1,
        A.HASH_ALGORITHM: 4,
        A.GROUP_DESCRIPTION: 2,
    }
    assert len(encode_transform(transform, more=False)) == 36
    assert (4 + len(offer.only(SecurityAssociation).body()), offer.size) == (56, 164)
    assert not refusal.sealed
    assert refusal.kinds == [PayloadType.N]
    said = refusal.only(Notification)
    assert said.notify_type == NotifyType.NO_PROPOSAL_CHOSEN == 14
    assert (said.protocol, said.spi) == (ProtocolId.ISAKMP, refusal.cookies)
    assert len(said.spi) == 16
    assert refusal.cookies[:8] == offer.cookies[:8]
    assert refusal.cookies[8:] != bytes(8)
    assert refusal.size == 56
    nothing_is_installed(net)
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.PROPOSAL, "seil", "sun")
    assert found.difference("DH group") == ("MODP 1024", "MODP 1536")
    assert [row.what for row in found.differing] == ["DH group"]
    assert {one.node: one.setting for one in found.remedies} == {
        "seil": Setting.IKE_PROPOSALS,
        "sun": Setting.IKE_PROPOSALS,
    }


@either_front_end
@scenario(
    "phase1-mismatch-mended",
    "With modp1024 on strongSwan's side the same SEIL comes up.",
    rfc="2408 5.4",
    seed="002",
)
def test_phase1_mismatch_mended(lab: Lab, seil: Peer, sun: Peer) -> None:
    swan = {"ike": "aes256-sha256-modp1024!"}
    net = up(lab, seil, sun, router=seil_file(*ONE), swan=swan)
    established(net)
    crosses(net)
    assert ladder(net)[:6] == main_mode("seil", "sun")
    offer, answer = messages(net)[:2]
    (chosen,) = answer.transforms
    assert terms(chosen) == terms(offer.transforms[0])
    assert chosen.number_of(A.GROUP_DESCRIPTION) == 2


@either_front_end
@scenario(
    "identification",
    "A SEIL with an identity that strongSwan does not expect gets no ISAKMP SA.",
    rfc="2407 4.6.2",
    seed="002",
)
def test_identification(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=named("my-identifier", "branch.example.org"))
    net.wire("wan").await_ike("INFORMATIONAL", sender="sun")
    assert ladder(net) == [*main_mode("seil", "sun")[:5], f"sun: {INFORMATIONAL}"]
    said = messages(net)
    assert said[4].only(Identification).data == b"branch.example.org"
    assert said[5].sealed
    assert said[5].only(Notification).notify_type == NotifyType.AUTHENTICATION_FAILED
    is_an_identity(net, asker="seil", refuser="sun")


@either_front_end
@scenario(
    "identification-of-the-peer",
    "A SEIL that expects another identity of strongSwan refuses the one that it gets.",
    rfc="2407 4.6.2",
    seed="002",
)
def test_identification_of_the_peer(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=named("peers-identifier", "centre.example.org"))
    net.wire("wan").await_ike("INFORMATIONAL", sender="seil")
    assert ladder(net) == [*main_mode("seil", "sun"), f"seil: {INFORMATIONAL}"]
    said = messages(net)
    assert said[5].only(Identification).data == bytes([10, 0, 0, 2])
    assert said[6].only(Notification).notify_type == NotifyType.INVALID_ID_INFORMATION
    is_an_identity(net, asker="sun", refuser="seil")


def named(which: str, name: str) -> tuple[NativeFile, ...]:
    """The SEIL's file with an identity by name, its own or its peer's."""
    key = f"interface.ipsec0.ike.{which}"
    return seil_file(f"{key}.type : fqdn", f"{key}.fqdn : {name}")


def is_an_identity(net: Net, *, asker: str, refuser: str) -> None:
    nothing_is_installed(net)
    found = net.diagnosis()
    assert found.cause is Cause.IDENTITY
    assert {found.asker, found.refuser} == {asker, refuser}
