# SPDX-License-Identifier: GPL-2.0-or-later
import struct
from dataclasses import replace

import pytest

from harness.capture.decryption import decrypt
from harness.capture.entries import Status
from harness.capture.secrets import Secrets
from harness.ike import payloads_v2 as v2
from harness.ike.payload import Payload
from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    Encryption,
    Integrity,
)
from tests.capture.opened import ike_of, opened
from tests.capture.packets import (
    frames,
    header,
    ike,
    ike_secret,
    sealed,
)
from tests.capture.runs import Runs

PAYLOADS: list[Payload] = [v2.Notify(16393, b"", 3, b"\1\2\3\4"), v2.Nonce(bytes(range(32)))]


@pytest.mark.parametrize("run", ["ikev2-psk", "ikev2-certificates"])
def test_every_sealed_message_of_ikev2_is_authentic(runs: Runs, run: str) -> None:
    sealed_ones = [
        ike_of(one) for one in runs.decrypted(run).ike if ike_of(one).header.next_payload == 46
    ]
    assert len(sealed_ones) == 16
    assert all(one.authentic for one in sealed_ones)


def pairs() -> list[tuple[Encryption, Integrity | None]]:
    found: list[tuple[Encryption, Integrity | None]] = []
    for cipher in ENCRYPTIONS:
        if cipher.id is None or cipher.kind == "gmac":
            continue
        macs = [None] if cipher.combined else [one for one in INTEGRITIES if one.icv_size]
        found += [(cipher, mac) for mac in macs]
    return found


def test_ikev2_is_opened_with_every_algorithm_both_ways() -> None:
    assert len(pairs()) > 150
    for cipher, mac in pairs():
        secret = ike_secret(cipher, mac)
        for initiator in (True, False):
            message = header(36, 3, initiator=initiator, response=not initiator)
            (entry,) = opened([ike(sealed(secret, message, PAYLOADS)[0], port=4500)], secret)
            assert ike_of(entry).payloads == tuple(PAYLOADS), (cipher.name, mac)
            assert ike_of(entry).authentic


def test_fragments_are_put_together_in_any_order_and_each_says_where_the_whole_is() -> None:
    secret = ike_secret()
    one, two, three = sealed(secret, header(35, 1), PAYLOADS, fragments=3)
    found = opened([ike(three), ike(one), ike(one), ike(two)], secret)
    assert [ike_of(each).status for each in found] == [
        Status.FRAGMENT, Status.FRAGMENT, Status.FRAGMENT, Status.DECRYPTED,
    ]  # fmt: skip
    assert [ike_of(each).fragment for each in found] == [(3, 3), (1, 3), (1, 3), (2, 3)]
    assert [ike_of(each).whole_in for each in found] == [4, 4, 0, 4]
    assert ike_of(found[2]).repeats == 2
    assert ike_of(found[3]).payloads == tuple(PAYLOADS)
    assert ike_of(found[3]).frames == (1, 2, 4)


def test_fragments_of_another_size_are_another_message() -> None:
    secret = ike_secret()
    twice = sealed(secret, header(35, 1), PAYLOADS, fragments=2)
    thrice = sealed(secret, header(35, 1), PAYLOADS, fragments=3)
    found = opened([ike(one) for one in (twice[0], *thrice)], secret)
    assert ike_of(found[0]).whole_in == 0
    assert ike_of(found[3]).payloads == tuple(PAYLOADS)


def test_a_fragment_that_cannot_be_is_malformed() -> None:
    secret = ike_secret()
    message = replace(header(35, 1), payloads=())
    (piece,) = sealed(secret, message, PAYLOADS, fragments=1)
    for number, total in ((0, 1), (2, 1)):
        # The numbers are authenticated, so that they are forged by who has the keys.
        forged = resealed(secret, piece, number, total)
        (entry,) = opened([ike(forged)], secret)
        assert ike_of(entry).status is Status.MALFORMED
        assert ike_of(entry).detail == f"fragment {number} of {total} cannot be"


def resealed(secret: object, datagram: bytes, number: int, total: int) -> bytes:
    from harness.ike.encrypted_payload import open_payloads, seal_payloads
    from harness.ike.protection import protection

    ready = protection(secret.encryption, secret.ei, secret.integrity, secret.ai)  # type: ignore[attr-defined]
    prefix, body = datagram[:36], datagram[36:]
    plaintext = open_payloads(ready, prefix, body)
    changed = prefix[:32] + struct.pack(">HH", number, total)
    return changed + seal_payloads(ready, changed, plaintext, bytes(ready.iv_size))


def test_keys_that_change_within_an_sa_are_all_used() -> None:
    """After each IKE_INTERMEDIATE with a key exchange there is a new set (RFC 9370)."""
    first, second = ike_secret(seed=1), ike_secret(seed=5)
    packets = [
        ike(sealed(first, header(43, 1), [v2.KeyExchange(36, b"k" * 40)])[0]),
        ike(sealed(first, header(43, 1, initiator=False, response=True), PAYLOADS)[0], True),
        ike(sealed(second, header(35, 2), PAYLOADS)[0]),
    ]
    for secrets in ((first, second), (second, first)):
        assert all(ike_of(one).authentic for one in opened(packets, *secrets))


def test_a_candidate_is_bound_to_the_sa_that_it_opens() -> None:
    right, wrong = ike_secret(seed=1), ike_secret(seed=2)
    candidates = [replace(one, spi_i=None, spi_r=None, encryption=None, integrity=None)
                  for one in (wrong, right)]  # fmt: skip
    packets = [ike(sealed(right, header(37, 4), PAYLOADS)[0])]
    decryption = decrypt(frames(packets), Secrets(ike_v2=tuple(candidates)))
    assert ike_of(decryption.entries[0]).payloads == tuple(PAYLOADS)
    assert decryption.secrets.ike_v2 == (right,)


def test_a_changed_message_has_a_bad_icv_and_what_is_before_sk_is_shown() -> None:
    secret = ike_secret()
    message = replace(header(37, 4), payloads=(v2.Notify(16404),))
    datagram = bytearray(sealed(secret, message, PAYLOADS)[0])
    datagram[-1] ^= 1
    (entry,) = opened([ike(bytes(datagram))], secret)
    assert (ike_of(entry).status, ike_of(entry).authentic) == (Status.BAD_ICV, False)
    assert ike_of(entry).payloads == (v2.Notify(16404),)


def test_what_is_malformed_inside_sk_is_told_with_its_place() -> None:
    secret = ike_secret()
    raw: list[Payload] = [v2.Notify(1), v2.Delete(3, (b"\1\2\3\4",), count=9)]
    (entry,) = opened([ike(sealed(secret, header(37, 4), raw)[0])], secret)
    assert ike_of(entry).status is Status.MALFORMED
    assert ike_of(entry).detail.startswith("inside SK, ")
    assert ike_of(entry).authentic
