# SPDX-License-Identifier: GPL-2.0-or-later
"""The secrets of a run: what decrypts its IKE messages and its ESP, and checks its AH.

`Secrets` is one frozen store; `Gathering` collects it from many sources. The readers of sources
are `wireshark_tables`, `strongswan_log` and `kernel_sas`. A secret of which a source does not say
which SA it belongs to is a candidate: its SPIs or cookie are None until a message of the capture
proves it. No secret appears in a `repr`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

from harness.ike.transforms import Encryption, Integrity

ANY_ADDRESS = "*"


@dataclass(frozen=True, slots=True)
class IkeV1Secret:
    """The key of an ISAKMP SA (RFC 2409 section 5 and appendix B).

    `cookie` is the initiator's, 8 octets, or None where the source does not say. `key` is Ka.
    `initial_iv` is that of phase 1 where known. `skeyid` and `skeyid_a`, where known, let the
    HASH payloads be checked.
    """

    cookie: bytes | None
    key: bytes = field(repr=False)
    initial_iv: bytes = field(default=b"", repr=False)
    skeyid: bytes = field(default=b"", repr=False)
    skeyid_a: bytes = field(default=b"", repr=False)
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class IkeV2Secret:
    """The keys of an IKE SA (RFC 7296 section 2.14), those of combined algorithms with salt.

    `spi_i` and `spi_r` are None in a candidate, `encryption` where only the negotiation says it.
    `unchecked_icv` is the size in octets of an ICV that nothing can check. `pi` and `pr`, where
    known, let AUTH payloads be checked.
    """

    spi_i: bytes | None
    spi_r: bytes | None
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    ai: bytes = field(default=b"", repr=False)
    ar: bytes = field(default=b"", repr=False)
    encryption: Encryption | None = None
    integrity: Integrity | None = None
    unchecked_icv: int = 0
    origin: str = field(default="", compare=False)
    pi: bytes = field(default=b"", repr=False, compare=False)
    pr: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A pre-shared key that an end was configured with; `holder` is its node."""

    secret: bytes = field(repr=False)
    holder: str
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class IpsecSecret:
    """The keys of one direction of an ESP or AH SA, as RFC 4301 section 4.4.2 identifies it.

    `spi` is in host order. `source` and `destination` are addresses, networks, or patterns with
    `*`. `encryption` is None for AH. `esn` and `encapsulated` (in UDP) are None where unknown,
    `mode` is empty then. `high` is the upper half of the first sequence number that is expected.
    """

    spi: int
    destination: str = ANY_ADDRESS
    source: str = ANY_ADDRESS
    protocol: Literal["esp", "ah"] = "esp"
    encryption: Encryption | None = None
    encryption_key: bytes = field(default=b"", repr=False)
    integrity: Integrity | None = None
    integrity_key: bytes = field(default=b"", repr=False)
    unchecked_icv: int = 0
    esn: bool | None = None
    high: int = 0
    mode: str = ""
    encapsulated: bool | None = None
    origin: str = field(default="", compare=False)

    def serves(self, source: str, destination: str) -> bool:
        """Whether packets between these two addresses may belong to it."""
        return address_matches(self.destination, destination) and address_matches(
            self.source, source
        )


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything that is known, in the order in which it was gathered, nothing twice."""

    ike_v1: tuple[IkeV1Secret, ...] = ()
    ike_v2: tuple[IkeV2Secret, ...] = ()
    ipsec: tuple[IpsecSecret, ...] = ()
    shared: tuple[SharedSecret, ...] = ()

    def joined(self, *others: Secrets) -> Secrets:
        """The secrets of this store and of the others.

        Where two tell of one IKE SA, by the same keys, what only one of them knows is kept.
        """
        stores = (self, *others)
        return Secrets(
            _united((one for store in stores for one in store.ike_v1), _united_v1),
            _united((one for store in stores for one in store.ike_v2), _united_v2),
            tuple(dict.fromkeys(one for store in stores for one in store.ipsec)),
            tuple(dict.fromkeys(one for store in stores for one in store.shared)),
        )

    def __len__(self) -> int:
        """How many SAs there are keys for."""
        return len(self.ike_v1) + len(self.ike_v2) + len(self.ipsec)


NO_SECRETS = Secrets()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source held, and one sentence for each part of it that could not be used."""

    secrets: Secrets = NO_SECRETS
    problems: tuple[str, ...] = ()

    def joined(self, *others: Reading) -> Reading:
        """What this source and the others held."""
        return Reading(
            self.secrets.joined(*(other.secrets for other in others)),
            self.problems + tuple(one for other in others for one in other.problems),
        )


class Gathering:
    """Collects secrets, one source after the other; `reading` is what came together."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []

    def take(self, reading: Reading) -> None:
        """Add what one source held."""
        self._readings.append(reading)

    def reading(self) -> Reading:
        """The one store of all sources, and all their problems."""
        return Reading().joined(*self._readings)


T = TypeVar("T", IkeV1Secret, IkeV2Secret)


def _united(secrets: Iterable[T], unite: Callable[[T, T], T | None]) -> tuple[T, ...]:
    """Each secret once, at the place where it came first."""
    found: dict[bytes, list[T]] = {}
    order: list[tuple[bytes, int]] = []
    for one in secrets:
        # Keys of 16 octets and more are nobody else's by chance.
        key = one.key if isinstance(one, IkeV1Secret) else one.ei + one.er
        same = found.setdefault(key, [])
        for place, before in enumerate(same):
            both = unite(before, one)
            if both is not None:
                same[place] = both
                break
        else:
            order.append((key, len(same)))
            same.append(one)
    return tuple(found[key][place] for key, place in order)


def _united_v1(one: IkeV1Secret, other: IkeV1Secret) -> IkeV1Secret | None:
    """What both know of one SA, None where they are of two."""
    if None not in (one.cookie, other.cookie) and one.cookie != other.cookie:
        return None
    return _filled(one, other, ("cookie", "initial_iv", "skeyid", "skeyid_a"))


def _united_v2(one: IkeV2Secret, other: IkeV2Secret) -> IkeV2Secret | None:
    """What both know of one SA, None where they are of two."""
    spis = (one.spi_i, one.spi_r), (other.spi_i, other.spi_r)
    if (None, None) not in spis and spis[0] != spis[1]:
        return None
    if (one.ai, one.ar) != (other.ai, other.ar):
        return None
    algorithms = (one.encryption, one.integrity), (other.encryption, other.integrity)
    if None not in (one.encryption, other.encryption) and algorithms[0] != algorithms[1]:
        return None
    names = ("spi_i", "spi_r", "encryption", "integrity", "unchecked_icv", "pi", "pr")
    return _filled(one, other, names)


def _filled(one: T, other: T, names: tuple[str, ...]) -> T:
    """The one, with what it lacks from the other."""
    lacking = {name: getattr(other, name) for name in names if not getattr(one, name)}
    return replace(one, **lacking)


def bound_v1(secret: IkeV1Secret, cookie: bytes) -> IkeV1Secret:
    """The candidate, now that a message proved which SA it belongs to."""
    return replace(secret, cookie=cookie)


def address_matches(pattern: str, address: str) -> bool:
    """Whether an address is the one, or in the network, or of the pattern with `*` given.

    Any spelling of an address will do; what is no pattern at all matches nothing.
    """
    if pattern in (ANY_ADDRESS, "", address):
        return True
    if "*" in pattern:
        return fnmatchcase(address, pattern.lower())
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False
