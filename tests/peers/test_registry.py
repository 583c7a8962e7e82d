# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.peers.planes import plane_of
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


def test_a_name_may_say_who_does_esp() -> None:
    peers = known_peers(IMAGES)
    found = find_peer("strongswan@6.0.1+userspace", peers)
    assert found.name == "strongswan@6.0.1"
    assert found.data_planes == ("userspace",)
    assert plane_of(found, "kernel") == "userspace"
    assert plane_of(peers["strongswan@6.0.1"], "kernel") == "kernel"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ikelabd+tun", r"ikelabd has no data plane 'tun'; say ikelabd\+kernel or ikelabd\+user"),
        ("ip-xfrm+userspace", r"ip-xfrm has no data plane 'userspace'; say ip-xfrm\+kernel"),
    ],
)
def test_a_data_plane_that_a_peer_does_not_have_is_refused_with_those_it_has(
    name: str, sentence: str
) -> None:
    with pytest.raises(UnknownPeer, match=sentence):
        find_peer(name, known_peers(IMAGES))
