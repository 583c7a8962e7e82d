# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages decoded and encoded a second on one core, beside scapy in the same run.

    python ci/bench/codec.py [SECONDS]

Each row repeats for SECONDS (default 1) over 64 messages that differ in SPIs, nonces and public
values, as a peer's do. "new transforms" empties the memory of transforms before every message,
which is the worst case: nobody's proposal was ever seen before. scapy's numbers are for its
dissection of the same octets with every layer reached. Exits 1 below 30,000 decoded messages a
second.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scapy.contrib.ikev2 import IKEv2
from scapy.layers.isakmp import ISAKMP
from scapy.packet import Packet

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike import sa_v1, sa_v2
from harness.ike.wire import VERSION_1, VERSION_2, Message, decode, encode

DEMANDED = 30_000
MESSAGES = 64


def main_mode_1(random_: random.Random) -> Message:
    """SEIL's: six transforms of six or seven attributes, four vendor ids; 360 octets."""
    transforms: list[v1.Transform] = []
    for cipher, bits in ((7, 256), (7, 128), (5, None)):
        for hash_ in (4, 2):
            attributes = [
                v1.Attribute(11, 1),
                v1.Attribute.shortest(12, 86400),
                v1.Attribute(1, cipher),
                *([] if bits is None else [v1.Attribute(14, bits)]),
                v1.Attribute(3, 1),
                v1.Attribute(2, hash_),
                v1.Attribute(4, 5),
            ]
            transforms.append(v1.Transform(len(transforms) + 1, 1, tuple(attributes)))
    return Message(
        VERSION_1,
        2,
        random_.randbytes(8),
        payloads=(
            v1.SecurityAssociation((v1.Proposal(1, 1, b"", tuple(transforms)),)),
            *(v1.VendorId(random_.randbytes(16)) for _ in range(4)),
        ),
    )


def ike_sa_init(random_: random.Random) -> Message:
    """strongSwan's: one proposal, X25519, and the five notifies of today; 268 octets."""
    of = v2.Transform.of
    transforms = (of(1, 20, 256), of(1, 20, 128), of(2, 5), of(2, 7), of(4, 31), of(4, 19))
    return Message(
        VERSION_2,
        34,
        random_.randbytes(8),
        flags=8,
        payloads=(
            v2.SecurityAssociation((v2.Proposal(1, 1, b"", transforms),)),
            v2.KeyExchange(31, random_.randbytes(32)),
            v2.Nonce(random_.randbytes(32)),
            v2.Notify(16388, random_.randbytes(20)),
            v2.Notify(16389, random_.randbytes(20)),
            v2.Notify(16430),
            v2.Notify(16431, bytes.fromhex("0002000300040005")),
            v2.Notify(16406),
        ),
    )


def sealed(random_: random.Random) -> Message:
    """An IKE_AUTH request as a decryptor first meets it."""
    message = ike_sa_init(random_)
    return replace(
        message, exchange=35, payloads=(v2.Encrypted(35, random_.randbytes(200)),), message_id=1
    )


def reach_all_layers(packet: object) -> None:
    """Scapy dissects a payload's fields when the packet is made; this walks what it made."""
    while packet:
        packet = packet.payload  # type: ignore[attr-defined]


def decode_new_transforms(octets: bytes) -> None:
    sa_v1._read_small.cache_clear()
    sa_v2._read_small.cache_clear()
    decode(octets)


def rate(verb: Callable[[Any], object], objects: Sequence[Any], seconds: float) -> float:
    """How many objects a second `verb` takes, the best of five slices of the time."""
    for each in objects:
        verb(each)
    best = 0.0
    for _ in range(5):
        done = 0
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds / 5:
            for each in objects:
                verb(each)
            done += len(objects)
        best = max(best, done / spent)
    return best


def dissect(layer: type[Packet], octets: bytes) -> None:
    """Have scapy read a message down to its last layer."""
    reach_all_layers(layer(octets))


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    random_ = random.Random(2408)
    kinds: tuple[tuple[str, Callable[[random.Random], Message], type[Packet]], ...] = (
        ("IKEv1 Main Mode 1", main_mode_1, ISAKMP),
        ("IKEv2 IKE_SA_INIT", ike_sa_init, IKEv2),
        ("IKEv2 SK", sealed, IKEv2),
    )
    print(f"{'message':<20}{'octets':>8}{'verb':>26}{'a second':>12}{'to scapy':>10}")
    slowest = float("inf")
    for name, make, layer in kinds:
        messages = [make(random_) for _ in range(MESSAGES)]
        datagrams = [encode(message) for message in messages]
        scapy = rate(partial(dissect, layer), datagrams, seconds)
        rows: list[tuple[str, Callable[[Any], object], Sequence[Any]]] = [
            ("decode", decode, datagrams),
            ("decode, new transforms", decode_new_transforms, datagrams),
            ("encode", encode, messages),
        ]
        for verb, function, objects in rows:
            found = rate(function, objects, seconds)
            if verb == "decode":
                slowest = min(slowest, found)
            print(
                f"{name:<20}{len(datagrams[0]):>8}{verb:>26}{found:>12,.0f}{found / scapy:>9.0f}x"
            )
        print(f"{name:<20}{len(datagrams[0]):>8}{'scapy dissect':>26}{scapy:>12,.0f}{1:>9}x")
    if slowest < DEMANDED:
        print(f"the slowest decoding is {slowest:,.0f} a second; {DEMANDED:,} are demanded")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
