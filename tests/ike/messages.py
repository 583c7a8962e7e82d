# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that the tests of the codec share: two of the seed's, and strategies for any."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike import vendor_ids
from harness.ike.payload import RawPayload
from harness.ike.wire import VERSION_1, VERSION_2, Message

SEIL_CIPHERS = ((7, 256), (7, 128), (5, None))  # aes256, aes128, 3des
SEIL_HASHES = (4, 2)  # sha256, sha1
SEIL_VENDOR_IDS = (
    vendor_ids.KAME_RACOON,
    vendor_ids.DPD,
    vendor_ids.RFC_3947,
    vendor_ids.NAT_T_DRAFT_02_NEWLINE,
)


def seil_transform(
    number: int, cipher: int, key_length: int | None, hash_: int, lifetime: int, group: int = 5
) -> v1.Transform:
    """One phase 1 transform with SEIL's order of attributes."""
    attributes = [
        v1.Attribute(11, 1),
        v1.Attribute.shortest(12, lifetime),
        v1.Attribute(1, cipher),
        *([] if key_length is None else [v1.Attribute(14, key_length)]),
        v1.Attribute(3, 1),
        v1.Attribute(2, hash_),
        v1.Attribute(4, group),
    ]
    return v1.Transform(number, 1, tuple(attributes))


def main_mode_1(lifetime: int = 86400, one: bool = False, group: int = 5) -> Message:
    """SEIL's first Main Mode message: six transforms, or only aes256/sha256."""
    offers = list(product(SEIL_CIPHERS, SEIL_HASHES))[: 1 if one else None]
    transforms = tuple(
        seil_transform(number, cipher, bits, hash_, lifetime, group)
        for number, ((cipher, bits), hash_) in enumerate(offers, 1)
    )
    return Message(
        version=VERSION_1,
        exchange=2,
        initiator_spi=bytes.fromhex("80f5f36ce1766d90"),
        payloads=(
            v1.SecurityAssociation((v1.Proposal(1, 1, b"", transforms),)),
            *(v1.VendorId(mark) for mark in SEIL_VENDOR_IDS),
        ),
    )


def ike_sa_init() -> Message:
    """A first IKEv2 message as strongSwan sends it today."""
    of = v2.Transform.of
    transforms = (of(1, 20, 256), of(1, 20, 128), of(2, 5), of(2, 7), of(4, 31), of(4, 19))
    return Message(
        version=VERSION_2,
        exchange=34,
        initiator_spi=bytes.fromhex("1122334455667788"),
        flags=8,
        payloads=(
            v2.SecurityAssociation((v2.Proposal(1, 1, b"", transforms),)),
            v2.KeyExchange(31, bytes(range(32))),
            v2.Nonce(bytes(range(100, 132))),
            v2.Notify(16388, bytes(range(20))),
            v2.Notify(16389, bytes(range(20, 40))),
            v2.Notify(16430),
            v2.Notify(16431, bytes.fromhex("0002000300040005")),
            v2.Notify(16406),
        ),
    )


octet = st.integers(0, 0xFF)
pair = st.integers(0, 0xFFFF)
triple = st.integers(0, 0xFFFFFF)
word = st.integers(0, 0xFFFFFFFF)
blob = st.binary(max_size=40)
spi = st.binary(min_size=8, max_size=8)

attributes = st.lists(st.builds(v1.Attribute, st.integers(0, 0x7FFF), pair | blob), max_size=4).map(
    tuple
)


def proposals(transform: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(
        st.builds(
            v1.Proposal,
            octet,
            octet,
            blob,
            st.lists(transform, max_size=4).map(tuple),
            reserved=octet,
        ),
        max_size=3,
    ).map(tuple)


@st.composite
def deletes(draw: st.DrawFn, kind: type) -> object:
    size = draw(st.integers(1, 20))
    spis = draw(st.lists(st.binary(min_size=size, max_size=size), max_size=4).map(tuple))
    return kind(draw(octet), spis, extra=draw(blob), flags=draw(octet))


transforms_v1 = st.builds(v1.Transform, octet, octet, attributes, reserved=octet, reserved_id=pair)
transforms_v2 = st.builds(
    v2.Transform, octet, pair, attributes, reserved=octet, reserved_type=octet
)

PAYLOADS_V1: dict[str, st.SearchStrategy[object]] = {
    "SA": st.builds(v1.SecurityAssociation, proposals(transforms_v1), flags=octet),
    "SA with labels": st.builds(
        v1.SecurityAssociation,
        situation=word.map(lambda bits: bits | 2),
        opaque=blob,
        flags=octet,
    ),
    "SA of another DOI": st.builds(
        v1.SecurityAssociation,
        doi=word.filter(lambda doi: doi != 1),
        situation=st.none(),
        opaque=blob,
        flags=octet,
    ),
    "KE": st.builds(v1.KeyExchange, blob, octet),
    "ID": st.builds(v1.Identification, octet, blob, octet, pair, octet),
    "CERT": st.builds(v1.Certificate, octet, blob, octet),
    "CR": st.builds(v1.CertificateRequest, octet, blob, octet),
    "HASH": st.builds(v1.Hash, blob, octet),
    "SIG": st.builds(v1.Signature, blob, octet),
    "NONCE": st.builds(v1.Nonce, blob, octet),
    "N": st.builds(v1.Notification, pair, blob, octet, blob, word, flags=octet),
    "D": deletes(v1.Delete),
    "VID": st.builds(v1.VendorId, blob, octet),
    "ATTR": st.builds(v1.ModeConfig, octet, pair, attributes, octet, octet),
    "NAT-D": st.builds(v1.NatDetection, blob, st.sampled_from([20, 130]), octet),
    "NAT-OA": st.builds(
        v1.NatOriginalAddress, octet, blob, st.sampled_from([21, 131]), triple, octet
    ),
    "FRAG": st.builds(v1.Fragment, pair, octet, octet, blob, octet),
    "unknown": st.builds(
        RawPayload, octet.filter(lambda kind: kind and kind not in v1.DECODERS), blob, octet
    ),
}

address_4 = st.binary(min_size=4, max_size=4)
address_16 = st.binary(min_size=16, max_size=16)
selectors = st.lists(
    st.builds(v2.TrafficSelector, st.just(7), octet, pair, pair, address_4, address_4)
    | st.builds(v2.TrafficSelector, st.just(8), octet, pair, pair, address_16, address_16)
    | st.builds(v2.RawSelector, octet.filter(lambda kind: kind not in (7, 8)), octet, blob),
    max_size=4,
).map(tuple)

PAYLOADS_V2: dict[str, st.SearchStrategy[object]] = {
    "SA": st.builds(v2.SecurityAssociation, proposals(transforms_v2), octet),
    "KE": st.builds(v2.KeyExchange, pair, blob, pair, octet),
    "ID": st.builds(v2.Identification, st.sampled_from([35, 36]), octet, blob, triple, octet),
    "CERT": st.builds(v2.Certificate, octet, blob, octet),
    "CERTREQ": st.builds(v2.CertificateRequest, octet, blob, octet),
    "AUTH": st.builds(v2.Authentication, octet, blob, triple, octet),
    "Nonce": st.builds(v2.Nonce, blob, octet),
    "N": st.builds(v2.Notify, pair, blob, octet, blob, flags=octet),
    "D": deletes(v2.Delete),
    "V": st.builds(v2.VendorId, blob, octet),
    "TS": st.builds(
        v2.TrafficSelectors,
        st.sampled_from([44, 45]),
        selectors,
        reserved=triple,
        flags=octet,
    ),
    "CP": st.builds(
        v2.Configuration,
        octet,
        st.lists(
            st.builds(v2.ConfigurationAttribute, st.integers(0, 0x7FFF), blob, st.integers(0, 1)),
            max_size=4,
        ).map(tuple),
        triple,
        octet,
    ),
    "EAP": st.builds(v2.Eap, blob, octet),
    "unknown": st.builds(
        RawPayload, octet.filter(lambda kind: kind and kind not in v2.DECODERS), blob, octet
    ),
}

SEALED: dict[str, st.SearchStrategy[object]] = {
    "SK": st.builds(v2.Encrypted, octet, blob, octet),
    "SKF": st.builds(v2.EncryptedFragment, octet, pair, pair, blob, octet),
}

chains_v1 = st.lists(st.one_of(*PAYLOADS_V1.values()), max_size=5).map(tuple)
chains_v2 = st.builds(
    lambda chain, sealed: chain + sealed,
    st.lists(st.one_of(*PAYLOADS_V2.values()), max_size=5).map(tuple),
    st.just(()) | st.one_of(*SEALED.values()).map(lambda one: (one,)),
)

clear_v1 = st.builds(
    Message,
    st.integers(0x10, 0x1F),
    octet,
    spi,
    spi,
    word,
    octet.map(lambda flags: flags & ~1),
    chains_v1,
    trailing=blob,
)
encrypted_v1 = st.builds(
    Message,
    st.integers(0x10, 0x1F),
    octet,
    spi,
    spi,
    word,
    octet.map(lambda flags: flags | 1),
    encrypted=blob,
    next_payload=st.none() | st.integers(1, 255),
)
any_v2 = st.builds(
    Message, st.integers(0x20, 0x2F), octet, spi, spi, word, octet, chains_v2, trailing=blob
)
any_message = clear_v1 | encrypted_v1 | any_v2
