# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every message, found by hypothesis rather than by thinking of cases.

Five of the tests take 2,000 inputs each; IKELAB_EXAMPLES=200000 makes it the nightly million.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.ike.description import describe, headline
from harness.ike.malformed import Malformed
from harness.ike.violations import violations
from harness.ike.wire import (
    Message,
    decode,
    decode_payloads,
    encode,
    encode_payloads,
)
from tests.ike.messages import (
    PAYLOADS_V1,
    PAYLOADS_V2,
    SEALED,
    any_message,
    blob,
    ike_sa_init,
    main_mode_1,
    octet,
)

MANY = settings(
    max_examples=int(os.environ.get("IKELAB_EXAMPLES", "2000")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
SOME = settings(max_examples=150, deadline=None)

EVERY_PAYLOAD = [(1, name) for name in PAYLOADS_V1] + [
    (2, name) for name in [*PAYLOADS_V2, *SEALED]
]


@pytest.mark.parametrize(("version", "name"), EVERY_PAYLOAD)
def test_every_payload_comes_back_as_it_was_written(version: int, name: str) -> None:
    strategy = PAYLOADS_V1[name] if version == 1 else {**PAYLOADS_V2, **SEALED}[name]

    @SOME
    @given(strategy)
    def comes_back(payload: object) -> None:
        kind, octets = encode_payloads([payload])
        assert decode_payloads(version, kind, octets) == ((payload,), b"")

    comes_back()


@MANY
@given(any_message)
def test_every_message_comes_back_as_it_was_written(message: Message) -> None:
    assert decode(encode(message)) == message


def check(octets: bytes) -> None:
    """Either a message that encodes to the same octets and can be told, or `Malformed`."""
    try:
        message = decode(octets)
    except Malformed as malformed:
        told = malformed
    else:
        told = None
        check_message(message, octets)
    if told is not None:
        assert 0 <= told.offset <= len(octets)
        assert told.rfc in str(told)


def check_message(message: Message, octets: bytes) -> None:
    assert encode(message) == octets
    assert headline(message)
    assert all(describe(payload) for payload in message.payloads)
    violations(message)


@MANY
@given(st.binary(max_size=200))
@example(b"")
def test_random_octets_are_a_message_or_malformed(octets: bytes) -> None:
    check(octets)


@MANY
@given(st.sampled_from([0x10, 0x20, 0x2F, 0x30, 0x00]), octet, octet, st.binary(max_size=120))
def test_random_bodies_behind_a_right_header_are_a_message_or_malformed(
    version: int, first: int, flags: int, body: bytes
) -> None:
    head = bytes(16) + bytes([first, version, 34, flags]) + bytes(4)
    check(head + (28 + len(body)).to_bytes(4, "big") + body)


@MANY
@given(
    any_message | st.sampled_from([main_mode_1(), ike_sa_init()]),
    st.lists(st.tuples(st.integers(0, 399), octet), min_size=1, max_size=4),
    st.integers(0, 400),
)
def test_mutated_and_truncated_messages_are_a_message_or_malformed(
    message: Message, changes: list[tuple[int, int]], size: int
) -> None:
    octets = bytearray(encode(message))
    for place, value in changes:
        octets[place % len(octets)] = value
    check(bytes(octets))
    check(bytes(octets[:size]))


@SOME
@given(any_message, blob)
def test_octets_after_the_said_length_are_kept(message: Message, more: bytes) -> None:
    octets = encode(message)
    check(octets + more)
    if more:
        longer = decode(octets + more)
        assert longer.length == len(octets)
        assert longer.trailing.endswith(more)


@MANY
@given(st.sampled_from([1, 2]), octet, st.binary(max_size=120))
def test_decrypted_garbage_is_payloads_or_malformed(
    version: int, first: int, plaintext: bytes
) -> None:
    try:
        payloads, rest = decode_payloads(version, first, plaintext)
    except Malformed:
        return
    assert encode_payloads(payloads)[1] + rest == plaintext
