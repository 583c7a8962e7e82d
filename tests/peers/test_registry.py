# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.peers.registry import UnknownPeer, find_peer, known_peers

IMAGES = [("strongswan-bookworm", "5.9.8"), ("strongswan-trixie", "6.0.1"), ("guest", "1")]


def test_each_image_with_a_driver_is_a_peer_at_its_version() -> None:
    assert sorted(known_peers(IMAGES)) == [
        "ikelabd",
        "ip-xfrm",
        "strongswan@5.9.8",
        "strongswan@6.0.1",
    ]


def test_a_peer_knows_its_image() -> None:
    assert find_peer("strongswan@6.0.1", known_peers(IMAGES)).image == "strongswan-trixie"


def test_an_unknown_peer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        UnknownPeer, match=r"'racoon@1'; there is ikelabd, ip-xfrm, strongswan@5\.9\.8, "
    ):
        find_peer("racoon@1", known_peers(IMAGES))
