# SPDX-License-Identifier: GPL-2.0-or-later
"""What a console lists becomes SAs with names and pairs, and two lists become events."""

from harness.daemon.status import Ipsec, Isakmp
from harness.peers.console.listing import Ends, changes, ike_sas
from harness.peers.contract import (
    ChildDown,
    ChildRekeyed,
    ChildSa,
    ChildUp,
    IkeDown,
    IkeRekeyed,
    IkeUp,
)

TUNNELS = {"ipsec0": Ends("10.0.0.1", "10.0.0.2"), "ipsec1": Ends("10.0.0.1", "10.0.0.3")}


def isakmp(cookie: int, remote: str = "10.0.0.2", **changes) -> Isakmp:
    return Isakmp("10.0.0.1", 500, remote, 500, cookie, cookie + 1, True, **changes)


def pair(inbound: int, outbound: int, remote: str = "10.0.0.2", at: int = 0) -> list[Ipsec]:
    return [
        Ipsec(remote, "10.0.0.1", inbound, 1, "aes", "sha1", created=at),
        Ipsec("10.0.0.1", remote, outbound, 1, "aes", "sha1", created=at),
    ]


def child(inbound: int, outbound: int, name: str = "ipsec0") -> ChildSa:
    return ChildSa(name, inbound, outbound, 1)


def test_two_directions_are_a_pair_of_the_tunnel_between_their_ends():
    (ike,) = ike_sas([isakmp(7)], pair(0x11, 0x22), TUNNELS)
    assert (ike.name, ike.initiator_spi, ike.responder_spi) == ("ipsec0", 7, 8)
    assert ike.children == (child(0x11, 0x22),)


def test_each_tunnel_has_its_own():
    listed = [*pair(1, 2), *pair(3, 4, "10.0.0.3")]
    found = ike_sas([isakmp(7), isakmp(9, "10.0.0.3")], listed, TUNNELS)
    assert [(ike.name, ike.children) for ike in found] == [
        ("ipsec0", (child(1, 2),)), ("ipsec1", (child(3, 4, "ipsec1"),)),
    ]  # fmt: skip


def test_pairs_are_told_apart_by_when_they_were_made():
    new, old = pair(3, 4, at=50), pair(1, 2, at=10)
    (ike,) = ike_sas([isakmp(7)], [new[0], old[1], old[0], new[1]], TUNNELS)
    assert ike.children == (child(1, 2), child(3, 4))


def test_half_a_pair_has_no_other_spi():
    (ike,) = ike_sas([isakmp(7)], pair(1, 2)[:1], TUNNELS)
    assert ike.children == (child(1, 0),)


def test_what_is_still_negotiated_or_of_strangers_is_no_sa():
    listed = [Ipsec("10.0.0.2", "10.0.0.1", 5, 1, "aes", "sha1", state="larval")]
    listed += pair(8, 9, "10.0.0.77")
    assert ike_sas([isakmp(7, established=False), isakmp(1, "10.0.0.77")], listed, TUNNELS) == ()


def test_ipsec_sas_outlive_their_isakmp_sa():
    (ike,) = ike_sas([], pair(1, 2), TUNNELS)
    assert (ike.state, ike.children) == ("gone", (child(1, 2),))


def test_the_newest_isakmp_sa_of_a_tunnel_has_the_children():
    old, new = ike_sas([isakmp(7), isakmp(9)], pair(1, 2), TUNNELS)
    assert (old.children, new.children) == ((), (child(1, 2),))


def told(before, after) -> list:
    lists = (ike_sas(*one, TUNNELS) for one in (before, after))
    return list(changes(*lists))


def test_nothing_new_is_no_event():
    assert told(([isakmp(7)], pair(1, 2)), ([isakmp(7)], pair(1, 2))) == []


def test_what_came_up_is_told():
    up, child_up = told(([], []), ([isakmp(7)], pair(1, 2)))
    assert isinstance(up, IkeUp)
    assert child_up == ChildUp(child(1, 2))


def test_what_is_gone_is_told():
    child_down, down = told(([isakmp(7)], pair(1, 2)), ([], []))
    assert child_down == ChildDown(child(1, 2))
    assert isinstance(down, IkeDown)


def test_another_pair_beside_the_old_one_is_a_rekeying_and_the_end_of_the_old_one_is_none():
    both = [*pair(1, 2), *pair(3, 4, at=48)]
    sa = [isakmp(7)]
    assert told((sa, pair(1, 2)), (sa, both)) == [ChildRekeyed(child(1, 2), child(3, 4))]
    assert told((sa, both), (sa, pair(3, 4, at=48))) == []


def test_another_pair_in_place_of_the_old_one_is_a_rekeying_too():
    sa = [isakmp(7)]
    assert told((sa, pair(1, 2)), (sa, pair(3, 4))) == [ChildRekeyed(child(1, 2), child(3, 4))]


def test_another_isakmp_sa_is_a_rekeying():
    (rekeyed,) = told(([isakmp(7)], []), ([isakmp(7), isakmp(9)], []))
    assert isinstance(rekeyed, IkeRekeyed)
    assert (rekeyed.old.initiator_spi, rekeyed.new.initiator_spi) == (7, 9)
    assert told(([isakmp(7), isakmp(9)], []), ([isakmp(9)], [])) == []
