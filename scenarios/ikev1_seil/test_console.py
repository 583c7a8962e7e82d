# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SEIL's administrator sees at its console is what is on the wire and in both daemons."""

from __future__ import annotations

from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN, TUNNEL, seil_file, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import crosses


def without_tunnel() -> str:
    """The smallest configuration with nothing but the addresses of the router's interfaces."""
    (file,) = seil_file()
    return "".join(one for one in file.text.splitlines(keepends=True) if "interface.ge" in one)


@either_front_end
@scenario(
    "console-status",
    "A SEIL's console shows the ISAKMP SA, IPsec SAs, policies and interface that there are.",
    rfc="2408 3.1",
    seed="002",
)
def test_console_status(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun)
    child = net.seil.await_up(TUNNEL)
    net.sun.await_up(CONN)
    crosses(net)
    with net.seil.console() as console:
        (isakmp,) = console.isakmp()
        inbound, outbound = console.ipsec()
        (ike,) = net.sun.sas()
        assert (isakmp.cookie_i, isakmp.cookie_r) == (ike.initiator_spi, ike.responder_spi)
        assert (isakmp.local, isakmp.remote, isakmp.initiator) == ("10.0.0.1", "10.0.0.2", True)
        assert (inbound.spi, outbound.spi) == (child.inbound, child.outbound)
        assert (inbound.source, inbound.destination) == ("10.0.0.2", "10.0.0.1")
        assert (outbound.encryption, outbound.authentication) == ("rijndael-cbc-256", "hmac-sha256")
        assert inbound.octets > 0
        assert outbound.octets > 0
        assert [(policy.direction, policy.tunnel) for policy in console.policies()] == [
            ("in", ("10.0.0.2", "10.0.0.1")), ("out", ("10.0.0.1", "10.0.0.2")),
        ]  # fmt: skip
        assert console.interface(TUNNEL).up
        console.load(without_tunnel())
        assert (console.isakmp(), console.ipsec(), console.policies()) == ((), (), ())
    net.seil.await_deleted(child)
