# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that can be named, ``strongswan@6.0.1``: drivers, and the images that they run from.

With a name goes who does ESP, where that is not to be what the run has: ``ikelabd+userspace``.

A driver comes with the project, or from outside through the entry point group ``ikelab.peers``: a
callable that takes version and image name and returns a `Peer`. An image is for the driver whose
name its own begins with: ``strongswan-trixie``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points

from harness.peers.contract import Peer
from harness.peers.ikelabd import Ikelabd
from harness.peers.manual import IpXfrm
from harness.peers.planes import MARK, OnPlane
from harness.peers.strongswan import StrongSwan

GROUP = "ikelab.peers"

Driver = Callable[[str, str], Peer]


class UnknownPeer(ValueError):
    """No peer has that name; the text is one sentence with those that there are."""


def drivers() -> Mapping[str, Driver]:
    """Every driver by the name of its implementation."""
    outside = {point.name: point.load() for point in entry_points(group=GROUP)}
    return {"strongswan": StrongSwan, **outside}


def known_peers(images: Iterable[tuple[str, str]]) -> dict[str, Peer]:
    """Every peer by its name; `images` are pairs of an image's name and the version in it."""
    available = drivers()
    without_image: tuple[Peer, ...] = (IpXfrm(), Ikelabd())
    peers = {peer.name: peer for peer in without_image}
    for image, version in images:
        driver = available.get(image.rpartition("-")[0])
        if driver is not None:
            peer = driver(version, image)
            peers[peer.name] = peer
    return peers


def find_peer(name: str, peers: Mapping[str, Peer]) -> Peer:
    """The peer of that name, on the data plane that it may say; raises `UnknownPeer`."""
    plain, mark, wanted = name.partition(MARK)
    try:
        peer = peers[plain]
    except KeyError:
        known = ", ".join(sorted(peers))
        raise UnknownPeer(f"there is no peer {plain!r}; there is {known}") from None
    if not mark:
        return peer
    for plane in peer.data_planes:
        if plane == wanted:
            return OnPlane(peer, plane)
    offered = " or ".join(f"{plain}{MARK}{plane}" for plane in peer.data_planes)
    raise UnknownPeer(f"{name}: {plain} has no data plane {wanted!r}; say {offered}")
