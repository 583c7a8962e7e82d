# SPDX-License-Identifier: GPL-2.0-or-later
"""Two messages of Aggressive Mode give a preshared key away to whoever has it in a list."""

from dataclasses import replace

import pytest

from harness.capture.decryption import Decryption, decrypt
from harness.capture.psk_guess import guess, openings
from harness.ike.transforms import prf
from harness.ike.v1.configuration import Phase1, Phase1Mode, PreSharedKey
from tests.capture.packets import frame, ip, udp
from tests.ike.v1.pair import Pair, seil, swan
from tests.ike.v1.test_signatures import RACOON, pair_of, signer

FORCED = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
WORDS = (b"password", b"letmein", b"xeeB5gohvaYi", b"zzz")


def seen(pair: Pair) -> Decryption:
    """What somebody on the path between the two has, without any key."""
    return decrypt(
        frame(
            ip(
                udp(one.data, one.source.port, one.destination.port), 17,
                one.source.host, one.destination.host,
            ),
            number,
        )
        for number, one in enumerate(pair.sent, 1)
    )  # fmt: skip


def aggressive(messages: int = 99, **changes) -> Pair:
    phase1 = replace(FORCED, **changes)
    pair = Pair(seil(phase1=phase1), swan(phase1=phase1))
    pair.initiate()
    for _ in range(messages - 1):
        if pair.queue:
            pair.deliver(pair.queue.pop(0))
    return pair


@pytest.mark.parametrize("digest", ["HMAC_MD5", "HMAC_SHA1", "HMAC_SHA2_256", "HMAC_SHA2_512"])
def test_a_word_list_with_the_key_in_it_finds_it_from_two_messages(digest):
    pair = aggressive(2, hashes=(prf(digest),))
    assert len(pair.sent) == 2
    found = guess(seen(pair).entries, WORDS)
    assert found.secret == b"xeeB5gohvaYi"
    assert (found.tried, found.frames) == (3, (1, 2))


def test_a_whole_exchange_with_what_follows_gives_no_more():
    assert guess(seen(aggressive()).entries, WORDS).frames == (1, 2)


def test_a_key_that_is_in_no_list_is_not_found():
    assert guess(seen(aggressive()).entries, (b"password", b"xeeB5gohvaY", b"")) is None


def test_the_first_message_alone_gives_nothing_away():
    pair = aggressive(1)
    assert len(pair.sent) == 1
    assert list(openings(seen(pair).entries)) == []
    assert guess(seen(pair).entries, WORDS) is None


def test_main_mode_gives_nothing_away_to_who_only_listens():
    pair = Pair()
    pair.up()
    assert guess(seen(pair).entries, WORDS) is None


def test_a_refusal_gives_nothing_away():
    pair = Pair(seil(phase1=FORCED), swan())
    pair.initiate()
    pair.run()
    assert len(pair.sent) == 2
    assert guess(seen(pair).entries, WORDS) is None


def test_a_signature_gives_nothing_away():
    pair = pair_of(signer("moon"), signer("sun"), replace(RACOON, mode=Phase1Mode.AGGRESSIVE))
    pair.up()
    assert list(openings(seen(pair).entries)) == []


def test_of_two_exchanges_each_is_tried():
    other = PreSharedKey(b"zzz")
    second = Pair(
        seil(phase1=FORCED, credentials=other), swan(phase1=FORCED, credentials=other), seed=9
    )
    first = aggressive()
    second.up()
    first.sent += second.sent
    entries = seen(first).entries
    assert len(list(openings(entries))) == 2
    assert guess(entries, (b"zzz",)).secret == b"zzz"


def test_a_repeated_first_message_is_one_exchange():
    pair = aggressive(1)
    pair.queue.append(pair.sent[0])
    pair.run()
    pair.sent.insert(1, pair.sent[0])
    assert guess(seen(pair).entries, WORDS).secret == b"xeeB5gohvaYi"


def test_the_sentence_says_what_to_do_and_not_the_key():
    found = guess(seen(aggressive()).entries, WORDS)
    assert str(found) == (
        "frames 1 and 2, which anybody on the path can read, were enough to find the preshared key"
        " with word 3 of a list: use Main Mode, or certificates, or a key that is in no list"
    )
    assert "xeeB5gohvaYi" not in repr(found)
