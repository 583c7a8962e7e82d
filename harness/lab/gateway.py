# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway as a scenario sees it: verbs that act, waits that wait, and the state of its kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.kernel.sad import Sad
from harness.kernel.spd import Spd
from harness.lab.background import Background
from harness.lab.station import Station
from harness.network.process import Completed
from harness.peers.console.in_node import console_on
from harness.peers.console.verbs import SeilConsole
from harness.peers.contract import ChildSa, DataPlane, IkeSa, NegotiationFailed

T = TypeVar("T")

WITHIN = 10.0
"""Seconds of lab time that a wait lasts unless the scenario says otherwise."""


@dataclass(frozen=True)
class Gateway:
    """One end of a connection: its daemon, its kernel, its node. Blocks the scenario, not the lab.

    All `within` are in seconds of lab time. Waits raise `NotSeen`, an assertion error that says
    what was seen instead.
    """

    name: str
    _station: Station
    _background: Background

    # What it can be told to do.

    def initiate(self, child: str, within: float = WITHIN) -> ChildSa:
        """Bring a CHILD_SA up and return it; raises `NegotiationFailed`."""
        return self._background.run(self._station.initiate(child, within))

    def fails_to_initiate(self, child: str, within: float = WITHIN) -> str:
        """Try to bring a CHILD_SA up that must not come up, and return the daemon's reason.

        Raises AssertionError when it does come up.
        """
        try:
            came_up = self.initiate(child, within)
        except NegotiationFailed as failure:
            return str(failure)
        raise AssertionError(f"{self.name}: {came_up} came up, though the two ends do not agree")

    def rekey_child(self, child: str) -> None:
        """Start the rekeying of a CHILD_SA now."""
        self._background.run(self._station.running.rekey_child(child))

    def rekey_ike(self, name: str) -> None:
        """Start the rekeying of an IKE SA now."""
        self._background.run(self._station.running.rekey_ike(name))

    def delete_child(self, child: str, within: float = WITHIN) -> None:
        """Delete a CHILD_SA, and return when it is gone here."""
        self._background.run(self._station.running.terminate_child(child, within))

    def delete_ike(self, name: str, within: float = WITHIN) -> None:
        """Delete an IKE SA with all its children, and return when it is gone here."""
        self._background.run(self._station.running.terminate_ike(name, within))

    def stop(self) -> None:
        """End the daemon as its supervisor would, with deletes."""
        self._background.run(self._station.running.stop())

    def crash(self) -> None:
        """Kill the daemon: no delete, no clean-up."""
        self._background.run(self._station.running.crash())

    def start_again(self) -> None:
        """Start the daemon once more, with the configuration that it had, after it has ended."""
        self._background.run(self._station.start_again())

    def run(self, *argv: str, check: bool = True) -> Completed:
        """Run a program in the node and return what it printed; raises CommandFailed."""
        return self._background.run(self._station.node.run(argv, check=check))

    def ip_xfrm(self, command: str) -> str:
        """Run an ``ip xfrm`` command line, as a person would, and return what it printed.

        Raises CommandFailed with the kernel's own words.
        """
        return self.run("ip", "xfrm", *command.split()).stdout.decode()

    # A scripted daemon.

    def act(self, work: Callable[[Any, float], T], version: int = 2) -> T:
        """Do something with the engine of a scripted daemon, and return once all is done.

        `work` is given the engine of that IKE version and the instant, as `Held.release` wants
        them. Raises `PeerError` for a daemon that is not scripted.
        """
        return self._background.run(self._station.scripted.act(work, version))

    def until(self, condition: Callable[[], bool], within: float = WITHIN) -> None:
        """Return as soon as a condition holds, which each message of a scripted daemon may change.

        It is called on the lab's loop. Raises AssertionError when it does not hold in time.
        """
        self._background.run(self._station.scripted.until(condition, within))

    def await_observed(
        self, *kinds: type[Any], ike: bytes | None = None, after: int = 0, within: float = WITHIN
    ) -> Any:
        """The first event of these kinds of a scripted daemon's engines, past `after` of them.

        `ike` is the daemon's own SPI (or cookie) of the IKE SA that it is about, None for any.
        """
        scripted = self._station.scripted

        def found() -> list[Any]:
            told = (event for event in scripted.observed if isinstance(event, kinds))
            return [event for event in told if ike in (None, _own_spi(event))][after:]

        def condition() -> bool:
            return bool(found())

        condition.__name__ = f"{' or '.join(kind.__name__ for kind in kinds)}, number {after + 1},"
        self._background.run(scripted.until(condition, within))
        return self._background.call(found)[0]

    @property
    def observed(self) -> Sequence[Any]:
        """Every event of a scripted daemon's engines so far, in order."""
        return self._background.call(lambda: tuple(self._station.scripted.observed))

    @contextmanager
    def console(self) -> Iterator[SeilConsole]:
        """The console of a gateway's ikelabd, as a router's administrator has it, on a terminal.

        Raises `PeerError` where the daemon is none that has a console.
        """
        terminal = self._background.run(self._station.open_console())
        with console_on(terminal, self.name) as console:
            yield console

    # What can be waited for.

    def await_up(
        self, child: str, within: float = WITHIN, *, inbound: int | None = None
    ) -> ChildSa:
        """The CHILD_SA of that name, as soon as it is up; the first one, or that of an SPI."""
        return self._background.run(self._station.child_up(child, within, inbound=inbound))

    def await_rekeyed(self, old: ChildSa, within: float = WITHIN) -> ChildSa:
        """The CHILD_SA that replaces `old`, as soon as it does."""
        return self._background.run(self._station.rekeyed(old, within))

    def await_deleted(self, old: ChildSa, within: float = WITHIN) -> None:
        """Return when neither half of a CHILD_SA is left on this gateway."""
        self._background.run(self._station.deleted(old, within))

    def await_ike_down(
        self, name: str, within: float = WITHIN, *, initiator_spi: int | None = None
    ) -> IkeSa:
        """The IKE SA of that name, as soon as it is gone; the first one, or that of an SPI."""
        return self._background.run(self._station.ike_down(name, within, initiator_spi))

    def await_ike_rekeyed(self, old: IkeSa, within: float = WITHIN) -> IkeSa:
        """The IKE SA that replaces `old`, as soon as it does."""
        return self._background.run(self._station.ike_rekeyed(old, within))

    def await_soft_expire(self, spi: int, within: float = WITHIN) -> float:
        """Seconds from an SA's installation to the kernel's soft EXPIRE (XFRM_MSG_EXPIRE)."""
        return self._background.run(self._station.soft_expire(spi, within))

    def seconds_from_rekey_to_deletion(self, old: ChildSa, spi: int) -> float:
        """Seconds between the replacement of `old` and the removal of one half of it, by SPI.

        The kernel told of both. Raises AssertionError when either has not happened.
        """
        return self._background.call(self._station.rekey_to_deletion, old, spi)

    # What is there now.

    def sas(self) -> Sequence[IkeSa]:
        """The IKE SAs with their children, as the daemon lists them."""
        return self._background.run(self._station.running.sas())

    def settle(self) -> None:
        """Return when the daemon has dealt with every message that it has read so far."""
        self._background.run(self._station.running.settled())

    @property
    def data_plane(self) -> DataPlane:
        """Who does ESP here."""
        return self._station.data_plane

    def sad(self) -> Sad:
        """The kernel's SAs."""
        return self._background.run(self._station.sad())

    def spd(self) -> Spd:
        """The kernel's policies."""
        return self._background.run(self._station.spd())

    def statistic(self, name: str) -> int:
        """One of the kernel's XFRM counters by its name, ``XfrmInTmplMismatch``."""
        return self._station.statistics()[name]


def _own_spi(event: Any) -> bytes | None:
    """The SPI in an event of an IKEv2 engine, the cookie in one of an IKEv1 engine."""
    found: bytes | None = getattr(event, "ike", getattr(event, "isakmp", None))
    return found
