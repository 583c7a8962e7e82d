# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to come protected does not come in clear (RFC 4301 section 5.2).

A TUN device sees only what was protected. What comes in clear goes past it to the host, so it is
for the host's packet filter to drop it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from harness.daemon.data_plane import DataPlaneError
from harness.daemon.userspace.flow import ICMP, ICMPV6, OPAQUE, WITH_PORTS
from harness.ike.traffic_selectors import TrafficSelector

CLONE_NEWNET = 0x40000000

# IKE, ESP and finding one's neighbor go in clear to this host itself, and nothing through it.
_TABLE = """
table inet {name}
delete table inet {name}
table inet {name} {{
  chain protected {{ }}
  chain input {{
    type filter hook input priority -150; policy accept;
    iifname {{ "lo", "{name}" }} accept
    meta l4proto 50 accept
    udp dport {{ 500, 4500 }} accept
    icmpv6 type {{ 133, 134, 135, 136, 137 }} accept
    jump protected
  }}
  chain forward {{
    type filter hook forward priority -150; policy accept;
    iifname "{name}" accept
    jump protected
  }}
}}
"""
_ANY_PORT = (0, 65535)
_LIBC = ctypes.CDLL(None, use_errno=True)

Pairing = tuple[TrafficSelector, TrafficSelector]
"""Where traffic comes from and goes to."""


class Guard:
    """A table of nftables, called as a TUN device, in the network namespace that the thread is in.

    Everything raises DataPlaneError. The table of a killed process keeps its traffic out until
    another one starts.
    """

    def __init__(self, device: str) -> None:
        self._name = device
        self._network = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._wanted: Counter[Pairing] = Counter()
        self._handles: dict[Pairing, int] = {}
        self._started = False

    async def start(self) -> None:
        """Make the table, which lets everything pass so far, and remove those of killed ones."""
        await self.remove_killed()
        await self._nft(_TABLE.format(name=self._name))
        self._started = True

    async def remove_killed(self) -> None:
        """Remove the tables whose devices are gone."""
        with _entered(self._network):
            devices = {name for _, name in socket.if_nameindex()}
        tables = await self._nft("list tables")
        for left in re.findall(r"^table inet (ikelab\d+)$", tables, re.MULTILINE):
            if left not in devices:
                await self._nft(f"delete table inet {left}")

    async def block(self, pairings: Iterable[Pairing]) -> None:
        """Drop what comes in clear between these, once more for each time that it is said.

        All or nothing.
        """
        done: list[Pairing] = []
        try:
            for pairing in pairings:
                match = _match(*pairing)
                if match and not self._wanted[pairing]:
                    rule = f"add rule inet {self._name} protected {match} drop"
                    self._handles[pairing] = _handle(await self._nft(rule))
                self._wanted[pairing] += 1
                done.append(pairing)
        except DataPlaneError:
            await self.release(done)
            raise

    async def release(self, pairings: Iterable[Pairing]) -> None:
        """Take back a `block`."""
        for pairing in pairings:
            self._wanted[pairing] -= 1
            if not self._wanted[pairing]:
                del self._wanted[pairing]
                handle = self._handles.pop(pairing, None)
                if handle is not None:
                    await self._nft(f"delete rule inet {self._name} protected handle {handle}")

    def strict_interfaces(self) -> list[str]:
        """The interfaces that drop what comes from where their own routes do not lead.

        That is RFC 3704's strict filter, of IPv4. A peer whose address is itself protected has a
        route into the TUN device, so that nothing of it would come in any more.
        """
        with _entered(self._network):
            found = {
                path.parent.name: int(path.read_text())
                for path in sorted(Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter"))
            }
        of_all = found.pop("all", 0)
        others = {"default", "lo", self._name}
        return [one for one, own in found.items() if max(of_all, own) == 1 and one not in others]

    async def close(self) -> None:
        """Remove the table; closing twice is fine."""
        if self._started:
            self._started = False
            await self._nft(f"delete table inet {self._name}")
        self.abandon()

    def abandon(self) -> None:
        """Let go of the network, and leave the table where there is one."""
        if self._network >= 0:
            os.close(self._network)
            self._network = -1

    async def _nft(self, commands: str) -> str:
        """Run nftables' commands in the network namespace; returns what they echo.

        That is in a thread: packets need not wait until a program has started and ended.
        """
        return await asyncio.to_thread(self._run, commands)

    def _run(self, commands: str) -> str:
        argv = ["nft", "--echo", "--handle", "--file", "-"]
        try:
            with _entered(self._network):
                done = subprocess.run(argv, input=commands, capture_output=True, text=True)
        except OSError as error:
            raise DataPlaneError(
                f"What comes in clear cannot be kept out: nft did not start ({error.strerror}); "
                "install nftables"
            ) from error
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise DataPlaneError(
                f"What comes in clear cannot be kept out: nftables says "
                f"{said[0] if said else done.returncode}"
            )
        return done.stdout


def _match(source: TrafficSelector, destination: TrafficSelector) -> str:
    """The rule's condition; empty where the two selectors have nothing in common."""
    if len(source.start) != len(destination.start):
        return ""
    protocols = {source.protocol, destination.protocol} - {0}
    if len(protocols) > 1:
        return ""
    family = "ip" if len(source.start) == 4 else "ip6"
    words = [
        f"{family} saddr {_range(source)}",
        f"{family} daddr {_range(destination)}",
    ]
    for protocol in protocols:
        words.append(f"meta l4proto {protocol}")
        if protocol in WITH_PORTS:
            words += _ports("sport", source) + _ports("dport", destination)
        elif protocol in (ICMP, ICMPV6):
            words += _ports("sport", source) + _ports("sport", destination)
    return " ".join(words)


def _range(selector: TrafficSelector) -> str:
    first, last = ip_address(selector.start), ip_address(selector.end)
    return str(first) if first == last else f"{first}-{last}"


def _ports(which: str, selector: TrafficSelector) -> list[str]:
    """A port, or where ports would be: there ICMP has type * 256 + code (RFC 7296 3.13.1)."""
    ports = selector.start_port, selector.end_port
    if ports in (_ANY_PORT, OPAQUE):
        return []
    first, last = ports
    return [f"th {which} {first}" if first == last else f"th {which} {first}-{last}"]


def _handle(echoed: str) -> int:
    found = re.search(r"# handle (\d+)$", echoed, re.MULTILINE)
    if found is None:
        raise DataPlaneError("What comes in clear cannot be kept out: nftables names no rule")
    return int(found[1])


@contextlib.contextmanager
def _entered(network: int) -> Iterator[None]:
    """Put the calling thread into a network namespace; no await may be inside."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(network)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)


def _enter(network: int) -> None:
    if _LIBC.setns(network, CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
