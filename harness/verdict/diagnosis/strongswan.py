# SPDX-License-Identifier: GPL-2.0-or-later
"""What strongSwan's two dialects have in common: names, and what charon takes for granted.

`ipsec_conf` and `swanctl_conf` read and spell them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from harness.verdict.diagnosis.alternatives import NONE, Alternative, Alternatives, Aspect, SaKind
from harness.verdict.diagnosis.methods import signatures_of
from harness.verdict.diagnosis.strongswan_proposals import (
    UnknownProposal,
    read_proposal,
    write_proposal,
)
from harness.verdict.diagnosis.wishes import Value

PSK = "pre-shared key"

DEFAULT_CHILD = (
    "aes128gcm16-aes192gcm16-aes256gcm16",
    "aes128-aes192-aes256-sha256-sha384-sha512-sha1-aesxcbc",
)
"""What charon proposes and accepts for ESP unless told otherwise, as its log lists it."""

_DEFAULT_REST = (
    "prfsha256-prfsha384-prfsha512-prfaesxcbc-prfaescmac-prfsha1"
    "-ecp256-ecp384-ecp521-ecp256bp-ecp384bp-ecp512bp-x25519-x448"
    "-modp3072-modp4096-modp6144-modp8192-modp2048"
)
DEFAULT_IKE = (
    "aes128-aes192-aes256-aes128ctr-aes192ctr-aes256ctr-camellia128-camellia192-camellia256-3des"
    f"-sha256-sha384-sha512-sha1-aescmac-aesxcbc-{_DEFAULT_REST}",
    "aes128gcm16-aes192gcm16-aes256gcm16-aes128ccm16-aes192ccm16-aes256ccm16-chacha20poly1305"
    "-aes128gcm12-aes192gcm12-aes256gcm12-aes128gcm8-aes192gcm8-aes256gcm8"
    f"-aes128ccm12-aes192ccm12-aes256ccm12-aes128ccm8-aes192ccm8-aes256ccm8-{_DEFAULT_REST}",
)
"""The same for IKE, with the plugins that the lab gives it and without Camellia's CTR and CCM."""

_KINDS: Mapping[int, tuple[SaKind, ...]] = MappingProxyType(
    {
        1: (SaKind.ISAKMP_SA, SaKind.IPSEC_SA),
        2: (SaKind.IKE_SA, SaKind.CHILD_SA, SaKind.LATER_CHILD_SA),
    }
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_TIME = re.compile(r"(\d+)\s*([smhd]?)")


def alternatives_of(
    versions: Iterable[int],
    ike: Iterable[str],
    child: Iterable[str],
    *,
    mode: str,
    method: str,
    certificate: str | None,
) -> dict[SaKind, Alternatives]:
    """What these proposals stand for, for every kind of SA that the versions have.

    The end's own certificate says with what it signs.

    A proposal with a word that is no algorithm is left out: the daemon itself refuses it.
    """
    found: dict[SaKind, Alternatives] = {}
    authentication = PSK if method == "psk" else signatures_of(certificate)
    wanted = {True: tuple(ike), False: tuple(child)}
    for version in versions:
        for kind in _KINDS.get(version, ()):
            read = (_read(text, kind) for text in wanted[kind.protects_ike])
            found[kind] = tuple(
                _completed(one, kind, mode, authentication) for one in read if one is not None
            )
    return {kind: listed for kind, listed in found.items() if listed}


def _read(text: str, kind: SaKind) -> Alternative | None:
    try:
        return read_proposal(text, kind)
    except UnknownProposal:
        return None


def _completed(one: Alternative, kind: SaKind, mode: str, authentication: str) -> Alternative:
    """With what IKEv1 negotiates in a transform and strongSwan configures elsewhere."""
    if kind is SaKind.ISAKMP_SA:
        return one.with_choices({Aspect.AUTHENTICATION: (authentication,)})
    if kind is SaKind.IPSEC_SA:
        return one.with_choices({Aspect.MODE: (mode,)})
    return one


def proposals_text(value: Value) -> str | None:
    """Alternatives as a list of proposals, or None where strongSwan cannot say them."""
    written = []
    for one in value if isinstance(value, tuple) else ():
        if not isinstance(one, Alternative):
            return None
        text = write_proposal(one)
        if text is None or one[Aspect.ENCRYPTION] == (NONE,):
            return None
        written.append(text)
    return ",".join(written) or None


def seconds(text: str) -> int:
    """A time as strongSwan writes it, `10800s` or `3h`; 0 for what is none."""
    found = _TIME.fullmatch(text.strip())
    return int(found.group(1)) * _UNITS[found.group(2)] if found else 0


def words(text: str) -> tuple[str, ...]:
    """The parts of a list with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def network(text: str) -> str:
    """A traffic selector without what narrows it to a protocol or port: `10.1.0.0/16[tcp]`."""
    return text.partition("[")[0].strip()


def addresses(text: str) -> tuple[str, ...]:
    """The addresses of an end; none for a wildcard."""
    return tuple(one for one in words(text) if not one.startswith(("%", "0.0.0.0")))


def unquoted(text: str) -> str:
    """A value without the quotes around it."""
    stripped = text.strip()
    if len(stripped) >= 2 and stripped[0] == stripped[-1] == '"':
        return stripped[1:-1]
    return stripped


def secret_octets(text: str) -> bytes:
    """A pre-shared key as charon reads it: `0x…` is hexadecimal, `0s…` Base64."""
    from base64 import b64decode

    value = unquoted(text)
    try:
        if value[:2].lower() == "0x":
            return bytes.fromhex(value[2:])
        if value[:2].lower() == "0s":
            return b64decode(value[2:])
    except ValueError:
        pass
    return value.encode()
