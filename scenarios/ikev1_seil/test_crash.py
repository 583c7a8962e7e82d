# SPDX-License-Identifier: GPL-2.0-or-later
"""An end that comes back without its SAs says so with INITIAL-CONTACT (RFC 2407 4.6.3.3)."""

from __future__ import annotations

from harness.capture.exchanges import DeleteIke, Informational, MainMode, QuickMode
from harness.ike.constants_v1 import NotifyType
from harness.ike.payloads_v1 import Delete, Notification
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN, TUNNEL, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    crosses,
    esp,
    established,
    installed,
    messages,
    with_kernel_esp,
)

DUPLICATE = 10
"""Seconds after which strongSwan deletes an ISAKMP SA that another seems to have followed."""
ADOPTED = (
    "strongSwan looks for older SAs at message 5, whatever its uniqueids, and a SEIL says"
    " INITIAL-CONTACT behind message 6 (as RFC 2407 4.6.3.3 has it): strongSwan takes the second"
    " Main Mode for a reauthentication, and still receives on the old IPsec SA as long as it lives"
)
HALF = "strongSwan lists the outbound half of that one too, which it has taken from its kernel"


@either_front_end
@scenario(
    "initial-contact-after-crash",
    "After strongSwan has crashed and come back, a SEIL drops what it had with it before, at once.",
    rfc="2407 4.6.3.3",
    seed="002",
)
def test_initial_contact_after_crash(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun)
    old = established(net)
    crosses(net)
    net.sun.crash()
    forget(net, "sun")
    before = len(messages(net))
    net.sun.start_again()
    net.sun.initiate(CONN)
    net.seil.await_deleted(old)
    says_so(net, before, "sun")
    new = new_sa(net, old)
    (ike,) = net.sun.sas()
    assert [(one.outbound, one.inbound) for one in ike.children] == [(new.inbound, new.outbound)]
    crosses(net)
    assert {packet.spi for _, packet in esp(net)[-4:]} == {new.inbound, new.outbound}
    for node in with_kernel_esp(net):
        assert {sa.spi for sa in installed(net, node)} == {new.inbound, new.outbound}


@either_front_end
@scenario(
    "crash-of-the-seil",
    "After a SEIL has crashed and come back, strongSwan uses the new SAs and deletes the old IKE.",
    rfc="2407 4.6.3.3",
    seed="002",
)
def test_crash_of_the_seil(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, without={"mirror": ADOPTED, "one-sa": ADOPTED, "agreement": HALF})
    old = established(net)
    crosses(net)
    net.seil.crash()
    forget(net, "seil")
    before, since = len(messages(net)), len(net.wire("wan").frames)
    net.seil.start_again()
    net.sun.await_ike_down(CONN, within=2 * DUPLICATE)
    # It says so when it has decided, and the message is still to come.
    net.wire("wan").await_ike("INFORMATIONAL", sender="sun", since=since)
    once = (MainMode(), Informational(("INITIAL-CONTACT",)), QuickMode())
    assert net.wire("wan").exchanges == [*once, *once, DeleteIke()]
    says_so(net, before, "seil")
    said = messages(net)
    assert said[-1].only(Delete).spis == (said[1].cookies,)
    new = new_sa(net, old)
    crosses(net)
    assert {packet.spi for _, packet in esp(net)[-4:]} == {new.inbound, new.outbound}
    # What the oracles are not asked for: the SEIL has the new SAs alone, strongSwan still
    # receives on the old one.
    (ike,) = net.sun.sas()
    assert {one.inbound for one in ike.children} == {old.outbound, new.outbound}
    spis = {"seil": {new.inbound, new.outbound}}
    spis["sun"] = spis["seil"] | {old.outbound}
    for node in with_kernel_esp(net):
        assert {sa.spi for sa in installed(net, node)} == spis[node]


def says_so(net: Net, before: int, node: str) -> None:
    """One of the messages after so many has INITIAL-CONTACT, from that node."""
    contacts = [
        one
        for one in messages(net)[before:]
        if any(each.notify_type == NotifyType.INITIAL_CONTACT for each in one.all(Notification))
    ]
    assert node in {one.sender for one in contacts}
    assert all(one.sealed for one in contacts)


def forget(net: Net, node: str) -> None:
    """Take from a kernel what a machine that starts anew does not have any more."""
    for what in ("state", "policy"):
        net.gateway(node).ip_xfrm(f"{what} flush")


def new_sa(net: Net, old: ChildSa) -> ChildSa:
    """The one pair of IPsec SAs that the SEIL has, which is another than before."""
    (ike,) = net.seil.sas()
    (new,) = ike.children
    assert new.name == TUNNEL
    assert new.inbound != old.inbound
    return new
