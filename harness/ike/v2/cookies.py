# SPDX-License-Identifier: GPL-2.0-or-later
"""Cookies that let a responder stay stateless under a flood of IKE_SA_INIT (RFC 7296 2.6)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from harness.ike.address import Address
from harness.ike.chance import Draw, Purpose

_SECRET_SIZE = 32
_DIGEST = "sha256"


@dataclass(frozen=True, slots=True)
class _Secret:
    version: int
    octets: bytes = field(repr=False)
    since: float


class CookieJar:
    """Makes cookies and knows its own again; holds two secrets and nothing about any initiator."""

    def __init__(self, draw: Draw, lifetime: float = 60.0) -> None:
        self._draw = draw
        self._lifetime = lifetime
        self._current: _Secret | None = None
        self._previous: _Secret | None = None

    def bake(self, nonce: bytes, spi_i: bytes, source: Address, now: float) -> bytes:
        """The cookie for an initiator: a version octet and a MAC of what its request shows."""
        secret = self._fresh(now)
        return bytes([secret.version]) + _mac(secret, nonce, spi_i, source)

    def knows(self, cookie: bytes, nonce: bytes, spi_i: bytes, source: Address, now: float) -> bool:
        """Whether this jar made the cookie for that initiator within the last two lifetimes."""
        self._fresh(now)
        for secret in (self._current, self._previous):
            if secret is not None and cookie[:1] == bytes([secret.version]):
                return hmac.compare_digest(cookie[1:], _mac(secret, nonce, spi_i, source))
        return False

    def _fresh(self, now: float) -> _Secret:
        current = self._current
        if current is None or now - current.since >= self._lifetime:
            version = 0 if current is None else (current.version + 1) % 256
            # A secret that nobody replaced in time does not get a second life.
            young = current is not None and now - current.since < 2 * self._lifetime
            self._previous = current if young else None
            current = _Secret(version, self._draw(Purpose.COOKIE, _SECRET_SIZE), now)
            self._current = current
        return current


def _mac(secret: _Secret, nonce: bytes, spi_i: bytes, source: Address) -> bytes:
    who = f"{source.host} {source.port}".encode()
    return hmac.digest(secret.octets, spi_i + len(who).to_bytes(2, "big") + who + nonce, _DIGEST)
