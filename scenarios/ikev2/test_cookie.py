# SPDX-License-Identifier: GPL-2.0-or-later
"""Many IKE SAs that nobody goes on to make: a responder asks for cookies."""

import os

from harness.capture.exchanges import IkeAuth, IkeSaInit
from harness.ike.address import Address
from harness.ike.chance import from_randomness
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v2.connection import Connection as EngineConnection
from harness.ike.v2.connection import Identity, SharedKey
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.suites import IkeProposal
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

FLOOD = 60
"""More than any peer keeps half-open without asking for a cookie."""
INITIATOR, RESPONDER = Address("192.168.0.1"), Address("192.168.0.2")
NOBODY = SharedKey(b"known to nobody")
PROPOSAL = IkeProposal(
    (encryption("AES_CBC_128"),),
    (prf("HMAC_SHA2_256"),),
    (key_exchange("X25519"),),
    (integrity("HMAC_SHA2_256_128"),),
)


@scenario(
    "cookie",
    "Under a flood of first messages sun asks for cookies, and serves who has one.",
    rfc="7296 2.6",
)
def test_cookie(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    wan = net.wire("wan")
    for _ in range(FLOOD):
        spi = begin_as_nobody(net)
    wan.await_ike("IKE_SA_INIT", sender="sun", initiator_spi=int.from_bytes(spi))
    before = len(wan.exchanges)
    net.moon.initiate("net-net")
    assert wan.exchanges[before:] == [
        IkeSaInit(error="COOKIE"),
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
    ]
    refused, again = wan.exchanges[before : before + 2]
    # The cookie comes first, and all else is as it was.
    (cookie,) = refused.about.response
    assert again.about.request == (cookie, *refused.about.request)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)


def begin_as_nobody(net: Net) -> bytes:
    """Send an IKE_SA_INIT request as if it were moon's, and return its SPI."""
    # Whoever collects the scenarios need not wait for it.
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    flood = EngineConnection("flood", (PROPOSAL,), Identity.of("nobody"), NOBODY, NOBODY)
    engine = Endpoint(INITIATOR, (flood,), from_randomness(os.urandom))
    spi = engine.commands.initiate("flood", 0.0, remote=RESPONDER)
    (request,) = engine.datagrams()
    packet = IP(src=INITIATOR.host, dst=RESPONDER.host) / UDP(sport=500, dport=500) / request.data
    net.wire("wan").inject("moon", bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / packet))
    return spi
