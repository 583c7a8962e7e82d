# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that must change nothing: most would end the ISAKMP SA, were they taken for true."""

from __future__ import annotations

from dataclasses import replace

from harness.ike.constants_v1 import Flag, NotifyType
from harness.ike.payload import RawPayload
from harness.ike.payloads_v1 import Hash, Notification
from harness.ike.script import with_header, with_payloads
from harness.ike.v1.informational import about_isakmp, delete_isakmp
from harness.ike.v1.script import in_clear
from harness.ike.v1.seam import Plain
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.changes import with_each
from scenarios.conformance.rules import Rules
from scenarios.conformance_ikev1.changes import UNKNOWN
from scenarios.conformance_ikev1.prober import MAIN, QUICK, Prober, damaged
from scenarios.conformance_ikev1.requests import QUICK_REQUEST

SOMEBODY = b"somebody"
"""A cookie that no ISAKMP SA has."""
RESERVED_TYPE = 100
"""A payload type that is none, not even for private use (RFC 2408 3.1)."""
TAKES_IT = {"strongswan": "it takes the message as if that were right"}


@scenario(
    "conformance-ikev1-ignored",
    "What is in clear, damaged, out of turn or meant for another changes nothing.",
    rfc="2409 5.7",
)
def test_ikev1_ignored(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established()
    delete = delete_isakmp(prober.cookies)
    with Rules(lab, sun) as rule:
        with rule("delete-in-clear", rfc="2409 5.7"):
            prober.forge(delete, change=in_clear)
            prober.goes_on()
        with rule("authentication-failed-in-clear", rfc="2409 5.7"):
            failed = about_isakmp(NotifyType.AUTHENTICATION_FAILED, prober.cookies)
            prober.forge(failed, change=in_clear)
            prober.goes_on()
        with rule("initial-contact-in-clear", rfc="2407 4.6.3.3"):
            alone = about_isakmp(NotifyType.INITIAL_CONTACT, prober.cookies)
            prober.forge(alone, change=in_clear)
            prober.goes_on()
        with rule("hash-wrong", rfc="2408 5.11"):
            prober.forge(delete, change=with_wrong_hash)
            prober.goes_on()
        with rule("hash-empty", rfc="2409 5.7"):
            prober.forge(Hash(b""), delete)
            prober.goes_on()
        with rule("ciphertext-damaged", rfc="2408 5.11"):
            prober.send(*map(damaged, prober.sealed(delete)))
            prober.goes_on()
        with rule("ciphertext-cut", rfc="2409 B"):
            prober.send(*(replace(one, data=one.data[:-5]) for one in prober.sealed(delete)))
            prober.goes_on()
        with rule("cookie-of-initiator-unknown", rfc="2408 5.2"):
            prober.forge(delete, change=with_header(initiator_spi=SOMEBODY))
            prober.goes_on()
        with rule("cookie-of-responder-unknown", rfc="2408 5.2"):
            prober.forge(delete, change=with_header(responder_spi=SOMEBODY))
            prober.goes_on()
        # What these ask for is harmless, so that a peer that takes it goes on all the same.
        with rule("major-version", rfc="2408 5.2"):
            assert not prober.answers(with_header(version=0x30))
        with rule("minor-version", rfc="2408 3.1", deviates=TAKES_IT):
            assert not prober.answers(with_header(version=0x11))
        with rule("exchange-type-unknown", rfc="2408 5.2"):
            assert not prober.answers(with_header(exchange=UNKNOWN))
        with rule("flags-unknown", rfc="2408 5.2", deviates=TAKES_IT):
            assert not prober.answers(with_header(flags=int(Flag.ENCRYPTION) | 0xF8))
        with rule("length-beyond-datagram", rfc="2408 5.1", deviates=TAKES_IT):
            assert not prober.answers(with_header(length=4_000))
        with rule("length-short-of-datagram", rfc="2408 5.1", deviates=TAKES_IT):
            assert not prober.answers(with_header(length=92))
        with rule("reserved-octet-of-payload", rfc="2408 5.3", deviates=TAKES_IT):
            assert not prober.answers(with_each(Notification, reserved))
        with rule("payload-type-unknown", rfc="2408 5.3"):
            assert not prober.answers(with_payloads(RawPayload(RESERVED_TYPE, b"?")))
        # A Message ID of zero is that of phase 1.
        with rule("message-id-zero", rfc="2408 3.1"):
            prober.forge(delete, message_id=0)
            prober.goes_on()
        with rule("quick-mode-in-clear", rfc="2409 5.5"):
            prober.forge(*QUICK_REQUEST, exchange=QUICK, change=in_clear)
            assert quick_answers(prober) == []
        with rule("quick-mode-with-message-id-zero", rfc="2409 5.5"):
            prober.forge(*QUICK_REQUEST, exchange=QUICK, message_id=0)
            assert quick_answers(prober) == []
        with rule("quick-mode-with-wrong-hash", rfc="2408 5.11"):
            prober.forge(*QUICK_REQUEST, exchange=QUICK, change=with_wrong_hash)
            assert quick_answers(prober) == []
        # It was answered when the SAs were made, and is not begun anew.
        with rule("quick-mode-repeated", rfc="2409 5.5"):
            prober.send(prober.first_of(QUICK))
            prober.goes_on()
        with rule("main-mode-repeated", rfc="2408 5.1"):
            prober.send(prober.first_of(MAIN))
            prober.goes_on()


def reserved(own: Notification) -> Notification:
    return replace(own, flags=1)


def quick_answers(prober: Prober) -> list[str]:
    """The Quick Mode messages with which sun answered."""
    return [str(one) for one in prober.goes_on() if one.exchange == QUICK.name]


def with_wrong_hash(plain: Plain) -> Plain:
    return plain.forged(payloads=(Hash(bytes(32)), *plain.payloads))
