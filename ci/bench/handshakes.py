#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 handshakes in memory, a second on one core, beside the bare cryptography that they need.

A handshake is IKE_SA_INIT and IKE_AUTH with a CHILD_SA (X25519, AES-GCM, PSK), both ends and all
four messages. The bare cost is what its calls to the `cryptography` library and to HMAC take alone:
the ratio says how much of the time is the protocol. Fails below what the project demands.

    ci/bench/handshakes.py [SECONDS]
"""

from __future__ import annotations

import hmac
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from harness.ike.address import Address
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v2.chance import from_randomness
from harness.ike.v2.connection import ChildConfig, Connection, Identity, SharedKey
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.events import ChildSaInstalled
from harness.ike.v2.suites import ChildProposal, IkeProposal

DEMANDED = 300
BATCH = 50
# Counted with a profiler: prf and prf+ blocks of both ends, and the four sealings and openings.
HMACS = 28
MOON, SUN = Address("192.0.2.1"), Address("192.0.2.2")


def connections() -> tuple[Connection, Connection]:
    gcm = encryption("AES_GCM_16_128")
    ike = IkeProposal((gcm,), (prf("HMAC_SHA2_256"),), (key_exchange("X25519"),))
    left, right = (TrafficSelector.of(ip_network(f"10.{n}.0.0/16")) for n in (1, 2))
    child = ChildConfig("net", (ChildProposal((gcm,)),), (left,), (right,))
    moon, sun = Identity.of("moon.example"), Identity.of("sun.example")
    key = SharedKey(b"an example key of no value")
    mine = Connection("gw", (ike,), moon, key, key, (child,), SUN, sun)
    other = replace(child, local=(right,), remote=(left,))
    return mine, replace(mine, local_id=sun, remote=None, remote_id=moon, children=(other,))


def handshakes(count: int) -> None:
    """That many handshakes between two fresh endpoints."""
    mine, yours = connections()
    draw = from_randomness(os.urandom)
    ends = (Endpoint(MOON, (mine,), draw), Endpoint(SUN, (yours,), draw))
    moon, sun = ends
    for _ in range(count):
        moon.commands.initiate("gw", 0.0)
        for _ in range(2):
            for datagram in moon.datagrams():
                sun.receive(datagram.data, datagram.source, 0.0, datagram.destination)
            for datagram in sun.datagrams():
                moon.receive(datagram.data, datagram.source, 0.0, datagram.destination)
        if not all(any(isinstance(e, ChildSaInstalled) for e in end.events()) for end in ends):
            raise RuntimeError("a handshake did not complete")


def bare(count: int) -> None:
    """The cryptography of that many handshakes and nothing else."""
    key, nonce, text = bytes(16), bytes(12), bytes(200)
    for _ in range(count):
        one, other = (X25519PrivateKey.from_private_bytes(os.urandom(32)) for _ in range(2))
        one.exchange(other.public_key())
        other.exchange(one.public_key())
        for _ in range(HMACS):
            hmac.digest(text[:32], text, "sha256")
        for _ in range(2):
            sealed = AESGCM(key).encrypt(nonce, text, text)
            AESGCM(key).decrypt(nonce, sealed, text)


def rate(verb: Callable[[int], None], seconds: float) -> float:
    """How many a second, the best of five slices of the time."""
    verb(BATCH)
    best = 0.0
    for _ in range(5):
        done = 0
        started = time.process_time()
        while (spent := time.process_time() - started) < seconds / 5:
            verb(BATCH)
            done += BATCH
        best = max(best, done / spent)
    return best


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    crypto, whole = rate(bare, seconds), rate(handshakes, seconds)
    print(f"{'IKEv2, X25519, AES-GCM, PSK':<40}{'a second':>12}{'to bare':>10}")
    print(f"{'X25519, HMAC and AES-GCM alone':<40}{crypto:>12,.0f}{1:>9.2f}x")
    print(f"{'complete handshakes, both ends':<40}{whole:>12,.0f}{whole / crypto:>9.2f}x")
    if whole < DEMANDED:
        print(f"{whole:,.0f} handshakes a second; {DEMANDED} are demanded")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
