# SPDX-License-Identifier: GPL-2.0-or-later
"""racoon with certificates against strongSwan: RSA signatures in Main Mode, transport mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.capture.exchanges import MainMode, QuickMode
from harness.ike.constants_v1 import IdType, LifeType, PayloadType, Phase1Attribute
from harness.ike.payloads_v1 import Identification, Signature
from harness.ike.transforms import Dialect, encryption, integrity
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import SEIL
from harness.peers.contract import NativeFile, Peer
from harness.peers.credentials import Authority
from harness.peers.planes import plane_of
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN
from scenarios.ikev1_seil.front_ends import either_front_end, with_certificate
from scenarios.ikev1_seil.observed import (
    QUICK,
    algorithms,
    esp,
    installed,
    lives,
    messages,
    with_kernel_esp,
)

A = Phase1Attribute
AUTHORITY = Authority("ikelab RSA CA", datetime.now(UTC))
RSA_BITS = 1024
"""As racoon's users had them."""
RACOON = Path("/run/racoon.conf")
HASH = "d2ea5cd6.0"
"""What `openssl x509 -hash` makes of the authority's name, and where racoon looks for it."""
RSA_SIGNATURES, MODP_1024, TRIPLE_DES, SHA1 = 3, 2, 5, 2

REMOTE = """\
path certificate "/run/cert";
remote {whom} {{
    nat_traversal {nat};
    exchange_mode main,aggressive;
    certificate_type x509 "host_cert.pem" "host_priv.pem";
    my_identifier asn1dn;
    proposal {{
        authentication_method rsasig;
        encryption_algorithm 3des;
        hash_algorithm sha1;
        dh_group 2 ;
    }}
}}
"""
THREE_MINUTES = """\
sainfo {whom} {{
    lifetime time 3 min;
    encryption_algorithm 3des ;
    authentication_algorithm hmac_sha1;
    compression_algorithm deflate ;
}}
"""
THIRTY_SECONDS = """\
sainfo {whom} {{
    lifetime time 30 sec;
    encryption_algorithm blowfish ;
    authentication_algorithm hmac_md5;
    compression_algorithm deflate ;
}}
"""
# racoon refuses a lifetime that is longer than its own, unless it is told otherwise.
LIFETIME = {"esp": "3des-sha1!", "lifetime": "180s", "margintime": "18s"}
SECONDS = LifeType.SECONDS


@dataclass(frozen=True)
class Between:
    """Whose traffic is protected: a racoon's words for it, strongSwan's, and where it runs.

    `child` is what the racoon calls a `sainfo` that names it.
    """

    mode: str
    sainfo: str
    child: str
    conn: Mapping[str, str]
    ends: tuple[str, str]
    nat: str = "off"


HOSTS = Between(
    "transport",
    "address 10.0.0.1 any address 10.0.0.2 any",
    "10.0.0.1/32-10.0.0.2/32",
    {"type": "transport"},
    ("seil", "sun"),
)
# strongSwan's ESP in user space has tunnel mode only, and only in UDP.
NETWORKS = Between(
    "tunnel",
    "address 192.168.1.0/24 any address 192.168.2.0/24 any",
    "192.168.1.0/24-192.168.2.0/24",
    {"leftsubnet": "192.168.2.0/24", "rightsubnet": "192.168.1.0/24"},
    ("left", "right"),
    nat="on",
)


@either_front_end
@scenario(
    "main-mode-rsasig",
    "racoon's certificates and strongSwan's prove both ends by RSA signatures in Main Mode.",
    rfc="2409 5.1",
    seed="003",
)
def test_main_mode_rsasig(lab: Lab, seil: Peer, sun: Peer) -> None:
    where = protected(lab, sun)
    # Who that is, too, a racoon may leave open, and then its SAs are for the two ends themselves.
    remote, whom = ("anonymous",) * 2 if where is HOSTS else ("10.0.0.2", where.sainfo)
    files = racoon(remote, THREE_MINUTES.format(whom=whom), where)
    net = between(lab, seil, sun, files, {**where.conn, **LIFETIME})
    net.sun.initiate(CONN)
    net.seil.await_up("anonymous" if where is HOSTS else where.child)
    proved_by_signatures(net, initiator="sun", responder="seil")
    protects(net, where, "3DES", "HMAC_SHA1_96")
    assert life_of(net) == [(SECONDS, 3 * 60)]
    for half in installed(net, "seil"):
        assert half.lifetimes.hard_seconds == 3 * 60


@either_front_end
@scenario(
    "main-mode-rsasig-30-seconds",
    "For one peer racoon has IPsec SAs of 30 s, and replaces them in time.",
    rfc="2409 5.1",
    seed="003",
    long=True,
)
def test_main_mode_rsasig_30_seconds(lab: Lab, seil: Peer, sun: Peer) -> None:
    where = protected(lab, sun)
    files = racoon("10.0.0.2", THIRTY_SECONDS.format(whom=where.sainfo), where)
    net = between(lab, seil, sun, files, {**where.conn, "esp": "blowfish128-md5!"})
    child = net.seil.initiate(where.child)
    net.sun.await_up(CONN)
    proved_by_signatures(net, initiator="seil", responder="sun")
    protects(net, where, "BLOWFISH_128", "HMAC_MD5_96")
    assert life_of(net) == [(SECONDS, 30)]
    for half in installed(net, "seil"):
        assert half.lifetimes.hard_seconds == 30
    with net.traffic(*where.ends, every=0.5) as flow:
        new = net.seil.await_rekeyed(child, within=30)
        flow.await_crossed(5)
    assert flow.lost == 0
    assert len({one.message_id for one in messages(net, exchange=QUICK)}) == 2
    assert new.reqid == child.reqid


def protected(lab: Lab, sun: Peer) -> Between:
    """What strongSwan can protect, by who does its ESP."""
    return HOSTS if plane_of(sun, lab.data_plane) == "kernel" else NETWORKS


def between(
    lab: Lab, seil: Peer, sun: Peer, files: tuple[NativeFile, ...], settings: Mapping[str, str]
) -> Net:
    """The network with a racoon.conf where the SEIL is."""
    return lab.up(
        SEIL,
        sun=sun,
        seil=seil,
        dialect={"seil": "racoon", "sun": lab.front_end},
        native={"seil": files, "sun": swan(lab.front_end, settings)},
    )


def racoon(whom: str, sainfo: str, where: Between) -> tuple[NativeFile, ...]:
    """racoon.conf first, then what it names."""
    own = AUTHORITY.certify("racoon.ikelab.example", kind="rsa", rsa_bits=RSA_BITS)
    given = {
        RACOON.name: REMOTE.format(whom=whom, nat=where.nat) + sainfo,
        "cert/host_cert.pem": own.certificate,
        "cert/host_priv.pem": own.private_key,
        f"cert/{HASH}": own.authority,
    }
    return tuple(NativeFile(str(RACOON.parent / name), text) for name, text in given.items())


def swan(front_end: str, settings: Mapping[str, str]) -> tuple[NativeFile, ...]:
    """strongSwan with the same proposals and its certificate."""
    conn = {
        "left": "10.0.0.2",
        "right": "10.0.0.1",
        "rightid": "%any",
        "ike": "3des-sha1-modp1024!",
        "auto": "add",
        **settings,
    }
    own = AUTHORITY.certify("sun.ikelab.example", kind="rsa", rsa_bits=RSA_BITS)
    return with_certificate(front_end, CONN, conn, own)


def proved_by_signatures(net: Net, *, initiator: str, responder: str) -> None:
    exchanges = net.wire("wan").exchanges
    assert [one for one in exchanges if isinstance(one, MainMode | QuickMode)] == [
        MainMode(),
        QuickMode(),
    ]
    said = messages(net)
    kinds = (
        A.ENCRYPTION_ALGORITHM,
        A.HASH_ALGORITHM,
        A.AUTHENTICATION_METHOD,
        A.GROUP_DESCRIPTION,
    )
    for message in said[:2]:
        (transform,) = message.transforms
        assert tuple(transform.number_of(kind) for kind in kinds) == (
            TRIPLE_DES,
            SHA1,
            RSA_SIGNATURES,
            MODP_1024,
        )
    for message, sender in zip(said[4:6], (initiator, responder), strict=True):
        assert (message.sender, message.sealed) == (sender, True)
        assert message.only(Identification).id_type == IdType.DER_ASN1_DN
        assert PayloadType.CERT in message.kinds
        assert len(message.only(Signature).data) == RSA_BITS // 8


def protects(net: Net, where: Between, cipher: str, mac: str) -> None:
    with net.traffic(*where.ends) as flow:
        flow.await_crossed(10)
    assert flow.lost == 0
    packets = [packet for _, packet in esp(net)]
    assert {packet.mode for packet in packets} == {where.mode}
    used = {(one.encryption, one.integrity) for packet in packets if (one := packet.secret)}
    assert used == {(encryption(cipher), integrity(mac))}
    for node in with_kernel_esp(net):
        assert {sa.mode for sa in installed(net, node)} == {where.mode}
        assert algorithms(net, node) == kernel_names(cipher, mac)


def life_of(net: Net) -> list[tuple[int, int]]:
    """The lifetime that the initiator offers for phase 2, and the responder takes."""
    offer, answer = messages(net, exchange=QUICK)[:2]
    offered, taken = (lives(one.transforms[0]) for one in (offer, answer))
    assert offered == taken
    return taken


def kernel_names(cipher: str, mac: str) -> set[str | None]:
    """What the kernel calls these two."""
    return {one.names.of(Dialect.XFRM) for one in (encryption(cipher), integrity(mac))}
