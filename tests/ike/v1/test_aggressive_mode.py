# SPDX-License-Identifier: GPL-2.0-or-later
"""Aggressive Mode: three messages, sizes of the seed, and the guess of the secret."""

from harness.ike.constants_v1 import ExchangeType
from harness.ike.keys_v1 import Phase1Exchange, hash_r, skeyid_psk
from harness.ike.payload import first
from harness.ike.payloads_v1 import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    SecurityAssociation,
    VendorId,
)
from harness.ike.transforms import prf
from harness.ike.v1.configuration import NatTraversal, Phase1, Phase1Mode
from harness.ike.v1.events import IsakmpSaEstablished
from tests.ike.v1.pair import Pair, mirrored, seil, swan

FORCED = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)


def up(**changes) -> Pair:
    pair = Pair(seil(phase1=FORCED, **changes), swan(phase1=FORCED))
    pair.up()
    return pair


def test_three_messages_and_then_quick_mode():
    pair = up()
    ours = [
        m.exchange
        for m, one in zip(pair.messages(), pair.sent, strict=True)
        if one.source.host == "10.0.0.1"
    ]
    assert ours == [ExchangeType.AGGRESSIVE] * 2 + [5] + [ExchangeType.QUICK_MODE] * 2
    assert mirrored(pair.a, pair.b)


def test_the_messages_have_the_sizes_and_payloads_of_the_seed():
    pair = up()
    one, _, three = pair.messages()[:3]
    assert (pair.sizes[0], pair.sizes[2]) == (568, 136)
    assert [type(payload) for payload in one.payloads] == [
        SecurityAssociation, KeyExchange, Nonce, Identification, VendorId, VendorId, VendorId,
    ]  # fmt: skip
    # The third message is in clear, as a SEIL sends it.
    assert three.flags == 0
    assert isinstance(three.payloads[0], Hash)


def test_a_nat_is_found_in_aggressive_mode_too():
    pair = up(nat=NatTraversal(force=True))
    assert pair.b.only(IsakmpSaEstablished).nat.remote
    assert (pair.sent[2].source.port, pair.sent[2].destination.port) == (4500, 4500)
    assert pair.b.sas[0].encapsulated


def test_the_first_two_messages_are_enough_to_guess_the_secret():
    pair = Pair(seil(phase1=FORCED), swan(phase1=FORCED))
    pair.initiate()
    pair.deliver(pair.queue.pop(0))
    one, two = pair.messages()
    digest = prf("HMAC_SHA2_256")

    def of(message, kind):
        return first(message.payloads, kind)

    values = Phase1Exchange(
        of(one, KeyExchange).data,
        of(two, KeyExchange).data,
        two.initiator_spi,
        two.responder_spi,
        of(one, SecurityAssociation).body(),
    )

    def fits(word: str) -> bool:
        nonces = of(one, Nonce).data, of(two, Nonce).data
        skeyid = skeyid_psk(digest, word.encode(), *nonces)
        body = of(two, Identification).body()
        return hash_r(digest, skeyid, values, body) == of(two, Hash).data

    wordlist = ["password", "secret", "xeeB5gohvaYi", "letmein"]
    assert [word for word in wordlist if fits(word)] == ["xeeB5gohvaYi"]
