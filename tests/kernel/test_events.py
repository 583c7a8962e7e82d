# SPDX-License-Identifier: GPL-2.0-or-later
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.addresses import write_address
from harness.kernel.errors import MalformedMessage
from harness.kernel.events import (
    Acquire,
    Event,
    Expire,
    MappingChanged,
    PolicyAdded,
    PolicyDeleted,
    PolicyExpired,
    PolicyFlushed,
    SaAdded,
    SaDeleted,
    SaFlushed,
    read_event,
)
from harness.kernel.messages import Message, encode, split
from harness.kernel.numbers import Attribute, MessageType
from harness.kernel.policy_codec import write_policy
from harness.kernel.sa import SaId
from harness.kernel.sa_codec import write_sa, write_sa_id
from harness.kernel.selector import Selector, write_selector
from harness.kernel.structures import ID, POLICY_INFO, POLICY_TYPE, SA_ID, SA_INFO
from tests.kernel.values import ESP, MOON, MOON6, OUT, SUN, SUN6

POLICY_BODY, POLICY_ATTRIBUTES = write_policy(OUT)
SA_BODY, SA_ATTRIBUTES = write_sa(ESP)
SA_BYTES, POLICY_BYTES = SA_INFO.pack(**SA_BODY), POLICY_INFO.pack(**POLICY_BODY)
SA_ID_BODY, _ = write_sa_id(ESP.id)
ASKED = Selector(ip_network("10.1.0.1"), ip_network("10.2.0.1"), 17, 1024, 9)
MOVED = {
    "id": SA_ID.pack(**SA_ID_BODY),
    "reqid": 1,
    "old_saddr": write_address(MOON),
    "new_saddr": write_address(SUN),
    "old_sport": 4500,
    "new_sport": 30001,
}

EVENTS: dict[bytes, Event] = {
    encode(MessageType.NEWSA, SA_BODY, SA_ATTRIBUTES): SaAdded(ESP),
    encode(MessageType.DELSA, SA_ID_BODY, [(Attribute.SA, SA_BYTES), *SA_ATTRIBUTES]): SaDeleted(
        ESP
    ),
    encode(MessageType.FLUSHSA, {"proto": 0}): SaFlushed(None),
    encode(MessageType.FLUSHSA, {"proto": 50}): SaFlushed("esp"),
    encode(MessageType.EXPIRE, {"state": SA_BYTES, "hard": 1}): Expire(
        True, replace(ESP, aead=None)
    ),
    encode(MessageType.NEWPOLICY, POLICY_BODY, POLICY_ATTRIBUTES): PolicyAdded(OUT),
    encode(
        MessageType.DELPOLICY,
        {"sel": write_selector(OUT.selector), "dir": 1},
        [(Attribute.POLICY, POLICY_BYTES), *POLICY_ATTRIBUTES],
    ): PolicyDeleted(OUT),
    encode(
        MessageType.FLUSHPOLICY, {}, [(Attribute.POLICY_TYPE, POLICY_TYPE.pack(type=1))]
    ): PolicyFlushed("sub"),
    encode(
        MessageType.POLEXPIRE, {"pol": POLICY_BYTES, "hard": 0}, POLICY_ATTRIBUTES
    ): PolicyExpired(False, OUT),
    encode(
        MessageType.ACQUIRE,
        {
            "id": ID.pack(daddr=write_address(SUN), proto=50),
            "saddr": write_address(MOON),
            "sel": write_selector(ASKED),
            "policy": POLICY_BYTES,
            "seq": 7,
        },
        POLICY_ATTRIBUTES,
    ): Acquire(MOON, SUN, "esp", ASKED, OUT, OUT.templates, 7),
    encode(MessageType.MAPPING, MOVED): MappingChanged(ESP.id, 1, MOON, SUN, 4500, 30001),
}


def read(datagram: bytes) -> Event | None:
    (message,) = split(datagram)
    return read_event(message)


@pytest.mark.parametrize("datagram", EVENTS, ids=lambda data: type(EVENTS[data]).__name__)
def test_a_message_is_read_as_its_event(datagram: bytes) -> None:
    assert read(datagram) == EVENTS[datagram]


@pytest.mark.parametrize("datagram", EVENTS, ids=lambda data: type(EVENTS[data]).__name__)
def test_an_event_is_said_in_a_short_sentence_without_keys(datagram: bytes) -> None:
    text = str(EVENTS[datagram])
    assert len(text) < 120
    assert "(" not in text


@given(st.sampled_from(list(EVENTS)), st.data())
def test_a_damaged_event_is_read_or_refused(datagram: bytes, data: st.DataObject) -> None:
    damaged = bytearray(datagram)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(16, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedMessage):
        read(bytes(damaged))


@given(st.sampled_from(list(EVENTS)), st.data())
def test_an_event_cut_short_is_read_or_refused(datagram: bytes, data: st.DataObject) -> None:
    (message,) = split(datagram)
    rest = message.payload[: data.draw(st.integers(0, len(message.payload)))]
    with suppress(MalformedMessage):
        read_event(Message(message.type, 0, 0, rest))


@pytest.mark.parametrize(
    ("kind", "body"), [(MessageType.DELSA, SA_ID_BODY), (MessageType.DELPOLICY, {})]
)
def test_a_deletion_must_say_what_was_deleted(kind: MessageType, body: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage, match="does not say which"):
        read(encode(kind, body))


def test_an_acquire_for_ipv6_in_a_tunnel_over_ipv4_has_addresses_of_the_tunnel() -> None:
    inner = Selector(ip_network(MOON6), ip_network(SUN6))
    body, attributes = write_policy(replace(OUT, selector=inner))
    event = read(
        encode(
            MessageType.ACQUIRE,
            {
                "id": ID.pack(daddr=write_address(SUN), proto=50),
                "saddr": write_address(MOON),
                "sel": write_selector(inner),
                "policy": POLICY_INFO.pack(**body),
            },
            attributes,
        )
    )
    assert isinstance(event, Acquire)
    assert (event.source, event.destination, event.selector) == (MOON, SUN, inner)


@pytest.mark.parametrize("kind", [0x1E, 0x20, 0x25, 2, 3])
def test_a_type_that_is_no_event_here_is_passed_over(kind: int) -> None:
    assert read_event(Message(kind, 0, 0, b"")) is None


def test_a_deleted_sa_says_its_identity() -> None:
    assert SaDeleted(ESP).id == SaId(0x1000, SUN)
