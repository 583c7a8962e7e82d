# SPDX-License-Identifier: GPL-2.0-or-later
from harness.daemon.reqids import Reqids


def test_a_child_with_one_peer_has_the_same_number_each_time():
    reqids = Reqids()
    assert [reqids.of("gw", "net", peer) for peer in ("a", "b", "a")] == [1, 2, 1]
    assert reqids.of("gw", "lan", "a") == 3
    assert reqids.child_of(3) == ("gw", "lan")
    assert reqids.child_of(4) is None


def test_ever_new_peers_that_come_and_go_are_not_all_remembered():
    reqids = Reqids(most_idle=10)
    for number in range(1000):
        reqid = reqids.of("anybody", "net", f"192.0.2.{number}")
        reqids.taken(reqid)
        reqids.released(reqid)
        assert len(reqids) <= 11
    # The last are known still, and no number is given twice.
    assert reqids.of("anybody", "net", "192.0.2.999") == 1000
    assert reqids.of("anybody", "net", "192.0.2.0") == 1001
    assert reqids.child_of(1) is None


def test_a_number_that_an_sa_or_a_route_has_is_kept_however_many_others_come():
    reqids = Reqids(most_idle=2)
    kept = reqids.of("gw", "net", "moon")
    # As while a rekeyed SA is there beside the new one.
    reqids.taken(kept)
    reqids.taken(kept)
    reqids.released(kept)
    for number in range(50):
        reqids.of("anybody", "net", f"192.0.2.{number}")
    assert reqids.of("gw", "net", "moon") == kept
    assert reqids.child_of(kept) == ("gw", "net")
    reqids.released(kept)
    for number in range(50, 60):
        reqids.of("anybody", "net", f"192.0.2.{number}")
    assert reqids.child_of(kept) is None
