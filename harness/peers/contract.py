# SPDX-License-Identifier: GPL-2.0-or-later
"""What every peer driver fulfils: the seam between the lab and an IKE implementation.

A driver is a class that is a `Peer`; it starts `Daemon`s. Everything is asynchronous and runs on
the lab's loop. What a driver reports are the values of this module; no scenario sees a daemon's own
words.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from harness.network.node import Node
from harness.peers.connection import Side

T = TypeVar("T")

DataPlane = Literal["kernel", "userspace"]


class PeerError(Exception):
    """A peer could not do what it was told; the text is one sentence for the user."""


class Unsupported(PeerError):
    """This peer has no such feature: the cell of the matrix is *unsupported*, never a pass."""


class ConfigurationRefused(PeerError):
    """The daemon would not load a configuration; its own complaint, with file and line."""


class NegotiationFailed(PeerError):
    """The exchange that was asked for ended without an SA."""


@dataclass(frozen=True)
class ChildSa:
    """A CHILD_SA as the daemon at one end names it; SPIs in host order.

    `inbound` is the SPI this end receives on (it chose it), `outbound` the one it sends with.
    """

    name: str
    inbound: int
    outbound: int
    reqid: int
    ike: int = field(compare=False, default=0)
    state: str = field(compare=False, default="")

    def mirrored(self) -> ChildSa:
        """The same CHILD_SA as the other end has it: what one sends with, the other receives on."""
        return dataclasses.replace(self, inbound=self.outbound, outbound=self.inbound)

    def __str__(self) -> str:
        return f"{self.name} in 0x{self.inbound:08x} out 0x{self.outbound:08x}"


@dataclass(frozen=True)
class IkeSa:
    """An IKE SA as the daemon at one end sees it; SPIs (cookies) as 64-bit integers, host order.

    `unique` is the daemon's own number for it, `state` its own word (``ESTABLISHED``).
    """

    name: str
    version: int
    initiator_spi: int
    responder_spi: int
    unique: int
    state: str
    children: tuple[ChildSa, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.initiator_spi:016x} {self.responder_spi:016x}"


@dataclass(frozen=True)
class IkeUp:
    """An IKE SA is established."""

    ike: IkeSa

    def __str__(self) -> str:
        return f"IKE SA {self.ike} up"


@dataclass(frozen=True)
class IkeDown:
    """An IKE SA is gone, for whatever reason."""

    ike: IkeSa

    def __str__(self) -> str:
        return f"IKE SA {self.ike} down"


@dataclass(frozen=True)
class IkeRekeyed:
    """An IKE SA was replaced by another (RFC 7296 2.8)."""

    old: IkeSa
    new: IkeSa

    def __str__(self) -> str:
        return f"IKE SA {self.old} replaced by {self.new}"


@dataclass(frozen=True)
class ChildUp:
    """A new CHILD_SA carries traffic."""

    child: ChildSa

    def __str__(self) -> str:
        return f"CHILD_SA {self.child} reqid {self.child.reqid} up"


@dataclass(frozen=True)
class ChildDown:
    """A CHILD_SA is gone."""

    child: ChildSa

    def __str__(self) -> str:
        return f"CHILD_SA {self.child} down"


@dataclass(frozen=True)
class ChildRekeyed:
    """A CHILD_SA was replaced by another (RFC 7296 2.8)."""

    old: ChildSa
    new: ChildSa

    def __str__(self) -> str:
        return f"CHILD_SA {self.old} replaced by {self.new}"


@dataclass(frozen=True)
class Exited:
    """The daemon's process ended; a negative status is the signal that ended it."""

    status: int


PeerEvent = IkeUp | IkeDown | IkeRekeyed | ChildUp | ChildDown | ChildRekeyed | Exited


class Listener(Protocol):
    """Takes what a daemon reports, as it happens."""

    def __call__(self, event: PeerEvent) -> None:
        """Take one event; must not block."""
        ...


@dataclass(frozen=True)
class NativeFile:
    """A file in a daemon's own dialect: where it belongs in the node, and its text."""

    path: str
    text: str
    mode: int = 0o600


def keep_copy(file: NativeFile, folder: Path) -> None:
    """Leave a copy of what a daemon was given in the run's folder, below `configuration/`."""
    copy = folder / "configuration" / file.path.lstrip("/")
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as kept:
        kept.write(file.text)


@dataclass(frozen=True)
class Configuration:
    """How a daemon is to be set up: the connection, or files in its own dialect, and its options.

    `dialect` is one of the peer's `dialects`. Without `files` the driver writes them from `side`.
    `options` are daemon-wide settings by the peer's own name (``charon.delete_rekeyed_delay``).
    """

    side: Side | None
    dialect: str
    files: tuple[NativeFile, ...] = ()
    options: Mapping[str, str | int] = field(default_factory=dict)
    data_plane: DataPlane = "kernel"


class Daemon(Protocol):
    """A running IKE daemon on a node."""

    async def initiate(self, child: str, within: float) -> None:
        """Bring a CHILD_SA up and return when it is; raises `NegotiationFailed`.

        `within` is in seconds of lab time.
        """
        ...

    async def terminate_child(self, child: str, within: float) -> None:
        """Delete a CHILD_SA by name; return when it is gone here; raises `PeerError`."""
        ...

    async def terminate_ike(self, name: str, within: float) -> None:
        """Delete an IKE SA with its children; return when it is gone here; raises `PeerError`."""
        ...

    async def rekey_child(self, child: str) -> None:
        """Start the rekeying of a CHILD_SA now."""
        ...

    async def rekey_ike(self, name: str) -> None:
        """Start the rekeying of an IKE SA now."""
        ...

    async def sas(self) -> Sequence[IkeSa]:
        """All IKE SAs with their children, as the daemon lists them."""
        ...

    async def settled(self) -> None:
        """Return when every message that it has read so far is dealt with.

        Who has answered a later message may still be at work on an earlier one. Returns at once
        where a daemon deals with them in turn, or cannot say.
        """
        ...

    async def stop(self) -> None:
        """End the daemon as its supervisor would, with deletes; return when it is gone."""
        ...

    async def crash(self) -> None:
        """Kill the daemon: no delete, no clean-up (SIGKILL)."""
        ...


@runtime_checkable
class Scriptable(Daemon, Protocol):
    """A daemon that runs within the harness, whose engines a scenario can get at."""

    @property
    def observed(self) -> Sequence[Any]:
        """Every event of its engines so far, in order."""
        ...

    async def act(self, work: Callable[[Any, float], T], version: int = 2) -> T:
        """Do something with the engine of an IKE version, and return once all it led to is done.

        `work` is given the engine and the instant.
        """
        ...

    async def until(self, condition: Callable[[], bool], within: float) -> None:
        """Return as soon as a condition holds; raises AssertionError when it does not in time."""
        ...

    async def close(self) -> None:
        """End without a word to any peer and leave nothing of it."""
        ...


class Peer(Protocol):
    """An implementation at a version."""

    @property
    def name(self) -> str:
        """``strongswan@6.0.1``."""
        ...

    @property
    def image(self) -> str:
        """The image its root file system comes from: a folder of ``images/``; empty for none."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Python modules that its nodes have loaded, for `Node.spawn_function`; mostly none."""
        ...

    @property
    def negotiates(self) -> bool:
        """Whether it speaks IKE; a keying tool does not."""
        ...

    @property
    def dialects(self) -> tuple[str, ...]:
        """The configuration languages it can be given, the preferred one first."""
        ...

    @property
    def data_planes(self) -> tuple[DataPlane, ...]:
        """Who can do ESP for it."""
        ...

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> Daemon:
        """Start the daemon in a node, load its configuration, return when it can negotiate.

        Every event from then on goes to `listener`; what the daemon writes goes into files of the
        folder `logs`, mode 0600 because some hold keys. Raises `Unsupported`,
        `ConfigurationRefused`, `PeerError`.
        """
        ...
