# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKEv2 Configuration payload and its attributes (RFC 7296 3.15)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from harness.ike.malformed import Malformed
from harness.ike.payload import need
from harness.ike.proposals import chosen

_PAIR = Struct(">HH")


@dataclass(frozen=True, slots=True)
class ConfigurationAttribute:
    """One attribute of CP (RFC 7296 3.15.1); always type, length, value.

    `type` has 15 bits, `reserved` is the bit before it, `length` forges the length in octets.
    """

    type: int
    value: bytes = b""
    reserved: int = 0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """CP (47): a request for or a grant of addresses and names (RFC 7296 3.15)."""

    payload_type: ClassVar[int] = 47

    cfg_type: int
    attributes: tuple[ConfigurationAttribute, ...] = ()
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """CFG type, reserved octets, attributes."""
        out = bytearray(self.cfg_type.to_bytes(1, "big") + self.reserved.to_bytes(3, "big"))
        for attribute in self.attributes:
            length = chosen(attribute.length, len(attribute.value))
            out += _PAIR.pack(attribute.reserved << 15 | attribute.type, length)
            out += attribute.value
        return bytes(out)


def decode_configuration(data: bytes, start: int, end: int, flags: int) -> Configuration:
    """The CP payload whose body is `data[start:end]`; raises `Malformed`."""
    need(end - start, 4, start, "a CP body", "7296 3.15")
    attributes = []
    at = start + 4
    while at < end:
        need(end - at, 4, at, "a configuration attribute", "7296 3.15.1")
        type_, length = _PAIR.unpack_from(data, at)
        stop = at + 4 + length
        if stop > end:
            raise Malformed(f"length {length}", at + 2, f"at most {end - at - 4}", "7296 3.15.1")
        attributes.append(ConfigurationAttribute(type_ & 0x7FFF, data[at + 4 : stop], type_ >> 15))
        at = stop
    reserved = int.from_bytes(data[start + 1 : start + 4], "big")
    return Configuration(data[start], tuple(attributes), reserved, flags)
