# SPDX-License-Identifier: GPL-2.0-or-later
"""A security association of the kernel's SAD (RFC 4301 section 4.4.2) and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.kernel.addresses import ANY, Address, family_of
from harness.kernel.algorithms import Algorithm
from harness.kernel.lifetimes import NO_LIFETIMES, UNUSED, Lifetimes, Usage
from harness.kernel.numbers import NO_EXTRA_FLAGS, NO_SA_FLAGS, SaExtraFlag, SaFlag
from harness.kernel.plain import fields_of
from harness.kernel.replay import NO_REPLAY, Replay
from harness.kernel.selector import Selector

KEYED = ("esp", "ah", "comp")
"""The protocols whose SAs have an algorithm as soon as they are more than a reservation."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A firewall mark as a selector: a packet matches when its mark under `mask` is `value`."""

    value: int
    mask: int = 0xFFFFFFFF

    def as_json(self) -> dict[str, int]:
        """The mark as plain values."""
        return fields_of(self)


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """UDP or TCP around ESP (RFC 3948, RFC 8229): "espinudp", "espinudp-nonike" or "espintcp"."""

    type: str
    source_port: int
    destination_port: int
    original_address: Address = ANY

    def __str__(self) -> str:
        return f"{self.type} from port {self.source_port} to port {self.destination_port}"

    def as_json(self) -> dict[str, Any]:
        """The encapsulation as plain values."""
        return fields_of(self) | {"original_address": str(self.original_address)}


@dataclass(frozen=True, slots=True)
class Faults:
    """What the kernel refused on this SA: packets outside the window, replayed, not authentic."""

    outside_window: int = 0
    replayed: int = 0
    not_authentic: int = 0

    def as_json(self) -> dict[str, int]:
        """The counters as plain values."""
        return fields_of(self)


NO_FAULTS = Faults()


@dataclass(frozen=True, slots=True)
class SaId:
    """What identifies an SA in the SAD: SPI in host order, destination and protocol, and mark."""

    spi: int
    destination: Address
    protocol: str = "esp"
    mark: Mark | None = None

    def __str__(self) -> str:
        return f"{self.protocol} SA 0x{self.spi:08x} to {self.destination}"


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """One unidirectional SA as the kernel holds it.

    SPI in host order (of IPComp: the CPI). `protocol` and `mode` are iproute2's words: "esp", "ah",
    "comp"; "tunnel", "transport", "beet". An SA has either `aead`, or `encryption` and `integrity`
    or one of them, or `compression`; with none of these it is a reservation (`larval`). `selector`
    None leaves the choice to the kernel, which takes all traffic of the SA's own IP version.
    `output_mark` is set on packets that the SA has been applied to. `direction` is "in" or "out"
    where it was given (Linux 6.10 and later). `care_of` is the care-of address that an SA of Mobile
    IPv6 puts in (RFC 6275). `last_used` is in seconds of the epoch.
    Raises ValueError when the two addresses are not of one IP version.
    """

    spi: int
    source: Address
    destination: Address
    protocol: str = "esp"
    mode: str = "tunnel"
    reqid: int = 0
    selector: Selector | None = None
    encryption: Algorithm | None = None
    integrity: Algorithm | None = None
    aead: Algorithm | None = None
    compression: Algorithm | None = None
    lifetimes: Lifetimes = NO_LIFETIMES
    current: Usage = UNUSED
    replay: Replay = NO_REPLAY
    esn: bool = False
    flags: SaFlag = NO_SA_FLAGS
    extra_flags: SaExtraFlag = NO_EXTRA_FLAGS
    mark: Mark | None = None
    output_mark: Mark | None = None
    if_id: int | None = None
    encapsulation: Encapsulation | None = None
    statistics: Faults = NO_FAULTS
    acquire_sequence: int = 0
    direction: str | None = None
    tfc_padding: int = 0
    care_of: Address | None = None
    last_used: int | None = None

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(f"an SA from {self.source} to {self.destination} mixes IPv4 and IPv6")

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6, of the outer addresses."""
        return family_of(self.destination)

    @property
    def id(self) -> SaId:
        """What identifies it in the SAD."""
        return SaId(self.spi, self.destination, self.protocol, self.mark)

    @property
    def larval(self) -> bool:
        """Whether it only reserves an SPI or a negotiation: it has no algorithm yet."""
        return self.protocol in KEYED and not (
            self.encryption or self.integrity or self.aead or self.compression
        )

    @property
    def established(self) -> bool:
        """Whether it can protect packets: the opposite of `larval`."""
        return not self.larval

    def __str__(self) -> str:
        return f"{self.protocol} SA 0x{self.spi:08x} from {self.source} to {self.destination}"

    def as_json(self) -> dict[str, Any]:
        """The SA as plain values: addresses as text, keys in hexadecimal, flags as a list."""
        return {
            "spi": self.spi,
            "source": str(self.source),
            "destination": str(self.destination),
            "protocol": self.protocol,
            "mode": self.mode,
            "reqid": self.reqid,
            "selector": _json(self.selector),
            "encryption": _json(self.encryption),
            "integrity": _json(self.integrity),
            "aead": _json(self.aead),
            "compression": _json(self.compression),
            "lifetimes": self.lifetimes.as_json(),
            "current": self.current.as_json(),
            "replay": self.replay.as_json(),
            "esn": self.esn,
            "flags": [flag.name for flag in self.flags],
            "extra_flags": [flag.name for flag in self.extra_flags],
            "mark": _json(self.mark),
            "output_mark": _json(self.output_mark),
            "if_id": self.if_id,
            "encapsulation": _json(self.encapsulation),
            "statistics": self.statistics.as_json(),
            "acquire_sequence": self.acquire_sequence,
            "direction": self.direction,
            "tfc_padding": self.tfc_padding,
            "care_of": str(self.care_of) if self.care_of else None,
            "last_used": self.last_used,
            "larval": self.larval,
        }

    def keys_as_json(self) -> dict[str, Any]:
        """What reading its packets takes, as `as_json` has it: no lifetimes, no counters."""
        return {
            "spi": self.spi,
            "source": str(self.source),
            "destination": str(self.destination),
            "protocol": self.protocol,
            "mode": self.mode,
            "reqid": self.reqid,
            "encryption": _json(self.encryption),
            "integrity": _json(self.integrity),
            "aead": _json(self.aead),
            "replay": {"seq_hi": self.replay.seq_hi, "oseq_hi": self.replay.oseq_hi},
            "esn": self.esn,
            "encapsulation": _json(self.encapsulation),
        }


def _json(part: Any) -> Any:
    return None if part is None else part.as_json()
