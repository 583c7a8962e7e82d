#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Handshakes in memory, a second on one core, beside the bare cryptography that they need.

Of IKEv2 it is IKE_SA_INIT and IKE_AUTH with a CHILD_SA (X25519, AES-GCM, PSK), of IKEv1 Main Mode
and Quick Mode (modp2048, AES-CBC, SHA-256, PSK); both ends and all messages. The bare cost is what
their calls to the `cryptography` library, to HMAC and of modular powers take alone: the ratio says
how much of the time is the protocol. Fails below what the project demands.

    ci/bench/handshakes.py [SECONDS]
"""

from __future__ import annotations

import hmac
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from harness.ike.address import Address
from harness.ike.chance import from_randomness
from harness.ike.key_exchange import initiate
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1 import configuration as v1
from harness.ike.v1.endpoint import Endpoint as EndpointV1
from harness.ike.v1.events import IpsecSaInstalled
from harness.ike.v1.identity import address_identity, subnet_identity
from harness.ike.v2.connection import ChildConfig, Connection, Identity, SharedKey
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.events import ChildSaInstalled
from harness.ike.v2.suites import ChildProposal, IkeProposal

# Counted with a profiler: what the two ends call of HMAC, prf+ blocks included.
HMACS_V1, HMACS_V2 = 30, 28
MOON, SUN = Address("192.0.2.1"), Address("192.0.2.2")
MODP = key_exchange("MODP_2048")


@dataclass(frozen=True)
class Contest:
    """A kind of handshake: what is demanded a second, and how many are timed at once."""

    name: str
    demanded: int
    batch: int
    bare: Callable[[int], None]
    whole: Callable[[int], None]


def connections_v2() -> tuple[Connection, Connection]:
    gcm = encryption("AES_GCM_16_128")
    ike = IkeProposal((gcm,), (prf("HMAC_SHA2_256"),), (key_exchange("X25519"),))
    left, right = (TrafficSelector.of(ip_network(f"10.{n}.0.0/16")) for n in (1, 2))
    child = ChildConfig("net", (ChildProposal((gcm,)),), (left,), (right,))
    moon, sun = Identity.of("moon.example"), Identity.of("sun.example")
    key = SharedKey(b"an example key of no value")
    mine = Connection("gw", (ike,), moon, key, key, (child,), SUN, sun)
    other = replace(child, local=(right,), remote=(left,))
    return mine, replace(mine, local_id=sun, remote=None, remote_id=moon, children=(other,))


def connections_v1() -> tuple[v1.Connection, v1.Connection]:
    cbc = (encryption("AES_CBC_256"),)
    phase1 = v1.Phase1(cbc, (prf("HMAC_SHA2_256"),), (MODP,))
    left, right = (subnet_identity(f"10.{n}.0.0/16") for n in (1, 2))
    key = v1.PreSharedKey(b"an example key of no value")
    ids = address_identity(MOON.host), address_identity(SUN.host)
    child = v1.Child("net", left, right, cbc)
    mine = v1.Connection("gw", MOON, SUN, key, *ids, phase1=phase1, children=(child,))
    other = replace(child, local=right, remote=left)
    return mine, replace(
        mine,
        local=SUN,
        remote=MOON,
        local_identity=ids[1],
        remote_identity=ids[0],
        children=(other,),
    )


def handshakes_v2(count: int) -> None:
    """That many handshakes between two fresh endpoints."""
    mine, yours = connections_v2()
    draw = from_randomness(os.urandom)
    ends = (Endpoint(MOON, (mine,), draw), Endpoint(SUN, (yours,), draw))
    for _ in range(count):
        ends[0].commands.initiate("gw", 0.0)
        talk(ends)
        if not all(any(isinstance(e, ChildSaInstalled) for e in end.events()) for end in ends):
            raise RuntimeError("a handshake did not complete")


def handshakes_v1(count: int) -> None:
    """That many handshakes, each between two fresh endpoints: a second one would be a rekeying."""
    mine, yours = connections_v1()
    draw = from_randomness(os.urandom)
    for _ in range(count):
        ends = (EndpointV1((mine,), draw), EndpointV1((yours,), draw))
        ends[0].initiate("gw", "net", 0.0)
        talk(ends)
        if not all(any(isinstance(e, IpsecSaInstalled) for e in end.events()) for end in ends):
            raise RuntimeError("a handshake did not complete")


def talk(ends: tuple[Endpoint, Endpoint] | tuple[EndpointV1, EndpointV1]) -> None:
    """Hand over what the two have to say until neither has anything left."""
    said = True
    while said:
        said = False
        for end, other in (ends, ends[::-1]):
            for datagram in end.datagrams():
                said = True
                other.receive(datagram.data, datagram.source, 0.0, datagram.destination)


def bare_v2(count: int) -> None:
    """The cryptography of that many handshakes of IKEv2 and nothing else."""
    key, nonce, text = bytes(16), bytes(12), bytes(200)
    for _ in range(count):
        one, other = (X25519PrivateKey.from_private_bytes(os.urandom(32)) for _ in range(2))
        one.exchange(other.public_key())
        other.exchange(one.public_key())
        for _ in range(HMACS_V2):
            hmac.digest(text[:32], text, "sha256")
        for _ in range(2):
            sealed = AESGCM(key).encrypt(nonce, text, text)
            AESGCM(key).decrypt(nonce, sealed, text)


def bare_v1(count: int) -> None:
    """The cryptography of that many of IKEv1, but for AES: it is a hundredth of the powers."""
    text = bytes(200)
    for _ in range(count):
        one, other = (initiate(MODP, os.urandom) for _ in range(2))
        one.agree(other.public)
        other.agree(one.public)
        for _ in range(HMACS_V1):
            hmac.digest(text[:32], text, "sha256")


CONTESTS = (
    Contest("IKEv2, X25519, AES-GCM, PSK", 300, 50, bare_v2, handshakes_v2),
    Contest("IKEv1 Main and Quick, modp2048, PSK", 60, 10, bare_v1, handshakes_v1),
)


def rate(verb: Callable[[int], None], batch: int, seconds: float) -> float:
    """How many a second, the best of five slices of the time."""
    verb(batch)
    best = 0.0
    for _ in range(5):
        done = 0
        started = time.process_time()
        while (spent := time.process_time() - started) < seconds / 5:
            verb(batch)
            done += batch
        best = max(best, done / spent)
    return best


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    slow = []
    print(f"{'handshakes, both ends':<40}{'bare':>10}{'complete':>12}{'to bare':>10}{'wanted':>9}")
    for one in CONTESTS:
        bare = rate(one.bare, one.batch, seconds)
        whole = rate(one.whole, one.batch, seconds)
        print(f"{one.name:<40}{bare:>10,.0f}{whole:>12,.0f}{whole / bare:>9.2f}x{one.demanded:>9}")
        if whole < one.demanded:
            slow.append(f"{one.name}: {whole:,.0f} a second")
    if slow:
        print(f"Below what is demanded: {'; '.join(slow)}.")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
