# SPDX-License-Identifier: GPL-2.0-or-later
"""Main Mode and Quick Mode between the smallest configurations: nine messages, then ESP."""

from __future__ import annotations

from harness.capture.exchanges import Informational, MainMode, QuickMode
from harness.ike.constants_v1 import IdType, NotifyType, PayloadType, Phase1Attribute, ProtocolId
from harness.ike.payloads_v1 import Hash, Identification, Notification, SecurityAssociation
from harness.ike.sa_v1 import encode_transform
from harness.ike.vendor_ids import DPD, KAME_RACOON, NAT_T_DRAFT_02_NEWLINE, RFC_3947
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import SEIL
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import (
    AGREEMENT,
    CONN,
    RESPONDER_ONLY,
    seil_file,
    up,
)
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    INFORMATIONAL,
    PLAIN,
    Message,
    algorithms,
    crosses,
    esp,
    established,
    installed,
    ladder,
    main_mode,
    messages,
    nothing_is_sent,
    ports_from_message_5,
    quick_mode,
    terms,
    who_begins,
    with_kernel_esp,
)

A = Phase1Attribute
SITES = ("192.168.1.10", "192.168.2.10")
PSK, SECONDS, MODP_1536 = 1, 1, 5
SILENCE = 30
"""Seconds of lab time in which two ends that only wait must not say anything."""

SIX = [
    # Encryption, its key's length, hash: the product of two lists in their order.
    (7, 256, 4), (7, 256, 2), (7, 128, 4), (7, 128, 2), (5, None, 4), (5, None, 2),
]  # fmt: skip


@either_front_end
@scenario(
    "main-mode-minimal",
    "A SEIL brings a tunnel up in nine messages, each as a SEIL writes it.",
    rfc="2409 5.4",
    seed="002",
)
def test_main_mode_minimal(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun)
    comes_up_as_a_seil_does(lab, net)


@scenario(
    "main-mode-minimal-vici",
    "The same nine messages, when strongSwan has its side over VICI.",
    rfc="2409 5.4",
    seed="002",
)
def test_main_mode_minimal_over_vici(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = lab.up(
        SEIL,
        sun=sun,
        seil=seil,
        connection=AGREEMENT,
        dialect={"seil": "seil", "sun": "vici"},
        native={"seil": seil_file()},
    )
    comes_up_as_a_seil_does(lab, net)


def comes_up_as_a_seil_does(lab: Lab, net: Net) -> None:
    child = established(net)
    crosses(net)
    assert net.wire("wan").exchanges == [
        MainMode(),
        Informational(("INITIAL-CONTACT",)),
        QuickMode(),
    ]
    assert ladder(net) == [
        *main_mode("seil", "sun"),
        f"seil: {INFORMATIONAL}",
        *quick_mode("seil", "sun"),
    ]
    said = messages(net)
    is_the_offer_of_a_seil(said[0])
    is_one_of_the_offer(said[1], said[0])
    ends_are_named(said[4], said[5])
    is_initial_contact(said[6])
    asks_for_the_networks(said[7])
    assert (said[7].size, said[9].size) == (316, 76)
    keeps_to_ports(net, said)
    is_protected(net, child)


def is_the_offer_of_a_seil(message: Message) -> None:
    assert message.kinds == [PayloadType.SA, *[PayloadType.VID] * 4]
    (proposal,) = message.only(SecurityAssociation).proposals
    assert (proposal.protocol, proposal.spi) == (ProtocolId.ISAKMP, b"")
    transforms = message.transforms
    wanted = (A.ENCRYPTION_ALGORITHM, A.KEY_LENGTH, A.HASH_ALGORITHM)
    assert [tuple(one.number_of(kind) for kind in wanted) for one in transforms] == SIX
    for one in transforms:
        assert one.number_of(A.AUTHENTICATION_METHOD) == PSK
        assert one.number_of(A.GROUP_DESCRIPTION) == MODP_1536
        assert one.number_of(A.LIFE_TYPE) == SECONDS
        duration = one.attribute(A.LIFE_DURATION)
        assert duration is not None
        assert duration.value == (86400).to_bytes(4, "big")
        # A 4-octet lifetime makes one longer than two octets would; 3DES has no key length.
        fixed = one.number_of(A.KEY_LENGTH) is None
        kinds = [11, 12, 1, 3, 2, 4] if fixed else [11, 12, 1, 14, 3, 2, 4]
        assert [each.type for each in one.attributes] == kinds
        assert len(encode_transform(one, more=False)) == (36 if fixed else 40)
    assert message.vendors == [KAME_RACOON, DPD, RFC_3947, NAT_T_DRAFT_02_NEWLINE]
    assert KAME_RACOON.hex() == "7003cbc1097dbe9c2600ba6983bc8b35"
    assert (4 + len(message.only(SecurityAssociation).body()), message.size) == (252, 360)


def is_one_of_the_offer(answer: Message, offer: Message) -> None:
    # What was chosen comes back as it was offered, number and all (RFC 2408 4.2).
    (chosen,) = answer.transforms
    assert chosen.number == 1
    assert terms(chosen) == terms(offer.transforms[0])


def ends_are_named(ours: Message, theirs: Message) -> None:
    for message, address, protocol in ((ours, "10.0.0.1", 17), (theirs, "10.0.0.2", 0)):
        assert message.sealed
        assert message.kinds == [PayloadType.ID, PayloadType.HASH]
        said = message.only(Identification)
        assert (said.id_type, said.protocol, said.port) == (IdType.IPV4_ADDR, protocol, 0)
        assert said.data == bytes(int(part) for part in address.split("."))
        assert 4 + len(message.only(Hash).data) == 36
    assert ours.size == 92


def is_initial_contact(message: Message) -> None:
    assert message.sealed
    said = message.only(Notification)
    assert said.notify_type == NotifyType.INITIAL_CONTACT == 24578
    assert (said.protocol, said.spi) == (ProtocolId.ISAKMP, message.cookies)
    assert message.size == 108


def asks_for_the_networks(message: Message) -> None:
    kinds = PayloadType
    assert message.sealed
    assert message.kinds == [kinds.HASH, kinds.SA, kinds.NONCE, kinds.ID, kinds.ID]
    assert [(one.id_type, one.data) for one in message.all(Identification)] == [
        (IdType.IPV4_ADDR_SUBNET, bytes([192, 168, 1, 0, 255, 255, 255, 0])),
        (IdType.IPV4_ADDR_SUBNET, bytes([192, 168, 2, 0, 255, 255, 255, 0])),
    ]


def keeps_to_ports(net: Net, said: list[Message]) -> None:
    assert {one.ports for one in said[:4]} == {PLAIN}
    assert {one.ports for one in said[4:]} == {ports_from_message_5(net)}


def is_protected(net: Net, child: ChildSa) -> None:
    packets = esp(net)
    assert {(sender, packet.spi) for sender, packet in packets} == {
        ("seil", child.outbound),
        ("sun", child.inbound),
    }
    assert {packet.mode for _, packet in packets} == {"tunnel"}
    inner = {(packet.inner.src, packet.inner.dst) for _, packet in packets if packet.inner}
    assert inner == {SITES, SITES[::-1]}
    for node in with_kernel_esp(net):
        assert {sa.spi for sa in installed(net, node)} == {child.inbound, child.outbound}
        assert algorithms(net, node) == {"cbc(aes)", "hmac(sha256)"}
        assert {sa.mode for sa in installed(net, node)} == {"tunnel"}


@either_front_end
@scenario(
    "responder-only",
    "A SEIL that only answers lets strongSwan begin: the nine messages the other way round.",
    rfc="2409 5.4",
    seed="002",
)
def test_responder_only(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(RESPONDER_ONLY))
    child = net.sun.initiate(CONN)
    assert who_begins(net) == {"sun"}
    established(net)
    crosses(net)
    said = messages(net)
    # INITIAL-CONTACT and strongSwan's Quick Mode set out at the same time.
    notices = messages(net, exchange=INFORMATIONAL)
    assert [str(one) for one in notices] == [f"seil: {INFORMATIONAL}"]
    assert [step for step in ladder(net) if step != f"seil: {INFORMATIONAL}"] == [
        *main_mode("sun", "seil"),
        *quick_mode("sun", "seil"),
    ]
    # strongSwan offers what its own configuration has, and the SEIL takes it.
    assert len(said[0].transforms) == 1
    assert said[1].transforms == said[0].transforms
    is_initial_contact(notices[0])
    listed = [one for ike in net.seil.sas() for one in ike.children]
    assert [(one.outbound, one.inbound) for one in listed] == [(child.inbound, child.outbound)]
    assert {(sender, packet.spi) for sender, packet in esp(net)} == {
        ("seil", child.inbound),
        ("sun", child.outbound),
    }


@either_front_end
@scenario(
    "responder-only-auto-start",
    "strongSwan with auto=start begins by itself, and the SEIL that only answers never does.",
    rfc="2409 5.4",
    seed="002",
)
def test_responder_only_with_auto_start(lab: Lab, seil: Peer, sun: Peer) -> None:
    swan = {"auto": "start"}
    net = up(lab, seil, sun, router=seil_file(RESPONDER_ONLY), swan=swan, last="sun")
    established(net, within=30)
    crosses(net)
    assert who_begins(net) == {"sun"}


@either_front_end
@scenario(
    "both-passive",
    "Where neither end begins nothing is sent at all.",
    rfc="2409 5.4",
    seed="002",
    long=True,
)
def test_both_passive(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(RESPONDER_ONLY))
    nothing_is_sent(net, SILENCE)
    # They were only waiting: told to begin, one does.
    net.sun.initiate(CONN)
