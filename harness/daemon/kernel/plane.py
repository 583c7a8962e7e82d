# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP by the kernel: SAs and policies over NETLINK_XFRM, and what the kernel tells of them."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

from harness.daemon.data_plane import (
    Acquired,
    DataPlaneError,
    Expired,
    PeerMoved,
    PlaneListener,
    Route,
)
from harness.daemon.kernel.policies import Claim, Policies, Rank
from harness.daemon.kernel.sas import inbound_sa, outbound_sa
from harness.daemon.kernel.selectors import TooManySelectors, kernel_selectors
from harness.daemon.sa_pair import SaPair
from harness.ike.address import Address, Path
from harness.kernel.errors import XfrmError
from harness.kernel.events import Acquire, Expire, MappingChanged
from harness.kernel.policy import Template
from harness.kernel.sa import SecurityAssociation
from harness.kernel.selector import Selector
from harness.kernel.socket import XfrmSocket
from harness.kernel.telling import Told, kind_of, read

_HEEDED = (Acquire, Expire, MappingChanged)
_GONE = (errno.ESRCH, errno.ENOENT)


@dataclass(slots=True)
class _Installed:
    """A pair in the kernel; `sends` is whether its outbound half is there."""

    pair: SaPair
    sends: bool = False


class KernelPlane:
    """A `DataPlane` in the network namespace that its socket was made in."""

    def __init__(self, xfrm: XfrmSocket, listener: PlaneListener) -> None:
        self._xfrm = xfrm
        self._listener = listener
        self._policies = Policies(xfrm)
        self._pairs: dict[int, _Installed] = {}
        self._reqids: set[int] = set()

    async def start(self) -> None:
        """Take the SAD and the SPD over, and tell the listener what the kernel says of them.

        Whatever a daemon that crashed has left there is removed: nobody would ever rekey it.
        """
        async with _explained("emptying the SAD and the SPD"):
            await self._xfrm.flush()
        await self._xfrm.record(self._take)

    async def install(self, pair: SaPair, *, outbound: bool) -> None:
        """See DataPlane."""
        async with _explained(f"installing {pair.name}"):
            await self._xfrm.add_sa(inbound_sa(pair))
            installed = self._pairs[pair.inbound.spi] = _Installed(pair)
            inward, outward = _selectors(pair)
            receives = Claim(_owner(pair), Rank.CARRYING, _inbound_template(pair))
            for direction in ("in",) if pair.transport else ("in", "fwd"):
                await self._policies.claim(inward, direction, receives)
            waits = Claim(_owner(pair), Rank.WAITING, _outbound_template(pair, 0))
            if outbound:
                await self._send_with(installed)
            else:
                await self._policies.claim(outward, "out", waits)

    async def switch(self, inbound_spi: int) -> None:
        """See DataPlane."""
        installed = self._pairs.get(inbound_spi)
        if installed is not None and not installed.sends:
            async with _explained(f"sending with {installed.pair.name}"):
                await self._send_with(installed)

    async def retire(self, inbound_spi: int) -> None:
        """See DataPlane."""
        installed = self._pairs.get(inbound_spi)
        if installed is None or not installed.sends:
            return
        pair = installed.pair
        async with _explained(f"retiring {pair.name}"):
            waits = Claim(_owner(pair), Rank.WAITING, _outbound_template(pair, 0))
            await self._policies.claim(_selectors(pair)[1], "out", waits)
            installed.sends = False
            await self._delete(outbound_sa(pair))

    async def remove(self, inbound_spi: int) -> None:
        """See DataPlane."""
        installed = self._pairs.pop(inbound_spi, None)
        if installed is None:
            return
        pair = installed.pair
        async with _explained(f"removing {pair.name}"):
            await self._policies.release(_owner(pair))
            if installed.sends:
                await self._delete(outbound_sa(pair))
            await self._delete(inbound_sa(pair))

    async def move(self, inbound_spi: int, path: Path, *, encapsulated: bool) -> None:
        """See DataPlane.

        The kernel knows an SA by its destination, so that one that moves is made anew, with the
        counters of the old one.
        """
        installed = self._pairs.get(inbound_spi)
        if installed is None:
            return
        old = installed.pair
        if (old.path, old.encapsulated) == (path, encapsulated):
            return
        pair = replace(old, path=path, encapsulated=encapsulated)
        async with _explained(f"moving {pair.name}"):
            await self._replace(inbound_sa(old), inbound_sa(pair))
            if installed.sends:
                # A packet that asks for the SPI in between would get a larval SA that occupies it.
                waits = Claim(_owner(old), Rank.WAITING, _outbound_template(old, 0))
                await self._policies.claim(_selectors(old)[1], "out", waits)
                await self._replace(outbound_sa(old), outbound_sa(pair))
            installed.pair = pair
            inward, outward = _selectors(pair)
            receives = Claim(_owner(pair), Rank.CARRYING, _inbound_template(pair))
            for direction in ("in",) if pair.transport else ("in", "fwd"):
                await self._policies.claim(inward, direction, receives)
            rank = Rank.CARRYING if installed.sends else Rank.WAITING
            spi = pair.outbound.spi if installed.sends else 0
            sends = Claim(_owner(pair), rank, _outbound_template(pair, spi))
            await self._policies.claim(outward, "out", sends)

    async def protect(self, route: Route) -> None:
        """See DataPlane."""
        async with _explained(f"protecting {route.name}"):
            try:
                outward = kernel_selectors(route.local, route.remote)
                inward = kernel_selectors(route.remote, route.local)
            except TooManySelectors as error:
                raise DataPlaneError(f"{route.name}: {error}") from None
            self._reqids.add(route.reqid)
            owner = f"route {route.reqid}"
            there = _template(route.path, route.reqid, 0, route.transport, outbound=True)
            back = _template(route.path, route.reqid, 0, route.transport, outbound=False)
            for direction in ("in",) if route.transport else ("in", "fwd"):
                claim = Claim(owner, Rank.WAITING, back)
                await self._policies.claim(inward, direction, claim)
            await self._policies.claim(outward, "out", Claim(owner, Rank.WAITING, there))

    async def unprotect(self, reqid: int) -> None:
        """See DataPlane."""
        self._reqids.discard(reqid)
        async with _explained(f"forgetting route {reqid}"):
            await self._policies.release(f"route {reqid}")

    async def carried(self, inbound_spi: int) -> tuple[int, int]:
        """See DataPlane."""
        installed = self._pairs.get(inbound_spi)
        if installed is None:
            return 0, 0
        received = await self._octets(inbound_sa(installed.pair))
        sent = await self._octets(outbound_sa(installed.pair)) if installed.sends else 0
        return received, sent

    def receive_encapsulated(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        """The kernel takes ESP out of UDP itself: what still comes here has an unknown SPI."""

    async def close(self) -> None:
        """See DataPlane."""
        try:
            for spi in tuple(self._pairs):
                await self.remove(spi)
            async with _explained("removing the policies"):
                await self._policies.close()
        finally:
            self._xfrm.close()

    async def _send_with(self, installed: _Installed) -> None:
        pair = installed.pair
        await self._xfrm.add_sa(outbound_sa(pair))
        installed.sends = True
        sends = Claim(_owner(pair), Rank.CARRYING, _outbound_template(pair, pair.outbound.spi))
        await self._policies.claim(_selectors(pair)[1], "out", sends)

    async def _replace(self, old: SecurityAssociation, new: SecurityAssociation) -> None:
        try:
            now = await self._xfrm.get_sa(old)
        except XfrmError as error:
            if error.errno in _GONE:
                return
            raise
        await self._xfrm.delete_sa(old)
        await self._xfrm.add_sa(replace(new, replay=replace(now.replay, window=new.replay.window)))

    async def _delete(self, sa: SecurityAssociation) -> None:
        try:
            await self._xfrm.delete_sa(sa)
        except XfrmError as error:
            # It reached its hard lifetime, or somebody flushed the SAD.
            if error.errno not in _GONE:
                raise

    async def _octets(self, sa: SecurityAssociation) -> int:
        try:
            return (await self._xfrm.get_sa(sa)).current.bytes
        except XfrmError as error:
            if error.errno in _GONE:
                return 0
            raise DataPlaneError(str(error)) from error

    def _take(self, told: Told) -> None:
        # Most of what the kernel tells is what was asked of it here.
        if not issubclass(kind_of(told), _HEEDED):
            return
        match read(told):
            case Acquire(templates=templates):
                for template in templates:
                    if template.reqid in self._known_reqids():
                        self._listener(Acquired(template.reqid))
                        return
            case Expire(hard, sa):
                if self._is_ours(sa.spi):
                    self._listener(Expired(sa.spi, hard))
            case MappingChanged(sa=sa_id, new_source=source, new_port=port):
                if sa_id.spi in self._pairs:
                    self._listener(PeerMoved(sa_id.spi, Address(str(source), port)))

    def _known_reqids(self) -> set[int]:
        return self._reqids | {installed.pair.reqid for installed in self._pairs.values()}

    def _is_ours(self, spi: int) -> bool:
        return spi in self._pairs or any(
            installed.pair.outbound.spi == spi for installed in self._pairs.values()
        )


def _owner(pair: SaPair) -> str:
    return f"pair {pair.inbound.spi:08x}"


def _selectors(pair: SaPair) -> tuple[tuple[Selector, ...], tuple[Selector, ...]]:
    try:
        return kernel_selectors(pair.remote, pair.local), kernel_selectors(pair.local, pair.remote)
    except TooManySelectors as error:
        raise DataPlaneError(f"{pair.name}: {error}") from None


def _inbound_template(pair: SaPair) -> Template:
    return _template(pair.path, pair.reqid, 0, pair.transport, outbound=False)


def _outbound_template(pair: SaPair, spi: int) -> Template:
    return _template(pair.path, pair.reqid, spi, pair.transport, outbound=True)


def _template(path: Path, reqid: int, spi: int, transport: bool, *, outbound: bool) -> Template:
    ends = (path.local, path.remote) if outbound else (path.remote, path.local)
    source, destination = (ip_address(end.host) for end in ends)
    mode = "transport" if transport else "tunnel"
    return Template(source, destination, "esp", mode, reqid, spi)


@asynccontextmanager
async def _explained(doing: str) -> AsyncIterator[None]:
    try:
        yield
    except XfrmError as error:
        raise DataPlaneError(f"{doing}: {error}") from error
