# SPDX-License-Identifier: GPL-2.0-or-later
"""The small parts of the engine by themselves: cookies, collisions, schedule, windows, chance."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ike.address import Address
from harness.ike.chance import Purpose, choosing, drawing, from_randomness
from harness.ike.retransmission import Retransmission
from harness.ike.v2.collisions import Contender, loses
from harness.ike.v2.connection import Identity
from harness.ike.v2.cookies import CookieJar
from harness.ike.v2.schedule import RateLimit, Schedule
from harness.ike.v2.spis import SpiBook
from harness.ike.v2.window import RequestWindow
from tests.ike.v2.pair import MOON, SUN, seeded

nonce = st.binary(min_size=16, max_size=20)


class TestCookies:
    def test_are_known_for_one_initiator_and_two_lifetimes(self) -> None:
        jar = CookieJar(seeded(1), lifetime=60.0)
        cookie = jar.bake(b"n" * 32, b"s" * 8, MOON, 0.0)
        assert jar.knows(cookie, b"n" * 32, b"s" * 8, MOON, 59.0)
        assert jar.knows(cookie, b"n" * 32, b"s" * 8, MOON, 61.0)
        assert not jar.knows(cookie, b"n" * 32, b"s" * 8, MOON, 125.0)

    @pytest.mark.parametrize("change", range(5))
    def test_are_unknown_for_any_other(self, change: int) -> None:
        jar = CookieJar(seeded(1))
        cookie = jar.bake(b"n" * 32, b"s" * 8, MOON, 0.0)
        shown = [cookie, b"n" * 32, b"s" * 8, MOON]
        others = [cookie[:-1], b"m" * 32, b"t" * 8, SUN, MOON.on_port(501)]
        shown[min(change, 3)] = others[change]
        assert not jar.knows(*shown, 1.0)  # type: ignore[arg-type]

    def test_from_long_ago_are_unknown_even_if_nobody_asked_since(self) -> None:
        jar = CookieJar(seeded(1), lifetime=60.0)
        cookie = jar.bake(b"n", b"s", MOON, 0.0)
        assert not jar.knows(cookie, b"n", b"s", MOON, 1_000.0)


class TestCollisions:
    @given(nonce, nonce, nonce, nonce)
    def test_are_decided_alike_at_both_ends(self, a: bytes, b: bytes, c: bytes, d: bytes) -> None:
        one, other = Contender(a, b), Contender(c, d)
        if sorted((a, b)) != sorted((c, d)):
            assert loses(one, other) != loses(other, one)

    @pytest.mark.parametrize("order", list(permutations(range(4))))
    def test_are_lost_by_the_lowest_of_four(self, order: tuple[int, ...]) -> None:
        a, b, c, d = (bytes([rank]) * 16 for rank in order)
        assert loses(Contender(a, b), Contender(c, d)) == (0 in order[:2])

    def test_compare_octets_and_take_the_shorter_for_lower(self) -> None:
        low, high = b"\x01" * 16, b"\x01" * 17
        assert loses(Contender(low, b"\xff" * 16), Contender(high, b"\xff" * 16))
        assert loses(Contender(b"\x7f" * 16, b"\xff" * 16), Contender(b"\x80" * 16, b"\xff" * 16))


class TestSchedule:
    @given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 50)), max_size=300))
    def test_is_a_table_of_deadlines(self, puts: list[tuple[int, int | None]]) -> None:
        schedule: Schedule[int] = Schedule()
        table: dict[int, float | None] = {}
        for item, at in puts:
            table[item] = at
            schedule.put(item, at)
        known = [at for at in table.values() if at is not None]
        assert schedule.earliest(table.get) == min(known, default=None)
        assert set(schedule.due(25, table.get)) == {
            item for item, at in table.items() if at is not None and at <= 25
        }
        assert len(schedule._heap) <= 64 + 4 * 10

    def test_a_rate_limit_starts_again_each_second(self) -> None:
        limit = RateLimit(2)
        assert [limit.allows(at) for at in (0.0, 0.1, 0.2, 1.3, 1.4, 1.5)] == [
            True,
            True,
            False,
            True,
            True,
            False,
        ]


class TestChance:
    def test_chosen_values_come_first_and_only_for_their_purpose(self) -> None:
        draw = choosing(from_randomness(bytes), Purpose.NONCE, [b"one", b"two"])
        assert draw(Purpose.IV, 2) == b"\0\0"
        assert [drawing(draw, Purpose.NONCE)(3) for _ in range(3)] == [b"one", b"two", b"\0\0\0"]

    def test_a_source_that_repeats_itself_still_gives_new_spis(self) -> None:
        book = SpiBook(from_randomness(bytes))
        seen = set()
        for _ in range(5):
            spi = book.new_child_spi()
            assert int.from_bytes(spi, "big") >= 256
            book.take(spi)
            seen.add(spi)
        assert len(seen) == 5
        assert book.new_ike_spi(set()) == bytes(7) + b"\1"


class TestWindows:
    def test_waits_grow_and_end(self) -> None:
        window: RequestWindow[str] = RequestWindow(Retransmission(1.0, 2.0, 2))
        window.sent("task", 34, (b"m",), 0.0)
        dues = []
        at = 0.0
        while window.pending is not None:
            at = window.pending.due
            dues.append(at)
            if not window.repeat(at):
                break
        assert dues == [1.0, 3.0, 7.0]

    def test_only_the_pending_request_is_answered(self) -> None:
        window: RequestWindow[str] = RequestWindow(Retransmission())
        assert not window.answers(0, 34)
        window.sent("task", 34, (b"m",), 0.0)
        assert window.answers(0, 34)
        assert not window.answers(1, 34)
        assert not window.answers(0, 35)
        window.answered()
        assert window.next_id == 1


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("192.0.2.1", 1, "192.0.2.1"),
        ("2001:db8::1", 5, "2001:db8::1"),
        ("moon.example", 2, "moon.example"),
        ("carol@example", 3, "carol@example"),
    ],
)
def test_an_identity_is_what_its_text_looks_like(text: str, kind: int, shown: str) -> None:
    found = Identity.of(text)
    assert (found.type, str(found)) == (kind, shown)


def test_an_address_packs_either_family() -> None:
    assert Address("192.0.2.1").packed == bytes((192, 0, 2, 1))
    assert len(Address("2001:db8::1").packed) == 16
