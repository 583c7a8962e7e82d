# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.peers.connection import Child, Connection, End, PreSharedKey

MOON = End("moon", "192.168.0.1", "moon.example.org", ("10.1.0.0/16",))
SUN = End("sun", "192.168.0.2", "sun.example.org", ("10.2.0.0/16",))
SECRET = PreSharedKey("known to both")
NET_NET = Connection.between(MOON, SUN, name="net-net", authentication=SECRET)


def test_each_side_is_the_other_one_mirrored() -> None:
    moon, sun = NET_NET.sides["moon"], NET_NET.sides["sun"]
    assert (moon.local, moon.remote) == (sun.remote, sun.local)
    assert moon.child == sun.child == Child("net-net")


def test_a_change_reaches_both_sides_or_only_the_one_named() -> None:
    both = NET_NET.with_child(life=10)
    one = NET_NET.with_child(life=10, on="sun")
    assert [side.child.life for side in both.sides.values()] == [10, 10]
    assert [side.child.life for side in one.sides.values()] == [1320, 10]


def test_a_change_on_a_node_that_has_no_side_is_refused() -> None:
    with pytest.raises(ValueError, match="has no end on venus; it has moon, sun"):
        NET_NET.with_ike(rekey=1, on="venus")


def test_secrets_are_not_in_what_is_printed() -> None:
    assert "known to both" not in repr(NET_NET)
