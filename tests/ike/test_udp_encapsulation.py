# SPDX-License-Identifier: GPL-2.0-or-later
"""What shares port 4500 (RFC 3948 2)."""

from __future__ import annotations

import pytest

from harness.ike.udp_encapsulation import Carried, unwrap, wrap
from harness.ike.wire import encode
from tests.ike.messages import ike_sa_init


def test_an_ike_message_goes_through_the_port_and_back() -> None:
    octets = encode(ike_sa_init())
    assert wrap(octets)[:4] == bytes(4)
    assert unwrap(wrap(octets)) == (Carried.IKE, octets)


@pytest.mark.parametrize(
    ("datagram", "carried"),
    [
        (b"\xff", Carried.KEEPALIVE),
        (b"\xff\xff", Carried.NOTHING),
        (b"", Carried.NOTHING),
        (bytes(3), Carried.NOTHING),
        (bytes([0, 0, 0, 1]) + bytes(20), Carried.ESP),
    ],
)
def test_everything_else_is_known_and_left_as_it_is(datagram: bytes, carried: Carried) -> None:
    assert unwrap(datagram) == (carried, datagram)
