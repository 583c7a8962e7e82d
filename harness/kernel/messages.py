# SPDX-License-Identifier: GPL-2.0-or-later
"""NETLINK_XFRM messages for pyroute2, which has none: written by it, read here.

`encode` gives the bytes of a request. `split` takes a datagram apart into `Message`s whose body and
attributes are still bytes; the modules that own a noun (`sa`, `policy`, `events`) read those.
The classes are ordinary pyroute2 messages, so its `Marshal` reads the same bytes too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pyroute2.netlink import nlmsg

from harness.kernel import structures
from harness.kernel.errors import MalformedMessage
from harness.kernel.numbers import Attribute, MessageType
from harness.kernel.structures import Layout

Attributes = Mapping[int, bytes]
"""Payloads by attribute number; the last wins where the kernel repeats one (it never does)."""

HEADER = struct.Struct("=IHHII")
ATTRIBUTE_HEADER = struct.Struct("=HH")
ATTRIBUTE_NUMBER = 0x3FFF
"""Without the two bits for nested and for network order."""


class XfrmMessage(nlmsg):  # type: ignore[misc]
    """A message whose attributes are those of enum xfrm_attr_type_t, as bytes."""

    prefix = "XFRMA_"
    nla_map = tuple(
        (attribute.value, f"XFRMA_{attribute.name}", "cdata") for attribute in Attribute
    )
    layout: Layout


class SaMessage(XfrmMessage):
    """xfrm_usersa_info: XFRM_MSG_NEWSA and UPDSA."""

    layout = structures.SA_INFO
    fields = layout.fields


class SaIdMessage(XfrmMessage):
    """xfrm_usersa_id: XFRM_MSG_DELSA and GETSA."""

    layout = structures.SA_ID
    fields = layout.fields


class SpiMessage(XfrmMessage):
    """xfrm_userspi_info: XFRM_MSG_ALLOCSPI."""

    layout = structures.SPI_INFO
    fields = layout.fields


class SaFlushMessage(XfrmMessage):
    """xfrm_usersa_flush: XFRM_MSG_FLUSHSA."""

    layout = structures.SA_FLUSH
    fields = layout.fields


class PolicyMessage(XfrmMessage):
    """xfrm_userpolicy_info: XFRM_MSG_NEWPOLICY and UPDPOLICY."""

    layout = structures.POLICY_INFO
    fields = layout.fields


class PolicyIdMessage(XfrmMessage):
    """xfrm_userpolicy_id: XFRM_MSG_DELPOLICY and GETPOLICY."""

    layout = structures.POLICY_ID
    fields = layout.fields


class PolicyFlushMessage(XfrmMessage):
    """Nothing but attributes: XFRM_MSG_FLUSHPOLICY."""

    layout = Layout("flush_policy")
    fields = layout.fields


class AcquireMessage(XfrmMessage):
    """xfrm_user_acquire: XFRM_MSG_ACQUIRE."""

    layout = structures.ACQUIRE
    fields = layout.fields


class ExpireMessage(XfrmMessage):
    """xfrm_user_expire: XFRM_MSG_EXPIRE."""

    layout = structures.EXPIRE
    fields = layout.fields


class PolicyExpireMessage(XfrmMessage):
    """xfrm_user_polexpire: XFRM_MSG_POLEXPIRE."""

    layout = structures.POLICY_EXPIRE
    fields = layout.fields


class MappingMessage(XfrmMessage):
    """xfrm_user_mapping: XFRM_MSG_MAPPING."""

    layout = structures.MAPPING
    fields = layout.fields


MESSAGES: Mapping[MessageType, type[XfrmMessage]] = {
    MessageType.NEWSA: SaMessage,
    MessageType.UPDSA: SaMessage,
    MessageType.DELSA: SaIdMessage,
    MessageType.GETSA: SaIdMessage,
    MessageType.ALLOCSPI: SpiMessage,
    MessageType.FLUSHSA: SaFlushMessage,
    MessageType.NEWPOLICY: PolicyMessage,
    MessageType.UPDPOLICY: PolicyMessage,
    MessageType.DELPOLICY: PolicyIdMessage,
    MessageType.GETPOLICY: PolicyIdMessage,
    MessageType.FLUSHPOLICY: PolicyFlushMessage,
    MessageType.ACQUIRE: AcquireMessage,
    MessageType.EXPIRE: ExpireMessage,
    MessageType.POLEXPIRE: PolicyExpireMessage,
    MessageType.MAPPING: MappingMessage,
}
"""pyroute2's `msg_map`: the class for each type of message."""


class Message(NamedTuple):
    """One message as it came: its header, and its body and attributes as bytes still.

    A tuple, because there is one for each event of a run.
    """

    type: int
    flags: int
    sequence: int
    payload: bytes

    def attributes(self, body: int) -> dict[int, bytes]:
        """The attributes behind a body of so many bytes; raises MalformedMessage."""
        return read_attributes(self.payload, aligned(body))


def encode(
    kind: MessageType,
    body: Mapping[str, object],
    attributes: Sequence[tuple[Attribute, bytes]] = (),
    *,
    flags: int = 0,
    sequence: int = 0,
) -> bytes:
    """The bytes of one message; `body` holds fields of its layout, those left out are zero.

    Raises ValueError when a value does not fit its field.
    """
    message = MESSAGES[kind]()
    # pyroute2 would write a stack trace to the log for a value that does not fit.
    message.layout.pack(**body)
    message.update(message.layout.values(**body))
    message["attrs"] = [[f"XFRMA_{attribute.name}", payload] for attribute, payload in attributes]
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message["header"]["sequence_number"] = sequence
    message.encode()
    return bytes(message.data)


def split(datagram: bytes) -> Iterator[Message]:
    """The messages of a datagram, one by one; raises MalformedMessage when it is none."""
    offset = 0
    while offset < len(datagram):
        if len(datagram) - offset < HEADER.size:
            raise MalformedMessage(
                f"a netlink header has {HEADER.size} bytes"
                f" and only {len(datagram) - offset} are left"
            )
        length, kind, flags, sequence, _ = HEADER.unpack_from(datagram, offset)
        if not HEADER.size <= length <= len(datagram) - offset:
            raise MalformedMessage(
                f"a netlink message says that it has {length} bytes"
                f" where {len(datagram) - offset} are left"
            )
        yield Message(kind, flags, sequence, datagram[offset + HEADER.size : offset + length])
        offset += aligned(length)


def read_attributes(payload: bytes, offset: int) -> dict[int, bytes]:
    """The attributes from an offset to the end, by number; raises MalformedMessage."""
    attributes: dict[int, bytes] = {}
    end = len(payload)
    while offset < end:
        if end - offset < ATTRIBUTE_HEADER.size:
            raise MalformedMessage(f"{end - offset} bytes are left, too few for an attribute")
        length, kind = ATTRIBUTE_HEADER.unpack_from(payload, offset)
        if not ATTRIBUTE_HEADER.size <= length <= end - offset:
            raise MalformedMessage(
                f"attribute {kind} says that it has {length} bytes where {end - offset} are left"
            )
        start = offset + ATTRIBUTE_HEADER.size
        attributes[kind & ATTRIBUTE_NUMBER] = payload[start : offset + length]
        offset += aligned(length)
    return attributes


def aligned(length: int) -> int:
    """The length with netlink's padding to four bytes."""
    return (length + 3) & ~3
