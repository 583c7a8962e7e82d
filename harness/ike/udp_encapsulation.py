# SPDX-License-Identifier: GPL-2.0-or-later
"""What a datagram on port 4500 carries: IKE, ESP or a keepalive (RFC 3948 2)."""

from enum import Enum

NON_ESP_MARKER = bytes(4)
"""Stands before an IKE message on port 4500, where ESP has its SPI, which is never zero."""

KEEPALIVE = b"\xff"


class Carried(Enum):
    """The three things that share the port, and none of them."""

    IKE = "IKE"
    ESP = "ESP"
    KEEPALIVE = "NAT-keepalive"
    NOTHING = "nothing"


def unwrap(datagram: bytes) -> tuple[Carried, bytes]:
    """What a datagram carries, and that without the non-ESP marker.

    A datagram too short to hold a marker or an SPI carries nothing; it must be ignored.
    """
    if datagram == KEEPALIVE:
        return Carried.KEEPALIVE, datagram
    if len(datagram) < 4:
        return Carried.NOTHING, datagram
    if datagram.startswith(NON_ESP_MARKER):
        return Carried.IKE, datagram[4:]
    return Carried.ESP, datagram


def wrap(message: bytes) -> bytes:
    """An IKE message as it is sent on port 4500."""
    return NON_ESP_MARKER + message
