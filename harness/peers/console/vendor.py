# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs from one vendor's routers to another's: the language, and what can be typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from harness.daemon.configuration import ConfigurationError
from harness.daemon.seil.dialect import read_seil
from harness.peers.connection import Side
from harness.peers.console.listing import Ends
from harness.peers.console.seil_native import seil_text
from harness.peers.console.session import Session
from harness.peers.console.verbs import SeilConsole, Verbs
from harness.peers.contract import ConfigurationRefused


@dataclass(frozen=True)
class Tunnel:
    """A tunnel of a configuration: between which ends, and an address that it leads to."""

    ends: Ends
    beyond: str


@dataclass(frozen=True)
class Vendor:
    """How routers of one make are spoken to.

    `tunnels` gives the tunnels of a configuration (its text, its file) by name, since a console
    names SAs by addresses only; it raises `ConfigurationRefused`. `write` gives a side of a
    connection in the router's language; it raises `Unsupported`.
    """

    dialect: str
    verbs: Callable[[Session], Verbs]
    tunnels: Callable[[str, str], Mapping[str, Tunnel]]
    write: Callable[[Side], str]


def seil_tunnels(text: str, file: str) -> Mapping[str, Tunnel]:
    """The tunnels of a SEIL's configuration; raises `ConfigurationRefused`."""
    try:
        found = read_seil(text, file)
    except ConfigurationError as error:
        raise ConfigurationRefused(str(error)) from None
    return {
        one.name: Tunnel(
            Ends(one.local.host, one.remote.host), _host_in(str(one.children[0].remote))
        )
        for one in found.v1
        if one.remote is not None
    }


def _host_in(network: str) -> str:
    """An address of a network."""
    net = ip_network(network)
    return str(net.network_address + 1 if net.num_addresses > 1 else net.network_address)


SEIL = Vendor("seil", SeilConsole, seil_tunnels, seil_text)
