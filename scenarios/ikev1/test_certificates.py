# SPDX-License-Identifier: GPL-2.0-or-later
"""Main Mode between ends that sign, each with the key of a certificate."""

import pytest

from harness.capture.exchanges import MainMode
from harness.ike.constants_v1 import AuthenticationMethod, Phase1Attribute
from harness.ike.payload import Payload, first
from harness.ike.payloads_v1 import SecurityAssociation, Signature
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.peers.credentials import Kind
from harness.scenario import scenario
from scenarios.agreements import AUTHORITY, MOON, NET_NET, SUN

CURVES: dict[str, tuple[Kind, AuthenticationMethod, int]] = {
    "ecp256": ("ecdsa", AuthenticationMethod.ECDSA_SHA256_P256, 64),
    "ecp384": ("ecdsa-p384", AuthenticationMethod.ECDSA_SHA384_P384, 96),
    "ecp521": ("ecdsa-p521", AuthenticationMethod.ECDSA_SHA512_P521, 132),
}
"""By the group of that curve: what signs, its authentication method, and the octets of r and s."""


@pytest.mark.parametrize("group", CURVES)
@scenario(
    "ikev1-ecdsa",
    "Ends with ECDSA certificates agree on the method of their curve, and know each other by it.",
    rfc="4754 4",
)
def test_ikev1_ecdsa(lab: Lab, moon: Peer, sun: Peer, group: str) -> None:
    kind, method, size = CURVES[group]
    # The hash that is signed with is the curve's, whatever hash is negotiated.
    connection = NET_NET.with_ike(version=1, proposals=(f"aes256-sha256-{group}",)).with_child(
        proposals=("aes256-sha256",)
    )
    for end in (MOON, SUN):
        credentials = AUTHORITY.certify(end.identity, kind=kind)
        connection = connection.authenticated_by(credentials, on=end.node)
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.initiate("net-net")
    net.sun.await_up("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
    made = net.wire("wan").exchanges[0]
    assert made == MainMode()
    for payloads in (made.about.request, made.about.response):
        assert method_in(payloads) == method
    assert signature_sizes(made.about.response) == [size, size]


def method_in(payloads: tuple[Payload, ...]) -> int | None:
    """The authentication method of the first transform that is offered, or chosen."""
    sa = first(payloads, SecurityAssociation)
    assert sa is not None
    return sa.proposals[0].transforms[0].number_of(Phase1Attribute.AUTHENTICATION_METHOD)


def signature_sizes(payloads: tuple[Payload, ...]) -> list[int]:
    """The octets of each signature in the messages after the first."""
    return [len(one.data) for one in payloads if isinstance(one, Signature)]
