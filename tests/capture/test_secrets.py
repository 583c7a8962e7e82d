# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.capture.secrets import (
    Gathering,
    IkeV1Secret,
    IpsecSecret,
    Reading,
    Secrets,
    address_matches,
)

COOKIE = bytes(range(8))


def test_a_store_holds_nothing_twice_and_keeps_the_order() -> None:
    one, two = IkeV1Secret(COOKIE, b"a" * 16), IkeV1Secret(COOKIE, b"b" * 16)
    gathering = Gathering()
    gathering.take(Reading(Secrets(ike_v1=(two, one)), ("first",)))
    gathering.take(Reading(Secrets(ike_v1=(one,)), ("second",)))
    reading = gathering.reading()
    assert reading.secrets.ike_v1 == (two, one)
    assert len(reading.secrets) == 2
    assert reading.problems == ("first", "second")


def test_where_a_secret_came_from_does_not_make_it_another() -> None:
    assert IkeV1Secret(COOKIE, b"a", origin="moon") == IkeV1Secret(COOKIE, b"a", origin="sun")


def test_no_key_is_in_a_repr() -> None:
    key = b"secret octets, 32 of them, shhh!"
    shown = repr(Secrets((IkeV1Secret(COOKIE, key),), (), (IpsecSecret(1, encryption_key=key),)))
    assert "secret octets" not in shown
    assert key.hex() not in shown


@pytest.mark.parametrize(
    ("pattern", "address", "matches"),
    [
        ("*", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.*", "10.0.0.77", True),
        ("10.0.0.0/8", "10.9.9.9", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("2001:db8:0::1", "2001:db8::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("rubbish", "10.0.0.1", False),
    ],
)
def test_an_address_matches_its_pattern(pattern: str, address: str, matches: bool) -> None:
    assert address_matches(pattern, address) is matches
