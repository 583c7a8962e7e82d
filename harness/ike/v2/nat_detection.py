# SPDX-License-Identifier: GPL-2.0-or-later
"""NAT detection: hashes of what each end believes the addresses to be (RFC 7296 2.23)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1

from harness.ike.address import Address, Path
from harness.ike.constants_v2 import NotifyType
from harness.ike.payload import Payload, every
from harness.ike.payloads_v2 import Notify


@dataclass(frozen=True, slots=True)
class NatSituation:
    """Which ends a NAT translates, and whether the peer could tell at all."""

    local: bool = False
    remote: bool = False
    supported: bool = False

    @property
    def present(self) -> bool:
        """Whether there is a NAT at either end, so that ESP goes in UDP."""
        return self.local or self.remote


def address_hash(spi_i: bytes, spi_r: bytes, address: Address) -> bytes:
    """SHA-1 of SPIs, IP address and port: the data of both NAT_DETECTION notifies."""
    octets = spi_i + spi_r + address.packed + address.port.to_bytes(2, "big")
    return sha1(octets, usedforsecurity=False).digest()


def detection_notifies(spi_i: bytes, spi_r: bytes, path: Path) -> tuple[Notify, Notify]:
    """Source and destination notify for a message that goes along `path`."""
    return (
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, address_hash(spi_i, spi_r, path.local)),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, address_hash(spi_i, spi_r, path.remote)),
    )


def situation(payloads: Iterable[Payload], spi_i: bytes, spi_r: bytes, path: Path) -> NatSituation:
    """What the notifies of a received message say, where `path` is the one it came along."""
    notifies = every(payloads, Notify)
    sources = _data(notifies, NotifyType.NAT_DETECTION_SOURCE_IP)
    destinations = _data(notifies, NotifyType.NAT_DETECTION_DESTINATION_IP)
    if not sources or not destinations:
        return NatSituation()
    return NatSituation(
        local=address_hash(spi_i, spi_r, path.local) not in destinations,
        remote=address_hash(spi_i, spi_r, path.remote) not in sources,
        supported=True,
    )


def _data(notifies: Iterable[Notify], kind: int) -> tuple[bytes, ...]:
    return tuple(notify.data for notify in notifies if notify.notify_type == kind)
