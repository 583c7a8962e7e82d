# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of one IKE SA with the algorithms that they are for (RFC 7296 2.14)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.ike.keys import IkeKeys, SaOrigin, additional_skeyseed, ike_keys, skeyseed
from harness.ike.protection import Protection, protection
from harness.ike.transforms import Prf
from harness.ike.v2.suites import Suite

IkeSecrets = IkeKeys
"""The seven SK_ keys, as a key log wants them; their `repr` shows none."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Suite, origin and keys of an IKE SA; immutable, so that a rekey makes another."""

    suite: Suite
    prf: Prf
    origin: SaOrigin
    keys: IkeKeys

    def protections(self, *, initiator: bool) -> tuple[Protection, Protection]:
        """Outbound and inbound protection for the original initiator or the responder."""
        first = protection(self.suite.encryption, self.keys.ei, self.suite.integrity, self.keys.ai)
        second = protection(self.suite.encryption, self.keys.er, self.suite.integrity, self.keys.ar)
        return (first, second) if initiator else (second, first)

    def after_key_exchange(self, shared: bytes) -> KeySet:
        """The keys after an additional key exchange in IKE_INTERMEDIATE (RFC 9370 2.2.2)."""
        origin = self.origin
        seed = additional_skeyseed(self.prf, self.keys.d, shared, origin.nonce_i, origin.nonce_r)
        return key_set(self.suite, self.prf, origin, seed)


def first_key_set(suite: Suite, prf: Prf, origin: SaOrigin, shared: bytes) -> KeySet:
    """The keys after IKE_SA_INIT."""
    return key_set(suite, prf, origin, skeyseed(prf, origin.nonce_i, origin.nonce_r, shared))


def key_set(suite: Suite, prf: Prf, origin: SaOrigin, seed: bytes) -> KeySet:
    """The keys that SKEYSEED gives."""
    return KeySet(
        suite, prf, origin, ike_keys(prf, suite.encryption, suite.integrity, seed, origin)
    )
