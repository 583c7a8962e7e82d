# SPDX-License-Identifier: GPL-2.0-or-later
"""Main Mode and Quick Mode with a preshared key, in the sizes that the seed's capture has."""

from dataclasses import replace

import pytest

from harness.ike.constants_v1 import ExchangeType, IdType, NotifyType, Phase1Attribute
from harness.ike.payloads_v1 import (
    Hash,
    Identification,
    Nonce,
    Notification,
    SecurityAssociation,
    VendorId,
)
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Lifetime, Phase1
from harness.ike.v1.events import IpsecSaInstalled, IsakmpKeysDerived, IsakmpSaEstablished
from harness.ike.v1.identity import OWN_ADDRESS
from harness.ike.vendor_ids import DPD, KAME_RACOON, NAT_T_DRAFT_02_NEWLINE, RFC_3947
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import Pair, mirrored, seil, swan

A = Phase1Attribute
MODP = (key_exchange("MODP_1536"),)


def test_nine_messages_and_two_initial_contacts_bring_up_mirrored_sas():
    pair = Pair()
    pair.up()
    kinds = [message.exchange for message in pair.messages()]
    assert kinds == [2] * 6 + [5, 5] + [32] * 3
    assert mirrored(pair.a, pair.b)
    assert pair.a.only(IsakmpSaEstablished).cookie_r == pair.b.only(IsakmpSaEstablished).isakmp
    assert pair.a.only(IsakmpSaEstablished).initiator
    assert not pair.b.only(IsakmpSaEstablished).initiator


def test_both_ends_report_the_keys_before_anything_is_encrypted():
    pair = Pair()
    pair.initiate()
    pair.run()
    ours, theirs = pair.a.only(IsakmpKeysDerived), pair.b.only(IsakmpKeysDerived)
    assert ours.cipher_key == theirs.cipher_key
    assert len(ours.cipher_key) == 32
    assert ours.keys == theirs.keys
    assert pair.a.events.index(ours) == 0
    assert ours.cipher_key.hex() not in repr(ours)


@pytest.mark.parametrize(
    ("phase1", "sa_size", "message_size"),
    [
        (Phase1(), 252, 360),
        (
            Phase1((encryption("AES_CBC_256"),), (prf("HMAC_SHA2_256"),), MODP, Lifetime(777)),
            56,
            164,
        ),
        (Phase1(lifetime=Lifetime(60)), 228, 336),
    ],
    ids=["six transforms", "one", "lifetime 60"],
)
def test_the_first_message_has_the_size_that_a_seil_sends(phase1, sa_size, message_size):
    pair = Pair(a=seil(phase1=phase1))
    pair.initiate()
    (first,) = pair.messages()
    sa = first.payloads[0]
    assert isinstance(sa, SecurityAssociation)
    assert (4 + len(sa.body()), len(pair.sent[0].data)) == (sa_size, message_size)
    assert [one.data for one in first.payloads[1:] if isinstance(one, VendorId)] == [
        KAME_RACOON,
        DPD,
        RFC_3947,
        NAT_T_DRAFT_02_NEWLINE,
    ]


def test_the_default_offers_six_transforms_in_the_order_of_a_seil():
    pair = Pair()
    pair.initiate()
    (proposal,) = pair.messages()[0].payloads[0].proposals
    found = [
        tuple(
            one.number_of(kind) for kind in (A.ENCRYPTION_ALGORITHM, A.KEY_LENGTH, A.HASH_ALGORITHM)
        )
        for one in proposal.transforms
    ]
    assert found == [(7, 256, 4), (7, 256, 2), (7, 128, 4), (7, 128, 2), (5, None, 4), (5, None, 2)]
    assert [each.type for each in proposal.transforms[0].attributes] == [11, 12, 1, 14, 3, 2, 4]
    assert proposal.transforms[0].attribute(A.LIFE_DURATION).value == (86400).to_bytes(4, "big")
    assert [one.number for one in proposal.transforms] == [1, 2, 3, 4, 5, 6]


def test_four_by_four_lists_make_sixteen_transforms():
    ciphers = tuple(encryption(f"AES_CBC_{bits}") for bits in (256, 192, 128))
    hashes = tuple(prf(f"HMAC_{name}") for name in ("SHA2_512", "SHA2_384", "SHA2_256", "SHA1"))
    phase1 = Phase1((*ciphers, encryption("3DES")), hashes, MODP)
    pair = Pair(a=seil(phase1=phase1))
    pair.initiate()
    assert len(pair.messages()[0].payloads[0].proposals[0].transforms) == 16


def test_message_five_names_an_address_with_protocol_17_and_has_a_hash_of_36_octets():
    pair = Pair()
    transcript = Transcript(pair.a)
    pair.up()
    identity, digest = transcript.payloads(ExchangeType.IDENTITY_PROTECTION)[2]
    assert isinstance(identity, Identification)
    assert (identity.id_type, identity.protocol, identity.port) == (IdType.IPV4_ADDR, 17, 0)
    assert identity.data == bytes([10, 0, 0, 1])
    assert isinstance(digest, Hash)
    assert 4 + len(digest.data) == 36
    assert pair.sizes[4] == pair.sizes[5] == 92


def test_initial_contact_goes_before_quick_mode_with_both_cookies_as_spi():
    pair = Pair()
    transcript = Transcript(pair.a)
    pair.up()
    (notify,) = transcript.payloads(ExchangeType.INFORMATIONAL)[0]
    assert isinstance(notify, Notification)
    assert notify.notify_type == NotifyType.INITIAL_CONTACT == 24578
    established = pair.a.only(IsakmpSaEstablished)
    assert notify.spi == established.cookie_i + established.cookie_r
    kinds = [one.message.exchange for one in transcript.plain]
    assert kinds == [2, 2, 2, 5, 32, 32]
    assert pair.sizes[6] == 108


def test_quick_mode_has_the_sizes_of_the_seed_and_its_identities():
    pair = Pair()
    transcript = Transcript(pair.a)
    pair.up()
    first = transcript.payloads(ExchangeType.QUICK_MODE)[0]
    assert [type(one) for one in first] == [
        SecurityAssociation, Nonce, Identification, Identification,
    ]  # fmt: skip
    assert [one.id_type for one in first[2:]] == [IdType.IPV4_ADDR_SUBNET] * 2
    assert first[2].data == bytes([192, 168, 1, 0, 255, 255, 255, 0])
    # The first message and the third; the second depends on the responder's nonce.
    assert (pair.sizes[8], pair.sizes[10]) == (316, 76)


def test_a_quick_mode_of_one_transform_has_172_octets():
    child = replace(
        seil().children[0],
        encryptions=(encryption("AES_CBC_256"),),
        integrities=seil().children[0].integrities[:1],
    )
    pair = Pair(a=seil(children=(child,)))
    pair.up()
    assert pair.sizes[8] == 172


def test_the_responder_holds_its_outbound_half_until_the_third_message():
    pair = Pair()
    pair.initiate()
    while not pair.b.of(IpsecSaInstalled):
        pair.deliver(pair.queue.pop(0))
    assert pair.b.only(IpsecSaInstalled).hold
    assert pair.b.sas == ()
    pair.run()
    assert not pair.a.only(IpsecSaInstalled).hold
    assert len(pair.b.sas) == 1


@pytest.mark.parametrize("group", ["MODP_1024", "MODP_2048", "ECP_256", "X25519"])
def test_perfect_forward_secrecy_uses_the_group_of_the_child(group):
    def child(connection):
        return (replace(connection.children[0], pfs=key_exchange(group)),)

    pair = Pair(seil(children=child(seil())), swan(children=child(swan())))
    pair.up()
    assert mirrored(pair.a, pair.b)
    assert pair.a.sas[0].pfs == key_exchange(group)


@pytest.mark.parametrize(
    "cipher",
    ["AES_CBC_128", "AES_CBC_256", "3DES", "DES", "BLOWFISH_128", "CAST_128", "CAMELLIA_CBC_256"],
)
@pytest.mark.parametrize("digest", ["HMAC_MD5", "HMAC_SHA1", "HMAC_SHA2_256", "HMAC_SHA2_512"])
def test_every_cipher_and_hash_of_phase_1_carries_a_quick_mode(cipher, digest):
    phase1 = Phase1((encryption(cipher),), (prf(digest),), (key_exchange("MODP_768"),))
    pair = Pair(seil(phase1=phase1), swan(phase1=phase1))
    pair.up()
    assert mirrored(pair.a, pair.b)


def test_equal_randomness_gives_equal_octets():
    one, two = Pair(seed=7), Pair(seed=7)
    one.up()
    two.up()
    assert [datagram.data for datagram in one.sent] == [datagram.data for datagram in two.sent]
    other = Pair(seed=8)
    other.up()
    assert one.sent[0].data != other.sent[0].data


def test_a_child_of_the_ends_own_addresses_takes_them_from_the_path():
    def own(connection):
        return (replace(connection.children[0], local=OWN_ADDRESS, remote=OWN_ADDRESS),)

    pair = Pair(seil(children=own(seil())), swan(children=own(swan())))
    pair.up()
    assert mirrored(pair.a, pair.b)
    assert str(pair.a.sas[0].local) == str(pair.b.sas[0].remote) == "10.0.0.1"
    assert str(pair.a.sas[0].remote) == str(pair.b.sas[0].local) == "10.0.0.2"
