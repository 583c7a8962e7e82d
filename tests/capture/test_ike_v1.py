# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 of real runs, and what those do not show: Aggressive Mode, and fragments of its own."""

from dataclasses import replace

import pytest

from harness.capture.decryption import decrypt
from harness.capture.entries import Ike, Status
from harness.capture.exchanges import AggressiveMode, QuickMode, exchanges
from harness.capture.secrets import IkeV1Secret, Secrets
from harness.ike import keys_v1
from harness.ike import payloads_v1 as v1
from harness.ike.payload import Payload
from harness.ike.transforms import encryption, prf
from harness.ike.wire import VERSION_1, Message, encode, encode_payloads
from tests.capture.opened import ike_of
from tests.capture.packets import frames, ike
from tests.capture.runs import Runs

COOKIE_I, COOKIE_R = b"initiate", b"responds"
CIPHER, PRF = encryption("AES_CBC_256"), prf("HMAC_SHA1")
KEY, SKEYID, SKEYID_A = bytes(range(32)), b"s" * 20, b"a" * 20
PUBLIC_I, PUBLIC_R = b"\x11" * 128, b"\x22" * 128
SECRET = IkeV1Secret(COOKIE_I, KEY, b"", SKEYID, SKEYID_A)
TRANSFORM = v1.Transform(
    1,
    1,
    tuple(v1.Attribute(kind, value) for kind, value in ((1, 7), (14, 256), (2, 2), (3, 1), (4, 2))),
)
SA = v1.SecurityAssociation((v1.Proposal(1, 1, b"", (TRANSFORM,)),))
ID = v1.Identification(2, b"moon")


def sealed(message: Message, payloads: list[Payload], iv: bytes) -> tuple[bytes, bytes]:
    """The octets of the encrypted message, and the IV that follows from it."""
    first, inner = encode_payloads(payloads)
    ready = keys_v1.MessageCipher(16, keys_v1.cipher(CIPHER, KEY))
    body = ready.encrypt(iv, inner)
    whole = replace(message, flags=1, encrypted=body, next_payload=first)
    return encode(whole), ready.next_iv(body)


def aggressive(*given: Payload, last_is_sealed: bool = True) -> list[bytes]:
    """Aggressive Mode, and the first message of a Quick Mode with these payloads."""
    exchange = keys_v1.Phase1Exchange(PUBLIC_I, PUBLIC_R, COOKIE_I, COOKIE_R, SA.body())
    hash_i = keys_v1.hash_i(PRF, SKEYID, exchange, ID.body())
    first = Message(VERSION_1, 4, COOKIE_I)
    later = replace(first, responder_spi=COOKIE_R)
    iv = keys_v1.initial_iv(PRF, PUBLIC_I, PUBLIC_R, CIPHER)
    one = (SA, v1.KeyExchange(PUBLIC_I), v1.Nonce(b"i" * 16), ID)
    two = (SA, v1.KeyExchange(PUBLIC_R), v1.Nonce(b"r" * 16), ID, v1.Hash(b"h" * 20))
    three: list[Payload] = [v1.Hash(hash_i), ID]
    if last_is_sealed:
        last, iv = sealed(later, three, iv)
    else:
        last = encode(replace(later, payloads=tuple(three)))
    return [
        ike(encode(replace(first, payloads=one))),
        ike(encode(replace(later, payloads=two)), back=True),
        ike(last),
        ike(quick(keys_v1.phase2_iv(PRF, iv, 0xBEEF, CIPHER), *given)),
    ]


def quick(iv: bytes, *given: Payload) -> bytes:
    rest = given or (v1.Nonce(b"q" * 16), v1.Notification(24578))
    _, octets = encode_payloads(rest)
    message = Message(VERSION_1, 32, COOKIE_I, COOKIE_R, 0xBEEF)
    proof = v1.Hash(keys_v1.quick_mode_hash1(PRF, SKEYID_A, 0xBEEF, octets))
    return sealed(message, [proof, *rest], iv)[0]


@pytest.mark.parametrize("last_is_sealed", [True, False])
def test_aggressive_mode_and_what_follows_is_opened(last_is_sealed: bool) -> None:
    packets = aggressive(last_is_sealed=last_is_sealed)
    found = decrypt(frames(packets), Secrets(ike_v1=(SECRET,))).entries
    assert ike_of(found[3]).status is Status.DECRYPTED
    assert [ike_of(one).authentic for one in found[2:]] == [True if last_is_sealed else None, True]
    assert exchanges(found) == [AggressiveMode(), QuickMode("stopped after message 1")]


def test_what_its_hash_proves_is_shown_however_odd_it_is() -> None:
    odd = (v1.Nonce(b"q" * 16, flags=0x55), v1.NatDetection(b"what is this?", payload_type=99))
    (*_, entry) = decrypt(frames(aggressive(*odd)), Secrets(ike_v1=(SECRET,))).entries
    found = ike_of(entry)
    assert (found.status, found.authentic) == (Status.DECRYPTED, True)
    assert [(one.payload_type, one.flags) for one in found.payloads[1:]] == [(10, 0x55), (99, 0)]


def test_what_is_malformed_behind_a_hash_that_verifies_is_told_with_its_place() -> None:
    odd = v1.Delete(3, (b"\1\2\3\4",), count=9)
    (*_, entry) = decrypt(frames(aggressive(odd)), Secrets(ike_v1=(SECRET,))).entries
    found = ike_of(entry)
    assert (found.status, found.authentic) == (Status.MALFORMED, True)
    assert found.detail.startswith("inside HDR*, ")


def test_a_candidate_of_another_sa_is_not_taken() -> None:
    iv = keys_v1.initial_iv(PRF, PUBLIC_I, PUBLIC_R, CIPHER)
    right = replace(SECRET, cookie=None, initial_iv=iv)
    wrong = replace(SECRET, cookie=None, initial_iv=bytes(16), key=bytes(32))
    packets = aggressive(last_is_sealed=True)
    decryption = decrypt(frames(packets), Secrets(ike_v1=(wrong, right)))
    assert decryption.secrets.ike_v1 == (replace(right, cookie=COOKIE_I),)
    only_wrong = decrypt(frames(packets), Secrets(ike_v1=(wrong,)))
    assert ike_of(only_wrong.entries[2]).status is Status.NO_KEY


def test_a_capture_that_begins_after_phase_1_says_so() -> None:
    packets = aggressive(last_is_sealed=True)[3:]
    (entry,) = decrypt(frames(packets), Secrets(ike_v1=(SECRET,))).entries
    assert ike_of(entry).status is Status.NO_KEY
    assert "does not show its phase 1" in ike_of(entry).detail


def test_a_body_of_no_whole_blocks_is_malformed() -> None:
    packets = aggressive(last_is_sealed=True)[:2]
    broken = Message(VERSION_1, 4, COOKIE_I, COOKIE_R, flags=1, encrypted=bytes(17), next_payload=8)
    found = decrypt(frames([*packets, ike(encode(broken))]), Secrets(ike_v1=(SECRET,))).entries
    assert ike_of(found[2]).status is Status.MALFORMED
    assert ike_of(found[2]).detail == "its 17 octets are no whole blocks of 16"


def test_a_message_in_pieces_is_put_together(runs: Runs) -> None:
    """The fifth message of a real Main Mode, cut as Cisco's FRAGMENTATION does."""
    places = [entry.number - 1 for entry in runs.decrypted("ikev1-psk").ike]
    original = ike_of(runs.decrypted("ikev1-psk").entries[places[4]])
    whole = original.header.data
    head = Message(VERSION_1, 2, original.header.initiator_spi, original.header.responder_spi)
    pieces = [
        ike(encode(replace(head, payloads=(v1.Fragment(7, number, last, data),))), port=4500)
        for number, last, data in ((1, 0, whole[:50]), (2, 1, whole[50:]))
    ]
    taken = list(runs.captured("ikev1-psk").frames)
    second, first = (one._replace(number=1000 + n) for n, one in enumerate(frames(pieces)[::-1]))
    taken[places[4] : places[4] + 1] = [second, first]
    found = decrypt(taken, runs.keys("ikev1-psk", "moon").secrets)
    held, opened = (ike_of(found.entries[places[4] + at]) for at in (0, 1))
    assert (held.status, held.fragment, held.whole_in) == (Status.FRAGMENT, (2, 2), 1001)
    assert opened.payloads == original.payloads
    assert opened.frames == (1000, 1001)
    assert all(ike_of(one).readable for one in found.ike if one.number != 1000)


def test_pieces_within_pieces_are_refused() -> None:
    head = Message(VERSION_1, 2, COOKIE_I, COOKIE_R)
    inner = encode(replace(head, payloads=(v1.Fragment(1, 1, 1, b"x"),)))
    outer = encode(replace(head, payloads=(v1.Fragment(2, 1, 1, inner),)))
    (entry,) = decrypt(frames([ike(outer)])).entries
    assert ike_of(entry).status is Status.MALFORMED
    assert ike_of(entry).detail == "put together, it is no IKEv1 message"


def test_every_hash_of_ikev1_verifies(runs: Runs) -> None:
    hashed = [ike_of(one) for one in runs.decrypted("ikev1-psk").ike][4:]
    assert len(hashed) == 15
    assert all(one.authentic for one in hashed)


def test_a_hash_that_is_not_the_sender_s_is_noticed(runs: Runs) -> None:
    given_ = runs.keys("ikev1-psk", "moon").secrets
    forged = replace(given_.ike_v1[0], skeyid_a=bytes(20))
    found = decrypt(runs.captured("ikev1-psk").frames, replace(given_, ike_v1=(forged,))).ike
    assert [ike_of(one).status for one in found[6:9]] == [Status.BAD_ICV] * 3
    assert ike_of(found[6]).detail == "its HASH does not verify"
    assert ike_of(found[6]).payloads


def test_ka_alone_decrypts_all_of_ikev1_and_says_that_it_proves_nothing(runs: Runs) -> None:
    given_ = runs.keys("ikev1-psk", "moon").secrets
    cookie = ike_of(runs.decrypted("ikev1-psk").ike[0]).header.initiator_spi
    bare = replace(given_.ike_v1[0], cookie=cookie, initial_iv=b"", skeyid=b"", skeyid_a=b"")
    found = decrypt(runs.captured("ikev1-psk").frames, Secrets(ike_v1=(bare,))).ike
    assert [ike_of(one).payloads for one in found] == [
        ike_of(one).payloads for one in runs.decrypted("ikev1-psk").ike
    ]
    assert {ike_of(one).authentic for one in found} == {None}


def test_messages_that_came_twice_or_not_at_all_do_not_break_the_chain_of_ivs(runs: Runs) -> None:
    whole = runs.captured("ikev1-psk").frames
    places = [index for index, one in enumerate(runs.decrypted("ikev1-psk").entries)
              if isinstance(one.content, Ike)]  # fmt: skip
    # Quick Mode: the first message again after the second, as a retransmission that crossed it.
    first, second, third = places[6:9]
    order = [*whole[: second + 1], whole[first], *whole[second + 1 :]]
    again = [one._replace(number=number) for number, one in enumerate(order, 1)]
    secrets = runs.keys("ikev1-psk", "moon").secrets
    found = decrypt(again, secrets)
    assert ike_of(found.entries[second + 1]).repeats == first + 1
    assert all(ike_of(one).readable for one in found.ike)
    # Without the last message of Quick Mode the next exchange is read all the same.
    lacking = decrypt([*whole[:third], *whole[third + 1 :]], secrets)
    assert all(ike_of(one).readable for one in lacking.ike)
    # Without its first message the second cannot be read, but is told of.
    lacking = decrypt([*whole[:first], *whole[first + 1 :]], secrets)
    (unread,) = [ike_of(one) for one in lacking.ike if not ike_of(one).readable]
    assert unread.status is Status.BAD_ICV
    assert "a message before it is missing" in unread.detail
