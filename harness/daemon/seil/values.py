# SPDX-License-Identifier: GPL-2.0-or-later
"""The values of a SEIL configuration; what is none is a ValueError that says what would be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TypeVar

from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    KEY_EXCHANGES,
    PRFS,
    Encryption,
    Integrity,
    KeyExchange,
    Prf,
)
from harness.ike.v1.configuration import LifetimeCheck, Phase1Mode
from harness.ike.v1.identity import Identity, address_identity, name_identity

T = TypeVar("T")
Algorithm = TypeVar("Algorithm", Encryption, Integrity, Prf, KeyExchange)

INTERFACE = re.compile(r"(?:ge|ipsec)(?:0|[1-9]\d?)")
LONGEST = 0xFFFFFFFF
"""What a lifetime's four octets can say."""

_AMOUNT = re.compile(r"([1-9]\d{0,9})([KMG])", re.IGNORECASE)
_KILOBYTES = {"K": 1, "M": 1024, "G": 1024 * 1024}
_HOST = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_.-]{0,253}[0-9A-Za-z_])?")
_USER = re.compile(r"[0-9A-Za-z_.+-]{1,64}@" + _HOST.pattern)
_DIGITS = re.compile(r"[0-9.]+")


def _named(records: Iterable[Algorithm]) -> dict[str, Algorithm]:
    return {record.names.seil: record for record in records if record.names.seil is not None}


_CIPHERS = _named(ENCRYPTIONS)


def one_of(table: Mapping[str, T]) -> Callable[[str], T]:
    """A reader of one of these words, as they are written."""

    def read(text: str) -> T:
        try:
            return table[text]
        except KeyError:
            raise ValueError(f"{shown(text)} is not one of {', '.join(table)}") from None

    return read


PHASE1_ENCRYPTION = one_of({n: r for n, r in _CIPHERS.items() if r.phase1_id is not None})
PHASE2_ENCRYPTION = one_of(_CIPHERS)
HASH = one_of(_named(PRFS))
AUTHENTICATION = one_of(_named(INTEGRITIES))
GROUP = one_of(_named(KEY_EXCHANGES))
OPTIONAL_GROUP = one_of({"none": None, **_named(KEY_EXCHANGES)})
MODE = one_of({mode.value: mode for mode in Phase1Mode})
CHECK = one_of({check.value: check for check in LifetimeCheck})
SWITCH = one_of({"enable": True, "disable": False})
NAT = one_of({name: name for name in ("enable", "disable", "force")})
ID_TYPE = one_of({name: name for name in ("address", "fqdn", "user-fqdn")})


def shown(text: str) -> str:
    """The text quoted for a message, shortened where it is long."""
    return repr(shortened(text))


def shortened(text: str) -> str:
    """The text as far as a message can take it."""
    return text if len(text) <= 60 else text[:57] + "..."


def address(text: str) -> str:
    """An IPv4 address."""
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError(f"{shown(text)} is no IPv4 address such as 10.0.0.1") from None


def address_and_mask(text: str) -> str:
    """An interface's own address with the length of its network's prefix."""
    try:
        found = IPv4Interface(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is no address such as 192.168.1.1/24") from None
    if "/" not in text:
        raise ValueError(f"{text} has no prefix length; write one, such as {text}/24")
    return str(found)


def network(text: str) -> str:
    """A network."""
    if text == "default":
        return "0.0.0.0/0"
    try:
        found = IPv4Interface(text).network
    except ValueError:
        raise ValueError(f"{shown(text)} is no network such as 192.168.2.0/24") from None
    try:
        return str(IPv4Network(text))
    except ValueError:
        raise ValueError(f"{text} has bits of a host; the network is {found}") from None


def address_or_interface(text: str) -> str:
    """An address, or the name of an interface of the router."""
    if INTERFACE.fullmatch(text):
        return text
    try:
        return address(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is neither an address such as 10.0.0.1 nor an interface such as ge0"
        ) from None


def number(least: int, most: int, what: str) -> Callable[[str], int]:
    """A reader of whole numbers in a range."""

    def read(text: str) -> int:
        # ASCII only, and never so long that it is slow to convert.
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise ValueError(f"{shown(text)} is no number of {what} from {least} to {most}")
        return int(text)

    return read


SECONDS = number(1, LONGEST, "seconds")


def kilobytes(text: str) -> int:
    """An amount in units of 1024 octets, 0 for no limit."""
    if text == "none":
        return 0
    found = _AMOUNT.fullmatch(text)
    amount = int(found[1]) * _KILOBYTES[found[2].upper()] if found else 0
    if not 1 <= amount <= LONGEST:
        raise ValueError(f"{shown(text)} is no amount such as 512K, 100M or 4G, and not none")
    return amount


def secret(text: str) -> bytes:
    """A preshared key, as it stands."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("the key has characters other than those of printable ASCII")
    return text.encode()


def address_identifier(text: str) -> Identity:
    """An address as an identity."""
    return address_identity(address(text))


def host_identifier(text: str) -> Identity:
    """A fully qualified domain name as an identity."""
    if not _HOST.fullmatch(text):
        raise ValueError(f"{shown(text)} is no host name such as router.example.org")
    return name_identity(text)


def user_identifier(text: str) -> Identity:
    """A user's name at a host as an identity."""
    if not _USER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name such as user@example.org")
    return name_identity(text)


def identity(text: str) -> Identity:
    """An identity of the type that it looks like."""
    if "@" in text:
        return user_identifier(text)
    return address_identifier(text) if _DIGITS.fullmatch(text) else host_identifier(text)
