# SPDX-License-Identifier: GPL-2.0-or-later
"""Octets that a hostile or broken sender might send, all of them from one source of chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

CORPUS = Path(__file__).resolve().parents[1] / "ike" / "corpus"
EDGES = (0, 1, 2, 3, 4, 7, 8, 27, 28, 29, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF)
LONGEST = 3000
KINDS_V1 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 20, 21, 130, 131, 132, 255)
KINDS_V2 = (0, 2, *range(33, 55), 255)


def corpus() -> dict[str, bytes]:
    """The kept inputs by name: whole UDP payloads that were, or look, hard to take."""
    return {
        path.stem: bytes.fromhex("".join(line.partition("#")[0] for line in path.open()))
        for path in sorted(CORPUS.glob("*.hex"))
    }


KEPT = tuple(corpus().values())


def hostile(random: Random, valid: Sequence[bytes]) -> bytes:
    """An input: a valid one that was changed, or one that never was valid."""
    return random.choice(WAYS)(random, random.choice(valid or KEPT))[:LONGEST]


def mutated(random: Random, octets: bytes) -> bytes:
    """Some octets changed, cut, repeated, moved or put in."""
    data = bytearray(octets)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(data) + 1)
        many = random.choice((1, 1, 2, 4, 8, 28, 64))
        match random.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1 if at < len(data):
                data[at] = random.randrange(256)
            case 2:
                del data[at : at + many]
            case 3:
                data[at:at] = random.randbytes(many)
            case 4:
                data[at:at] = data[at : at + many]
            case _:
                data[at : at + many] = random.choice((b"\0", b"\xff")) * many
    return bytes(data)


def truncated(random: Random, octets: bytes) -> bytes:
    """The beginning, with the length in the header made to fit or not."""
    cut = octets[: random.randrange(len(octets) + 1)]
    return lengthened(cut) if random.random() < 0.5 else cut


def overlong(random: Random, octets: bytes) -> bytes:
    """A 16-bit number somewhere, which may be a length, at the edge of what it can be."""
    data = bytearray(octets)
    for _ in range(random.choice((1, 1, 2))):
        if len(data) > 30:
            at = random.randrange(28, len(data) - 1)
            number = random.choice((*EDGES, len(data) - at, len(data) - at + 1))
            data[at : at + 2] = number.to_bytes(2, "big")
    return bytes(data)


def shuffled(random: Random, octets: bytes) -> bytes:
    """The same header with payloads of any type in any order, each with its own body."""
    version = octets[17] >> 4 if len(octets) > 17 else 2
    bodies = [octets[28:][i : i + 60] for i in range(0, max(len(octets) - 28, 1), 60)]
    kinds = KINDS_V1 if version == 1 else KINDS_V2
    chosen = [random.choice(kinds) for _ in range(random.randrange(1, 6))]
    out = bytearray(octets[:28].ljust(28, b"\0"))
    out[16] = chosen[0]
    for kind in (*chosen[1:], random.choice((0, 0, 0, 46, 53, 99))):
        body = random.choice((b"", random.choice(bodies), random.randbytes(20), nested(random)))
        size = random.choice((len(body) + 4,) * 6 + EDGES)
        out += bytes((kind & 0xFF, random.choice((0, 0, 0x80)))) + size.to_bytes(2, "big") + body
    return lengthened(bytes(out))


def nested(random: Random, _: bytes = b"") -> bytes:
    """Proposals in proposals' clothes: counts, sizes and lengths that do not agree."""
    out = b""
    for _number in range(random.choice((1, 2, 3, 40))):
        transforms = b""
        count = random.choice((0, 1, 2, 60))
        for _transform in range(count):
            attributes = b"".join(
                (random.choice((0x800E, 0x800B, 0x000C, 0x800C))).to_bytes(2, "big")
                + random.choice(EDGES).to_bytes(2, "big")
                for _ in range(random.randrange(3))
            )
            size = random.choice((8 + len(attributes),) * 5 + EDGES)
            transforms += (
                bytes((random.choice((0, 3)), 0))
                + size.to_bytes(2, "big")
                + bytes((random.randrange(6), 0, 0, random.randrange(40)))
                + attributes
            )
        spi = random.randbytes(random.choice((0, 4, 8, 16)))
        size = random.choice((8 + len(spi) + len(transforms),) * 5 + EDGES)
        head = (random.choice((0, 2)), 0, *size.to_bytes(2, "big"), random.randrange(1, 4))
        said = random.choice((len(spi), len(spi), 255)), random.choice((count, count, 255))
        out += bytes((*head, random.choice((1, 3)), *said)) + spi + transforms
    return out


def with_nested(random: Random, octets: bytes) -> bytes:
    """A header with an SA payload of such proposals alone."""
    proposals = nested(random)
    version = octets[17] if len(octets) > 17 else 0x20
    before = bytes.fromhex("0000000100000001") if version >> 4 == 1 else b""
    body = before + proposals
    data = bytearray(octets[:28].ljust(28, b"\0"))
    data[16] = 1 if version >> 4 == 1 else 33
    return lengthened(bytes(data) + b"\0\0" + (4 + len(body)).to_bytes(2, "big") + body)


def noise(random: Random, octets: bytes) -> bytes:
    """Random octets, on their own or behind a header that is right."""
    data = random.randbytes(random.choice((0, 1, 3, 4, 27, 28, 29, 60, 200, 1500)))
    return lengthened(octets[:28] + data) if random.random() < 0.5 else data


def kept(random: Random, _: bytes) -> bytes:
    """One of the corpus, as it is or changed a little."""
    octets = random.choice(KEPT)
    return octets if random.random() < 0.3 else mutated(random, octets)


def lengthened(octets: bytes) -> bytes:
    """The same with its own length where the header of IKE has one."""
    if len(octets) < 28:
        return octets
    return octets[:24] + len(octets).to_bytes(4, "big") + octets[28:]


Way = Callable[[Random, bytes], bytes]
WAYS: tuple[Way, ...] = (
    mutated,
    mutated,
    truncated,
    overlong,
    shuffled,
    with_nested,
    noise,
    kept,
)
