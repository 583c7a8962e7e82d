# SPDX-License-Identifier: GPL-2.0-or-later
"""Every key of a SEIL configuration that ikelabd takes, and what to say about others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

from harness.daemon.seil import values as v
from harness.ike.v1.identity import Identity

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """A key with ``[]`` in place of each number, and what reads its value."""

    shape: str
    read: Callable[[str], T]

    def at(self, *names: str) -> str:
        """The key with names in place of its parts with numbers, from the left: ``ipsec0``."""
        parts = self.shape.split(".")
        numbered = (at for at, part in enumerate(parts) if part.endswith("[]"))
        for at, name in zip(numbered, names, strict=False):
            parts[at] = name
        return ".".join(parts)


TUNNEL = "interface.ipsec[]."
_PHASE1 = f"{TUNNEL}ike.proposal.phase1."
_PHASE2 = f"{TUNNEL}ike.proposal.phase2."

ROUTE_DESTINATION = Key("route.ipv4.[].destination", v.network)
ROUTE_GATEWAY = Key("route.ipv4.[].gateway", v.address_or_interface)
ADDRESS = Key("interface.ge[].ipv4.address", v.address_and_mask)
TUNNEL_ADDRESS = Key(f"{TUNNEL}ipv4.address", v.address_and_mask)
DPD_INTERVAL = Key("ike.dpd-interval", v.number(1, 3600, "seconds"))
DPD_MAXFAIL = Key("ike.dpd-maxfail", v.number(1, 100, "unanswered questions"))

PRESHARED_KEY = Key(f"{TUNNEL}preshared-key", v.secret)
SOURCE = Key(f"{TUNNEL}ipv4.source", v.address_or_interface)
DESTINATION = Key(f"{TUNNEL}ipv4.destination", v.address)
RESPONDER_ONLY = Key(f"{TUNNEL}responder-only", v.SWITCH)
NAT_TRAVERSAL = Key(f"{TUNNEL}nat-traversal", v.NAT)
EXCHANGE_MODE = Key(f"{TUNNEL}ike.exchange-mode", v.MODE)
CHECK_LEVEL = Key(f"{TUNNEL}ike.check-level", v.CHECK)
INITIAL_CONTACT = Key(f"{TUNNEL}ike.initial-contact", v.SWITCH)
DPD = Key(f"{TUNNEL}ike.dpd", v.SWITCH)

PHASE1_ENCRYPTION = Key(f"{_PHASE1}encryption.[].algorithm", v.PHASE1_ENCRYPTION)
PHASE1_HASH = Key(f"{_PHASE1}hash.[].algorithm", v.HASH)
PHASE1_GROUP = Key(f"{_PHASE1}dh-group", v.GROUP)
PHASE1_LIFETIME = Key(f"{_PHASE1}lifetime", v.SECONDS)
PHASE2_ENCRYPTION = Key(f"{_PHASE2}encryption.[].algorithm", v.PHASE2_ENCRYPTION)
PHASE2_AUTHENTICATION = Key(f"{_PHASE2}authentication.[].algorithm", v.AUTHENTICATION)
PHASE2_GROUP = Key(f"{_PHASE2}pfs-group", v.OPTIONAL_GROUP)
PHASE2_SECONDS = Key(f"{_PHASE2}lifetime-of-time", v.SECONDS)
PHASE2_KILOBYTES = Key(f"{_PHASE2}lifetime-of-byte", v.kilobytes)
PROXY_LOCAL = Key(f"{_PHASE2}proxy-id.ipv4.local", v.network)
PROXY_REMOTE = Key(f"{_PHASE2}proxy-id.ipv4.remote", v.network)


@dataclass(frozen=True, slots=True)
class IdentifierKeys:
    """An identity, in one line (`bare`) or with its type and the value of that type."""

    bare: Key[Identity]
    type: Key[str]
    address: Key[Identity]
    fqdn: Key[Identity]
    user_fqdn: Key[Identity]

    @classmethod
    def of(cls, name: str) -> IdentifierKeys:
        """The keys of ``my-identifier`` or ``peers-identifier``."""
        stem = f"{TUNNEL}ike.{name}"
        return cls(
            Key(stem, v.identity),
            Key(f"{stem}.type", v.ID_TYPE),
            Key(f"{stem}.address", v.address_identifier),
            Key(f"{stem}.fqdn", v.host_identifier),
            Key(f"{stem}.user-fqdn", v.user_identifier),
        )


MY_IDENTIFIER = IdentifierKeys.of("my-identifier")
PEERS_IDENTIFIER = IdentifierKeys.of("peers-identifier")

_ALL: tuple[Key[object], ...] = (
    *(ROUTE_DESTINATION, ROUTE_GATEWAY, ADDRESS, TUNNEL_ADDRESS, DPD_INTERVAL, DPD_MAXFAIL),
    *(PRESHARED_KEY, SOURCE, DESTINATION, RESPONDER_ONLY, NAT_TRAVERSAL),
    *(EXCHANGE_MODE, CHECK_LEVEL, INITIAL_CONTACT, DPD),
    *(PHASE1_ENCRYPTION, PHASE1_HASH, PHASE1_GROUP, PHASE1_LIFETIME),
    *(PHASE2_ENCRYPTION, PHASE2_AUTHENTICATION, PHASE2_GROUP, PHASE2_SECONDS, PHASE2_KILOBYTES),
    *(PROXY_LOCAL, PROXY_REMOTE),
    *(
        key
        for one in (MY_IDENTIFIER, PEERS_IDENTIFIER)
        for key in (one.bare, one.type, one.address, one.fqdn, one.user_fqdn)
    ),
)

KEYS: Mapping[str, Key[object]] = {key.shape: key for key in _ALL}
"""Every key by its shape."""

_NOT_HERE: Mapping[str, str] = {
    "interface.ipsec[].ipv6.": "ikelabd has no SEIL tunnel over or for IPv6; use the ipv4 keys",
    "interface.ipsec[].mtu": "ikelabd leaves the MTU to the data plane; remove the line",
    "interface.ipsec[].tcp-mss": "ikelabd does not rewrite TCP's MSS; remove the line",
    "interface.ipsec[].ipv4.tcp-mss": "ikelabd does not rewrite TCP's MSS; remove the line",
    f"{_PHASE2}proxy-id.ipv6.": "ikelabd has proxy-id for IPv4 only; remove the line",
    "ipsec.": "ikelabd has no IPsec by policy for a SEIL; configure interface.ipsec[] instead",
    "ike.peer.": "ikelabd has IKE by interface only; configure interface.ipsec[].ike instead",
    "ike.proposal.": "ikelabd has proposals by interface; use interface.ipsec[].ike.proposal",
    "route.ipv6.": "ikelabd routes IPv4 only for a SEIL; remove the line",
    "hostname": "ikelabd takes its name from the host that it runs on; remove the line",
}


def remedy(shape: str) -> str:
    """A sentence about a key that is not in `KEYS`; `shape` has ``[]`` for numbers."""
    for prefix, why in _NOT_HERE.items():
        if shape.startswith(prefix):
            return why
    close = get_close_matches(shape, KEYS, n=1, cutoff=0.8)
    if close:
        return f"there is no such key; did you mean {close[0]}?"
    if shape.partition(".")[0] in ("route", "interface", "ike"):
        return "there is no such key"
    return "ikelabd is no router beyond IPsec and knows nothing of this; remove the line"
