# SPDX-License-Identifier: GPL-2.0-or-later
"""What takes octets from strangers: each is given a batch of inputs in a state of its own.

A target raises on what must never happen, whatever the input: any exception, memory that grows,
an SA of somebody else that changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from random import Random

from harness.capture.decryption import Decryptor
from harness.capture.secrets import Secrets
from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.userspace.raw_esp import Arrival
from harness.ike.address import Address
from harness.ike.constants_v1 import ExchangeType as ExchangeTypeV1
from harness.ike.constants_v2 import ExchangeType
from harness.ike.malformed import Malformed, Unencodable
from harness.ike.payload import Forged, Payload, RawPayload
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Phase1, Phase1Mode
from harness.ike.v2.message import Plain
from harness.ike.v2.script import Script
from harness.ike.wire import decode_payloads, encode_payloads
from harness.peers.credentials import Kind
from tests.capture import packets
from tests.daemon.userspace import test_fuzz as plane
from tests.fuzz import certified, services
from tests.fuzz.inputs import EDGES, KINDS_V1, KINDS_V2, hostile, mutated, nested
from tests.ike import test_wire_properties as codec
from tests.ike.v1 import pair as v1
from tests.ike.v1.test_nat_traversal import hosts
from tests.ike.v2 import test_robustness as v2
from tests.ike.v2.pair import MOON_NET, SUN_NET, Pair

Note = Callable[[bytes], None]
"""Is told each input before it is given to anybody."""

FAST = Phase1((encryption("AES_CBC_128"),), (prf("HMAC_SHA1"),), (key_exchange("MODP_768"),))
PHASE1_EXCHANGES = {
    Phase1Mode.MAIN: ExchangeTypeV1.IDENTITY_PROTECTION,
    Phase1Mode.AGGRESSIVE: ExchangeTypeV1.AGGRESSIVE,
}
MOST_IPSEC_SAS = 64
SIGNATURES: tuple[Kind | None, ...] = (None, "rsa", "ecdsa")
"""With what the ends of a phase 1 sign; None is a secret."""
ANYWHERE = Address("203.0.113.9")


@dataclass(frozen=True)
class Target:
    """A taker of octets; `share` is its part of all inputs, `size` how many make a batch."""

    name: str
    share: int
    size: int
    run: Callable[[Random, int, Note], None]


def decode_and_encode(random: Random, size: int, note: Note) -> None:
    """The codec: octets are a message that encodes to them again, or malformed."""
    valid = [*_recorded_v1(Phase1Mode.MAIN), *_recorded_v2(False), *_recorded_v2(True)]
    for _ in range(size):
        octets = hostile(random, valid)
        note(octets)
        codec.check(octets)
        version, kind = random.choice(((1, KINDS_V1), (2, KINDS_V2)))
        with suppress(Malformed):
            payloads, rest = decode_payloads(version, random.choice(kind), octets[28:])
            assert encode_payloads(payloads)[1] + rest == octets[28:]


def ikev2_engine(random: Random, size: int, note: Note) -> None:
    """Two endpoints of IKEv2, stopped anywhere in a conversation."""
    hybrid = random.random() < 0.3
    pair = v2.until(random.randrange(24), hybrid)
    valid = [*_recorded_v2(hybrid), *(letter.datagram.data for letter in pair.queue)]
    for _ in range(size):
        octets = _aimed_v2(random, pair, hostile(random, valid))
        note(octets)
        v2.feed(pair, octets)
    pair.rest()


def ikev2_authentic(random: Random, size: int, note: Note) -> None:
    """What a peer of IKEv2 may say that has the keys: any payloads in any exchange."""
    pair, scripts = _scripted()
    verbs = ("rekey_child", "rekey_ike", "check_liveness", "delete_ike")
    for _ in range(size):
        if not (pair.moon.children() and pair.sun.children()):
            pair, scripts = _scripted()
        forged = _payloads(random, KINDS_V2)
        note(b"".join(one.body() for one in forged))
        requesting = random.random() < 0.5
        rule = scripts[0 if requesting else 1].sent(response=not requesting)
        rule.replace(_with(forged))
        commands = pair.moon.endpoint.commands
        with suppress(LookupError):
            if requesting:
                commands.exchange(pair.moon.ike_sas()[0], random.randrange(34, 45), (), pair.now)
            elif (verb := random.choice(verbs)) == "rekey_child":
                child = pair.moon.children()[0].inbound_spi
                commands.rekey_child(pair.moon.ike_sas()[0], child, pair.now)
            else:
                getattr(commands, verb)(pair.moon.ike_sas()[0], pair.now)
        pair.rest(20.0)
        for script in scripts:
            script.rules.clear()
        for end in (pair.moon, pair.sun):
            assert len(end.endpoint.all_sas()) <= 4
            assert len(end.children()) <= MOST_IPSEC_SAS
            end.seen.clear()


def ikev2_strangers(random: Random, size: int, note: Note) -> None:
    """What anybody may say in IKE_AUTH: whoever has done the key exchange can seal it."""
    for _ in range(size):
        scripts = Script(), Script()
        made = certified.pair if random.random() < 0.5 else _with_secret
        pair = made(scripts)
        said: list[bytes] = []
        place = random.randrange(2)
        rule = scripts[place].sent(exchange=ExchangeType.IKE_AUTH, response=bool(place))
        rule.replace(partial(_nearly, random, said))
        pair.moon.endpoint.commands.initiate("gw", pair.now)
        try:
            pair.rest(20.0)
        finally:
            note(b"".join(said))
        end = (pair.sun, pair.moon)[place]
        assert len(end.endpoint.all_sas()) <= 2


def ikev1_engine(random: Random, size: int, note: Note) -> None:
    """Two endpoints of IKEv1, stopped anywhere in either mode."""
    mode = random.choice(list(Phase1Mode))
    valid = _recorded_v1(mode)
    pair = pair_v1(mode)
    pair.initiate()
    for _ in range(random.randrange(len(valid) + 1)):
        if pair.queue:
            pair.deliver(pair.queue.pop(0))
    said = [*valid, *(datagram.data for datagram in pair.sent)]
    for _ in range(size):
        octets = hostile(random, said)
        if random.random() < 0.5 and pair.sent:
            octets = v1.ike(random.choice(pair.sent))[:16] + octets[16:]
        if random.random() < 0.4:
            octets = bytes(4) + octets
        note(octets)
        feed_v1(pair, octets)
    pair.queue.clear()
    pair.advance(400, run=False)


def feed_v1(pair: v1.Pair, octets: bytes) -> None:
    """Give octets to both ends of IKEv1, from the other one, on both ports."""
    for end, source in ((pair.a, v1.SWAN), (pair.b, v1.SEIL)):
        for port in (500, 4500):
            here = end.address.on_port(port)
            end.endpoint.receive(octets, source.on_port(port), pair.now, here)
            assert len(end.endpoint.datagrams()) <= 8
            assert len(end.endpoint.events()) <= 16
            assert end.endpoint.half_open <= 257
            assert len(end.sas) <= 1


def ikev1_authentic(random: Random, size: int, note: Note) -> None:
    """What a peer of IKEv1 may say that has the keys, for tunnels or in transport mode and NAT."""
    made = random.choice((partial(pair_v1, Phase1Mode.MAIN), partial(hosts, FAST)))
    pair = made()
    pair.up()
    for _ in range(size):
        starter = random.choice((pair.a, pair.b))
        sas = starter.endpoint.isakmp_sas()
        if not sas:
            pair = made()
            pair.up()
            continue
        forged = _payloads(random, KINDS_V1)
        note(b"".join(one.body() for one in forged))
        exchange = random.choice((5, 6, 32, 32, 33))
        with suppress(Unencodable):
            starter.endpoint.send(sas[0], exchange, forged, pair.now)
        pair.run()
        pair.advance(random.choice((0, 0, 5)))
        pair.sent.clear()
        for end in (pair.a, pair.b):
            assert len(end.sas) <= MOST_IPSEC_SAS
            end.events.clear()


def ikev1_strangers(random: Random, size: int, note: Note) -> None:
    """What anybody may say in phase 1, with secrets and with signatures, in either mode.

    With signatures everybody has the keys after the key exchange, and may seal what it says.
    """
    for _ in range(size):
        mode = random.choice(list(Phase1Mode))
        exchange = PHASE1_EXCHANGES[mode]
        kind = random.choice(SIGNATURES)
        pair = pair_v1(mode) if kind is None else _signed(mode, kind)
        sender, other = random.choice(((pair.a, pair.b), (pair.b, pair.a)))
        said: list[bytes] = []
        rule = sender.script.sent(exchange=exchange, skip=random.randrange(3))
        rule.replace(partial(_nearly, random, said))
        pair.initiate()
        try:
            pair.run()
            pair.advance(400)
        finally:
            note(b"".join(said))
        assert len(other.sas) <= 1
        assert other.endpoint.half_open == 0


def userspace_esp(random: Random, size: int, note: Note) -> None:
    """The opener and the data plane on it: packets forged, and authentic ones with any content."""
    suite = random.choice(plane.SUITES)
    transport, esn = random.random() < 0.5, random.random() < 0.5
    made, network, sealer = plane.established(suite, transport, esn)
    for _ in range(size):
        inner = random.choice((random.randbytes(random.randrange(90)), _packet(random)))
        octets = sealer.seal(inner, random.choice((4, 41, 59, 6, 17, 44, 60, 255)))
        if random.random() < 0.7:
            octets = octets[:4] + mutated(random, octets[4:])
        note(octets)
        made.receive_encapsulated(octets, plane.PATH.remote, plane.PATH.local)
        made.inbound(Arrival(octets, bytes(4), bytes(4), random.randrange(256)))
        packet = mutated(random, _packet(random))
        note(packet)
        made.outbound(packet)
        assert len(network.events) <= 2
    assert sum(made.fates.values()) <= 3 * size


def decryptor(random: Random, size: int, note: Note) -> None:
    """The decryptor of captures, with keys for some of what it is given."""
    secret, esp = packets.ike_secret(), packets.esp_secret(encryption("AES_GCM_16_128"))
    reader = Decryptor(Secrets(ike_v2=(secret,), ipsec=(esp,)))
    sealer = packets.sealer(esp)
    valid = [*_recorded_v1(Phase1Mode.MAIN), *_recorded_v2(True)]
    for number in range(1, size + 1):
        match random.randrange(4):
            case 0:
                packet = packets.ike(hostile(random, valid), port=random.choice((500, 4500)))
            case 1:
                message = packets.header(random.randrange(34, 45), random.randrange(9))
                forged = _payloads(random, KINDS_V2)
                pieces = packets.sealed(secret, message, forged, random.choice((0, 0, 1, 2, 5)))
                packet = packets.ike(random.choice(pieces))
            case 2:
                octets = sealer.seal(_packet(random), random.choice((4, 41, 17, 59)))
                packet = packets.ip(mutated(random, octets), random.choice((50, 50, 51)))
            case _:
                packet = _packet(random)
        if random.random() < 0.3:
            packet = mutated(random, packet) or b"\0"
        note(packet)
        entry = reader.take(packets.frame(packet, number))
        assert entry.number == number
    reader.decryption()


def daemon(random: Random, size: int, note: Note) -> None:
    """ikelabd as a whole with SAs of both versions: inbox, engines, steps, data plane."""
    asyncio.run(_daemon(random, size, note))


async def _daemon(random: Random, size: int, note: Note) -> None:
    async with services.Pair(daemons()) as pair:
        for child in ("net", "lan"):
            await pair.initiate(child)
        valid = tuple(pair.said)
        ends = pair.moon, pair.sun
        before = [station.service.sas() for station in ends]
        assert [len(one) for one in before] == [2, 2]
        for _ in range(size):
            octets = hostile(random, valid)
            if random.random() < 0.5:
                octets = random.choice(valid)[:16] + octets[16:]
            note(octets)
            for station, other in (ends, ends[::-1]):
                for port in (500, 4500):
                    source = random.choice((other.sockets.address, ANYWHERE)).on_port(port)
                    here = station.sockets.address.on_port(port)
                    station.sockets.arrived(octets, source, here)
            await pair.quiet()
            for station in ends:
                station.sockets.sent.clear()
        assert [station.service.sas() for station in ends] == before


def daemons() -> tuple[tuple[Address, DaemonConfiguration], tuple[Address, DaemonConfiguration]]:
    """Two configurations, each with a connection of either version to the other end."""
    here, there = v1.SEIL, v1.SWAN
    moon = replace(MOON_NET, remote=there), v1.seil(phase1=FAST)
    sun = replace(SUN_NET, remote=here), v1.swan(phase1=FAST)
    return (
        (here, DaemonConfiguration(v2=moon[:1], v1=moon[1:], settings=v2.LIMITS)),
        (there, DaemonConfiguration(v2=sun[:1], v1=sun[1:], settings=v2.LIMITS)),
    )


TARGETS = (
    Target("codec", 30, 500, decode_and_encode),
    Target("ikev2", 20, 100, ikev2_engine),
    Target("ikev2-authentic", 5, 50, ikev2_authentic),
    Target("ikev2-strangers", 5, 50, ikev2_strangers),
    Target("ikev1", 20, 100, ikev1_engine),
    Target("ikev1-authentic", 5, 50, ikev1_authentic),
    Target("ikev1-strangers", 5, 50, ikev1_strangers),
    Target("esp", 10, 200, userspace_esp),
    Target("decryptor", 10, 200, decryptor),
    Target("daemon", 10, 100, daemon),
)


@cache
def _recorded_v2(hybrid: bool) -> tuple[bytes, ...]:
    return tuple(octets for _, octets in v2.conversation(hybrid))


@cache
def _recorded_v1(mode: Phase1Mode) -> tuple[bytes, ...]:
    pair = pair_v1(mode, seed=2)
    pair.up()
    return tuple(v1.ike(one) for one in pair.sent)


def pair_v1(mode: Phase1Mode, seed: int = 1) -> v1.Pair:
    both = replace(FAST, mode=mode, accept_aggressive_psk=True)
    return v1.Pair(v1.seil(phase1=both), v1.swan(phase1=both), seed)


def _signed(mode: Phase1Mode, kind: Kind) -> v1.Pair:
    return certified.pair_v1(replace(FAST, mode=mode), kind)


def _with_secret(scripts: tuple[Script, Script]) -> Pair:
    return Pair(seams=scripts, settings=v2.LIMITS)


def _nearly(random: Random, said: list[bytes], plain: Plain) -> Plain:
    """The message with one payload changed, left out, doubled or in another's place."""
    payloads = list(plain.payloads)
    at = random.randrange(len(payloads))
    one = payloads[at]
    match random.randrange(6):
        case 0:
            del payloads[at]
        case 1:
            payloads.insert(random.randrange(len(payloads)), one)
        case 2:
            random.shuffle(payloads)
        case _:
            payloads[at] = RawPayload(one.payload_type, mutated(random, one.body()))
    said.extend(one.body() for one in payloads)
    return plain.forged(payloads=tuple(payloads))


def _scripted() -> tuple[Pair, tuple[Script, Script]]:
    scripts = Script(), Script()
    return Pair(seams=scripts, settings=v2.LIMITS).up(), scripts


def _aimed_v2(random: Random, pair: Pair, octets: bytes) -> bytes:
    """Often under the SPIs of an SA that is there, and with or without the non-ESP marker."""
    sas = [*pair.moon.endpoint.all_sas(), *pair.sun.endpoint.all_sas()]
    if sas and random.random() < 0.6:
        sa = random.choice(sas)
        octets = sa.spi_i + sa.spi_r + octets[16:]
    return bytes(4) + octets if random.random() < 0.5 else octets


def _with(payloads: tuple[Payload, ...]) -> Callable[[Plain], Plain]:
    return lambda plain: plain.forged(payloads=payloads)


def _payloads(random: Random, kinds: tuple[int, ...]) -> tuple[Payload, ...]:
    """Payloads of known types whose bodies are anything, or nearly right."""
    bodies = list(_bodies(random))
    found: list[Payload] = []
    for _ in range(random.randrange(6)):
        kind = random.choice([one for one in kinds if one not in (0, 46, 53)])
        one: Payload = RawPayload(kind, mutated(random, random.choice(bodies)))
        if random.random() < 0.1:
            one = Forged(one, length=random.choice(EDGES))
        found.append(one)
    return tuple(found)


def _bodies(random: Random) -> Iterator[bytes]:
    yield b""
    yield random.randbytes(40)
    yield nested(random)
    yield bytes.fromhex("00000001000000010000002c010104010000000000000024")
    yield (b"\x03\x04" + random.choice(EDGES).to_bytes(2, "big")) + random.randbytes(4)
    yield bytes.fromhex("01000000070000100000ffff0a0100000a01ffff")
    yield (random.choice((0, 1, 7, 14, 16393, 16396, 16400, 24576, 36136))).to_bytes(2, "big")
    yield b"\x00\x1f\x00\x00" + random.randbytes(32)
    # As IKEv1 has them: a delete of ESP, a notification, the lifetime of a responder.
    yield bytes.fromhex("00000001030400020000100000001001")
    yield bytes.fromhex("0000000103046000000010008001000180020e10")
    yield bytes.fromhex("000000010110600200112233445566778899aabbccddeeff800b00010002000400000e10")


def _packet(random: Random) -> bytes:
    kind = random.choice((4, 6))
    protocol = random.choice((0, 1, 6, 17, 43, 44, 50, 58, 60, 255))
    return plane.inner(kind, random.randbytes(random.randrange(60)), protocol)
