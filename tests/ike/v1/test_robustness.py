# SPDX-License-Identifier: GPL-2.0-or-later
"""No datagram raises, none changes what is established, and none makes an endpoint grow."""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.ike.address import Address
from harness.ike.constants_v1 import ExchangeType, Flag
from harness.ike.payload import RawPayload
from harness.ike.script import ALWAYS
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Limits, Phase1, Phase1Mode
from harness.ike.v1.events import IpsecSaRemoved, IsakmpSaClosed, Phase1Failed, Refused
from harness.ike.v1.reasons import Reason
from harness.ike.wire import decode, encode
from tests.ike.messages import any_message
from tests.ike.v1.pair import SEIL, SWAN, Pair, ike, seil, swan

EXAMPLES = int(os.environ.get("IKELAB_EXAMPLES", "2500"))
FAST = Phase1((encryption("AES_CBC_128"),), (prf("HMAC_SHA1"),), (key_exchange("MODP_768"),))


def recorded(mode: Phase1Mode) -> tuple[Pair, list]:
    both = replace(FAST, mode=mode, accept_aggressive_psk=True)
    pair = Pair(seil(phase1=both), swan(phase1=both))
    pair.up()
    return pair, list(pair.sent)


def at_each_point(mode: Phase1Mode) -> list[tuple[Pair, int]]:
    """A pair for each number of messages that were delivered."""
    found = []
    _, sent = recorded(mode)
    for count in range(len(sent) + 1):
        both = replace(FAST, mode=mode, accept_aggressive_psk=True)
        pair = Pair(seil(phase1=both), swan(phase1=both))
        pair.initiate()
        for _ in range(count):
            pair.deliver(pair.queue.pop(0))
        found.append((pair, count))
    return found


def mutated(octets: bytes, where: int, value: int, cut: int, how: int) -> bytes:
    changed = bytearray(octets)
    match how:
        case 0:
            changed[where % len(changed)] ^= value or 1
        case 1:
            del changed[cut % len(changed) :]
        case 2:
            changed += bytes([value]) * (cut % 64)
        case 3:
            at = where % len(changed)
            changed[at : at + 2] = value.to_bytes(2, "big")
        case _:
            at = where % len(changed)
            changed[at:at] = changed[at : at + cut % 32]
    return bytes(changed)


POINTS = {mode: at_each_point(mode) for mode in Phase1Mode}
MESSAGES = {mode: recorded(mode)[1] for mode in Phase1Mode}


@settings(max_examples=EXAMPLES * 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_mutation_of_a_valid_message_raises_in_any_state(data):
    mode = data.draw(st.sampled_from(list(Phase1Mode)))
    pair, _ = data.draw(st.sampled_from(POINTS[mode]))
    message = data.draw(st.sampled_from(MESSAGES[mode]))
    bad = mutated(
        message.data,
        data.draw(st.integers(0, 400)),
        data.draw(st.integers(0, 255)),
        data.draw(st.integers(0, 400)),
        data.draw(st.integers(0, 4)),
    )
    for end, source in ((pair.a, SWAN), (pair.b, SEIL)):
        end.endpoint.receive(bad, source, pair.now, end.address)
        end.endpoint.datagrams()
        end.endpoint.events()
        assert end.endpoint.half_open <= 257


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([500, 4500]))
def test_no_octets_raise(octets, port):
    pair = POINTS[Phase1Mode.MAIN][-1][0]
    for end, source in ((pair.a, SWAN), (pair.b, SEIL)):
        end.endpoint.receive(octets, source, pair.now, end.address._replace(port=port))
        end.endpoint.events()
    assert len(pair.a.sas) == len(pair.b.sas) == 1


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_message, st.integers(0, 11), st.sampled_from([2, 4, 5, 6, 32, 33]))
def test_no_message_raises_in_any_state_even_with_the_right_cookies(message, point, exchange):
    pair, _ = POINTS[Phase1Mode.MAIN][point]
    header = decode(ike(pair.sent[-1]))
    aimed = replace(
        message,
        version=0x10,
        exchange=exchange,
        initiator_spi=header.initiator_spi,
        responder_spi=header.responder_spi,
        encrypted=message.encrypted if message.flags & 1 else b"",
        payloads=() if message.flags & 1 else message.payloads,
    )
    octets = encode(aimed)
    for end, source in ((pair.a, SWAN), (pair.b, SEIL)):
        end.endpoint.receive(octets, source, pair.now, end.address)
        end.endpoint.datagrams()
        end.endpoint.events()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_message, st.sampled_from([5, 6, 32]))
def test_no_authentic_message_raises(message, exchange):
    """What a peer that has the keys may send: any payloads at all."""
    pair = Pair(seil(phase1=FAST), swan(phase1=FAST))
    pair.up()
    for end in (pair.a, pair.b):
        isakmp = end.endpoint.isakmp_sas()
        if isakmp:
            end.endpoint.send(isakmp[0], exchange, message.payloads, pair.now)
            pair.run()


def test_a_flood_from_spoofed_addresses_keeps_an_established_sa_and_the_limits():
    limits = Limits(half_open=50, events=100)
    pair = Pair(b=swan(), limits=limits)
    pair.up()
    pair.b.endpoint.connections = (*pair.b.endpoint.connections, swan(remote=None, name="any"))
    first = pair.sent[0].data
    for number in range(2000):
        cookie = number.to_bytes(8, "big")
        source = Address(f"10.9.{number // 250}.{number % 250}", 500)
        pair.b.endpoint.receive(cookie[:7] + b"x" + first[8:], source, pair.now, SWAN)
        pair.b.endpoint.datagrams()
    assert pair.b.endpoint.half_open <= 50
    assert len(pair.b.endpoint._hub.firsts) <= 52
    assert len(pair.b.sas) == 1
    # Whoever goes on is served in the middle of it.
    pair.a.endpoint.rekey_isakmp(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert len(pair.b.endpoint.isakmp_sas()) == 2
    pair.b.endpoint.timeout(pair.now + 31)
    assert pair.b.endpoint.half_open == 0
    reasons = {event.reason for event in pair.b.of(Phase1Failed)}
    assert reasons <= {Reason.OVERLOADED, Reason.TIMEOUT}


def test_a_peer_makes_no_more_isakmp_sas_than_the_limit():
    pair = Pair(limits=Limits(isakmp_sas=1))
    pair.up()
    pair.a.endpoint.rekey_isakmp(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert pair.b.only(Refused).why == "too many ISAKMP SAs to make another"
    assert len(pair.b.endpoint.isakmp_sas()) == 1


def test_garbage_from_nobody_is_counted_only_so_far():
    pair = Pair(limits=Limits(events=20))
    for number in range(100):
        pair.b.endpoint.receive(bytes([number]) * 60, SEIL, pair.now, SWAN)
    events = pair.b.endpoint.events()
    assert len(events) == 20
    assert {type(event) for event in events} == {Refused}
    assert pair.b.endpoint.datagrams() == ()


def test_quick_modes_that_are_begun_and_left_are_bounded():
    pair = Pair(limits=Limits(quick_modes=8))
    pair.up()
    pair.b.script.sent(exchange=32, times=ALWAYS).drop()
    for _ in range(30):
        pair.a.endpoint._hub.newest("seil", seil().remote_identity).quick_modes.start(
            seil().children[0], pair.now
        )
        pair.run()
    assert len(pair.b.endpoint._hub.ipsec) <= 9
    pair.advance(400)
    assert len(pair.b.endpoint._hub.ipsec) == 1


def test_messages_of_this_end_that_come_back_start_nothing():
    pair = Pair()
    pair.initiate()
    pair.a.endpoint.receive(pair.queue[0].data, SWAN, pair.now, SEIL)
    assert "come back" in pair.a.endpoint.events()[0].why
    assert pair.a.endpoint.half_open == 1


def test_an_established_sa_survives_every_forged_message_in_clear():
    pair = Pair()
    pair.up()
    header = decode(ike(pair.sent[-1]))
    for exchange in ExchangeType:
        for flags in (Flag(0), Flag.COMMIT, Flag.AUTHENTICATION_ONLY):
            forged = replace(
                header, exchange=exchange, flags=flags, encrypted=b"",
                payloads=(RawPayload(99, b"?"),), next_payload=None, message_id=0,
            )  # fmt: skip
            pair.b.endpoint.receive(encode(forged), SEIL, pair.now, SWAN)
    pair.run()
    assert not pair.b.of(IpsecSaRemoved) + pair.b.of(IsakmpSaClosed)
    pair.a.endpoint.rekey_child(pair.a.sas[0].inbound_spi, pair.now)
    pair.run()
    assert len(pair.b.sas) == 2


@pytest.mark.parametrize("kind", ["connection", "negotiation", "events"])
def test_no_secret_shows_in_a_repr(kind):
    pair = Pair()
    pair.up()
    session = next(iter(pair.a.endpoint._hub.sessions.values()))
    n = session.negotiation
    secrets = [b"xeeB5gohvaYi", n.sa.cipher_key, n.sa.keys.skeyid, n.sa.keys.d]
    secrets += [pair.a.sas[0].inbound.encryption, pair.a.sas[0].outbound.integrity]
    shown = {
        "connection": repr(session.connection),
        "negotiation": repr(n),
        "events": repr(pair.a.events) + repr(pair.a.sas) + repr(pair.sent),
    }[kind]
    for secret in secrets:
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
