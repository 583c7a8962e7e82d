# SPDX-License-Identifier: GPL-2.0-or-later
"""Ten thousand inputs of the kind of which ci/nightly takes a million."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from harness.capture.decryption import decrypt
from harness.ike.v1.configuration import Phase1Mode
from tests.capture import packets
from tests.fuzz import targets
from tests.fuzz.__main__ import shared_out
from tests.fuzz.batch import run_batch, target_named
from tests.fuzz.inputs import corpus
from tests.fuzz.targets import TARGETS, feed_v1, pair_v1
from tests.ike.test_wire_properties import check
from tests.ike.v2 import test_robustness as v2

IN_ALL = 10_000
WORK = tuple(shared_out(IN_ALL, tuple(one.name for one in TARGETS)))


@pytest.mark.parametrize("name", [one.name for one in TARGETS])
def test_no_input_does_harm_to(name: str) -> None:
    for target, number, _ in WORK:
        if target == name:
            found = run_batch(name, "every day", number)
            assert found is None, str(found)


def test_the_inputs_are_ten_thousand_and_each_target_has_its_share() -> None:
    assert sum(size for *_, size in WORK) >= IN_ALL
    assert {name for name, *_ in WORK} == {one.name for one in TARGETS}


def test_a_seed_gives_the_same_inputs_again_and_another_seed_others() -> None:
    def digest(seed: str) -> str:
        seen = hashlib.sha256()
        for target in TARGETS:
            target.run(Random(f"{seed}/{target.name}/0"), 10, seen.update)
        return seen.hexdigest()

    assert digest("a") == digest("a") != digest("b")


def test_what_is_found_is_told_with_its_octets_and_how_to_see_it_again(monkeypatch) -> None:
    def refuse(octets: bytes) -> None:
        raise ValueError("harm")

    monkeypatch.setattr(targets.codec, "check", refuse)
    found = run_batch("codec", "a seed", 3)
    assert found is not None
    assert "ValueError: harm" in str(found)
    assert f"The last input was {found.octets.hex()}" in str(found)
    assert str(found).endswith("ci/nightly --seed a seed --target codec --batch 3")


def test_a_target_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(LookupError, match="'none'; there are codec, ikev2"):
        target_named("none")


@pytest.mark.parametrize("name", corpus())
def test_a_kept_input_does_no_harm_to_anybody(name: str) -> None:
    kept = corpus()
    octets = kept[name]
    assert [other for other in kept if kept[other] == octets] == [name]
    check(octets)
    for step in (0, 1, 3, 4, 8):
        v2.feed(v2.until(step, hybrid=False), octets)
        v2.feed(v2.until(step, hybrid=False), bytes(4) + octets)
    pair = pair_v1(Phase1Mode.MAIN)
    feed_v1(pair, octets)
    pair.up()
    feed_v1(pair, octets)
    feed_v1(pair, bytes(4) + octets)
    found = decrypt(packets.frames([packets.ike(octets), packets.ike(octets, port=4500)]))
    assert len(found.entries) == 2
