# SPDX-License-Identifier: GPL-2.0-or-later
"""Keying by hand: a peer without IKE, whose SAs and policies a person installs (RFC 4301 4.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.network.node import Node
from harness.peers.contract import Configuration, DataPlane, IkeSa, Listener, Unsupported


@dataclass(frozen=True)
class IpXfrm:
    """iproute2's ``ip xfrm``: it talks to the kernel over NETLINK_XFRM and keeps no state."""

    name: str = "ip-xfrm"
    image: str = ""
    modules: tuple[str, ...] = ()
    negotiates: bool = False
    dialects: tuple[str, ...] = ("ip-xfrm",)
    data_planes: tuple[DataPlane, ...] = ("kernel",)

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> Keyed:
        """Nothing is started; raises `Unsupported` without ESP in the kernel."""
        if configuration.data_plane not in self.data_planes:
            raise Unsupported(f"{self.name} keys the kernel's ESP, and this kernel has none")
        return Keyed(self.name)


@dataclass(frozen=True)
class Keyed:
    """A node that is keyed by hand: every exchange that IKE would do is unsupported."""

    name: str

    async def initiate(self, child: str, within: float) -> None:
        """Raise `Unsupported`."""
        self._no_ike()

    async def terminate_child(self, child: str, within: float) -> None:
        """Raise `Unsupported`."""
        self._no_ike()

    async def terminate_ike(self, name: str, within: float) -> None:
        """Raise `Unsupported`."""
        self._no_ike()

    async def rekey_child(self, child: str) -> None:
        """Raise `Unsupported`."""
        self._no_ike()

    async def rekey_ike(self, name: str) -> None:
        """Raise `Unsupported`."""
        self._no_ike()

    async def sas(self) -> Sequence[IkeSa]:
        """No IKE SA, ever."""
        return ()

    async def settled(self) -> None:
        """Return: nobody here reads messages."""

    async def stop(self) -> None:
        """Do nothing: SAs keyed by hand stay."""

    async def crash(self) -> None:
        """Do nothing: there is no process."""

    def _no_ike(self) -> NoReturn:
        raise Unsupported(f"{self.name} keys by hand: it has no IKE")
