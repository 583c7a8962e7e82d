# SPDX-License-Identifier: GPL-2.0-or-later
"""Main Modes of which one of moon's later messages is unusual or wrong."""

from __future__ import annotations

from dataclasses import replace

from harness.ike.constants_v1 import PayloadType
from harness.ike.payloads_v1 import Hash, Identification, KeyExchange, Nonce, VendorId
from harness.ike.script import with_payloads, without
from harness.ike.v1.informational import about_isakmp
from harness.ike.v1.script import Change, in_clear, with_padding
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.changes import reordered, with_all, with_each
from scenarios.conformance.rules import Rules
from scenarios.conformance_ikev1.prober import Prober
from scenarios.conformance_ikev1.test_quick_mode import nonce_first

ANY_STATUS = 40_999
TAKES_IT = {"strongswan": "it goes on as if that were right"}


@scenario(
    "conformance-ikev1-main-mode",
    "Nobody gets an ISAKMP SA with a wrong message, or without proof; order does not matter.",
    rfc="2409 5.4",
)
def test_ikev1_main_mode(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun)
    with Rules(lab, sun) as rule:
        with rule("payloads-of-message-3-in-another-order", rfc="2409 5"):
            assert prober.main_mode(with_all(nonce_first), message=3) == ""
        with rule("vendor-id-in-message-3", rfc="2408 3.16"):
            assert prober.main_mode(with_payloads(VendorId(b"a lab")), message=3) == ""
        with rule("hash-before-identity", rfc="2409 5"):
            assert prober.main_mode(reordered, message=5) == ""
        with rule("unknown-notify-in-message-5", rfc="2408 5.14"):
            unknown = with_payloads(about_isakmp(ANY_STATUS, bytes(16)))
            assert prober.main_mode(unknown, message=5) == ""
        with rule("padding-of-message-5", rfc="2409 B"):
            assert prober.main_mode(with_padding(bytes(48)), message=5) == ""
        with rule("no-ke", rfc="2409 5.4"):
            refuses(prober, without(PayloadType.KE), message=3)
        with rule("no-nonce", rfc="2409 5.4"):
            refuses(prober, without(PayloadType.NONCE), message=3)
        with rule("nonce-too-short", rfc="2409 5"):
            refuses(prober, with_each(Nonce, lambda own: replace(own, data=own.data[:7])), 3)
        with rule("ke-too-short", rfc="2408 5.7"):
            refuses(prober, with_each(KeyExchange, lambda own: replace(own, data=b"short")), 3)
        with rule("reserved-octet-of-payload", rfc="2408 5.3", deviates=TAKES_IT):
            refuses(prober, with_each(Nonce, lambda own: replace(own, flags=1)), message=3)
        with rule("message-5-in-clear", rfc="2409 5.4"):
            refuses(prober, in_clear, message=5)
        with rule("hash-does-not-verify", rfc="2408 5.11"):
            refuses(prober, with_each(Hash, of_zeros), message=5)
        with rule("no-hash", rfc="2409 5.4"):
            refuses(prober, without(PayloadType.HASH), message=5)
        with rule("no-identity", rfc="2409 5.4"):
            refuses(prober, without(PayloadType.ID), message=5)
        # The HASH is over the identity that moon has.
        with rule("identity-of-somebody", rfc="2409 5"):
            refuses(prober, with_each(Identification, of_somebody), message=5)


def refuses(prober: Prober, change: Change, message: int) -> None:
    """Check that sun does not make an ISAKMP SA of this Main Mode."""
    ended = prober.main_mode(change, message)
    assert ended != "", "sun makes an ISAKMP SA"
    made = [one for one in prober.net.sun.sas() if one.state.lower() == "established"]
    assert made == [], f"sun has an ISAKMP SA, and moon ended with {ended}"


def of_zeros(own: Hash) -> Hash:
    return replace(own, data=bytes(len(own.data)))


def of_somebody(own: Identification) -> Identification:
    return replace(own, data=own.data[::-1])
