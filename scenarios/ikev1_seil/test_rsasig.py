# SPDX-License-Identifier: GPL-2.0-or-later
"""racoon with certificates against strongSwan: RSA signatures in Main Mode, transport mode."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness.capture.exchanges import MainMode, QuickMode
from harness.ike.constants_v1 import IdType, PayloadType, Phase1Attribute
from harness.ike.payloads_v1 import Identification, Signature
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import SEIL
from harness.peers.contract import NativeFile, Peer
from harness.peers.credentials import Authority
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN, IPSEC_CONF, IPSEC_SECRETS
from scenarios.ikev1_seil.observed import algorithms, esp, installed, messages

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
ANONYMOUS = """\
sainfo anonymous {
    lifetime time 3 min;
    encryption_algorithm 3des ;
    authentication_algorithm hmac_sha1;
    compression_algorithm deflate ;
}
"""
NAMED = """\
sainfo address 10.0.0.1 any address 10.0.0.2 any {
    lifetime time 30 sec;
    encryption_algorithm blowfish ;
    authentication_algorithm hmac_md5;
    compression_algorithm deflate ;
}
"""
# racoon refuses a lifetime that is longer than its own, unless it is told otherwise.
THREE_MINUTES = {"esp": "3des-sha1!", "lifetime": "180s", "margintime": "18s"}


@scenario(
    "main-mode-rsasig",
    "racoon's certificates and strongSwan's prove both ends by RSA signatures in Main Mode.",
    rfc="2409 5.1",
    seed="003",
    needs=("esp",),
)
def test_main_mode_rsasig(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = between(lab, seil, sun, racoon("anonymous", ANONYMOUS), **THREE_MINUTES)
    net.sun.initiate(CONN)
    net.seil.await_up("anonymous")
    proved_by_signatures(net, initiator="sun", responder="seil")
    protects(net, "cbc(des3_ede)", "hmac(sha1)")
    for half in installed(net, "seil"):
        assert half.lifetimes.hard_seconds == 3 * 60


@scenario(
    "main-mode-rsasig-30-seconds",
    "For one peer racoon has IPsec SAs of 30 s, and replaces them in time.",
    rfc="2409 5.1",
    seed="003",
    needs=("esp",),
)
def test_main_mode_rsasig_30_seconds(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = between(lab, seil, sun, racoon("10.0.0.2", NAMED), esp="blowfish128-md5!")
    child = net.seil.initiate("10.0.0.1/32-10.0.0.2/32")
    net.sun.await_up(CONN)
    proved_by_signatures(net, initiator="seil", responder="sun")
    protects(net, "cbc(blowfish)", "hmac(md5)")
    with net.traffic("seil", "sun", every=0.5) as flow:
        new = net.seil.await_rekeyed(child, within=30)
        flow.await_crossed(5)
    assert flow.lost == 0
    assert new.reqid == child.reqid


def between(lab: Lab, seil: Peer, sun: Peer, files: tuple[NativeFile, ...], **settings: str) -> Net:
    """The network with a racoon.conf where the SEIL is."""
    return lab.up(
        SEIL,
        sun=sun,
        seil=seil,
        dialect={"seil": "racoon", "sun": "ipsec.conf"},
        native={"seil": files, "sun": swan(**settings)},
    )


def racoon(whom: str, sainfo: str) -> tuple[NativeFile, ...]:
    """racoon.conf first, then what it names."""
    own = AUTHORITY.certify("racoon.ikelab.example", kind="rsa", rsa_bits=RSA_BITS)
    given = {
        RACOON.name: REMOTE.format(whom=whom) + sainfo,
        "cert/host_cert.pem": own.certificate,
        "cert/host_priv.pem": own.private_key,
        f"cert/{HASH}": own.authority,
    }
    return tuple(NativeFile(str(RACOON.parent / name), text) for name, text in given.items())


def swan(**settings: str) -> tuple[NativeFile, ...]:
    """strongSwan with the same proposals, in transport mode, and its certificate."""
    conn: Mapping[str, str] = {
        "keyexchange": "ikev1",
        "authby": "rsasig",
        "type": "transport",
        "left": "10.0.0.2",
        "leftcert": "own.pem",
        "right": "10.0.0.1",
        "rightid": "%any",
        "ike": "3des-sha1-modp1024!",
        "auto": "add",
        **settings,
    }
    own = AUTHORITY.certify("sun.ikelab.example", kind="rsa", rsa_bits=RSA_BITS)
    text = f"conn {CONN}\n" + "".join(f"        {key}={value}\n" for key, value in conn.items())
    return (
        NativeFile(IPSEC_CONF, text),
        NativeFile(IPSEC_SECRETS, ": RSA own.pem\n"),
        NativeFile("/etc/ipsec.d/certs/own.pem", own.certificate),
        NativeFile("/etc/ipsec.d/private/own.pem", own.private_key),
        NativeFile("/etc/ipsec.d/cacerts/authority.pem", own.authority),
    )


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


def protects(net: Net, cipher: str, mac: str) -> None:
    with net.traffic("seil", "sun") as flow:
        flow.await_crossed(10)
    assert flow.lost == 0
    assert {packet.mode for _, packet in esp(net)} == {"transport"}
    for node in ("seil", "sun"):
        assert {sa.mode for sa in installed(net, node)} == {"transport"}
        assert algorithms(net, node) == {cipher, mac}
