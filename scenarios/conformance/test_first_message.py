# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_SA_INIT requests that are unusual or wrong, each the beginning of an IKE SA of its own."""

from dataclasses import replace

from harness.capture.exchanges import IkeSaInit
from harness.ike.constants_v2 import Flag, PayloadType, TransformType
from harness.ike.payload import CRITICAL, Forged, Payload, RawPayload
from harness.ike.payloads_v2 import KeyExchange, Nonce, Notify, VendorId
from harness.ike.sa_v2 import SecurityAssociation
from harness.ike.script import with_header, with_payloads, without
from harness.ike.transforms import key_exchange
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET
from scenarios.conformance.changes import (
    chosen,
    reordered,
    reserved,
    unknown,
    with_all,
    with_each,
    with_numbers,
    with_proposals,
)
from scenarios.conformance.prober import Prober, notifies
from scenarios.conformance.rules import Rules

OK = IkeSaInit()
UNKNOWN_PAYLOAD, ANY_STATUS = 200, 40_999
MANY = 60
TAKES_ANY_LENGTH = {"strongswan": "it answers, whatever length the header says"}
NO_PROPOSAL_INSTEAD = {"strongswan": "it answers NO_PROPOSAL_CHOSEN, not INVALID_SYNTAX"}
ECP_256 = key_exchange("ECP_256").id
X25519 = key_exchange("X25519").id


@scenario(
    "conformance-first-message",
    "An IKE_SA_INIT request that is only unusual is accepted, one that is wrong is refused.",
    rfc="7296 1.2",
)
def test_first_message(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_ike(proposals=("aes128-sha256-x25519",)))
    with Rules(lab, sun) as rule:
        with rule("reserved-flags-of-header", rfc="7296 3.1"):
            assert prober.opens(with_header(flags=int(Flag.INITIATOR) | 0x47)) == OK
        with rule("version-flag-of-header", rfc="7296 3.1"):
            assert prober.opens(with_header(flags=int(Flag.INITIATOR | Flag.VERSION))) == OK
        # The bit says nothing about a payload that is known.
        with rule("known-payloads-critical", rfc="7296 2.5"):
            assert prober.opens(with_all(critical)) == OK
        with rule("reserved-fields-of-payloads", rfc="7296 3.2"):
            odd = with_each(KeyExchange, lambda own: replace(own, reserved=0xFFFF, flags=0x7F))
            assert prober.opens(lambda plain: with_each(SecurityAssociation, reserved)(odd(plain)))
        with rule("unknown-payload", rfc="7296 2.5"):
            unknown_payload = RawPayload(UNKNOWN_PAYLOAD, b"?", 0x7F)
            assert prober.opens(with_payloads(unknown_payload)) == OK
        with rule("unknown-critical-payload", rfc="7296 2.5"):
            answer = prober.opens(with_payloads(RawPayload(UNKNOWN_PAYLOAD, b"?", CRITICAL)))
            unsupported = ("UNSUPPORTED_CRITICAL_PAYLOAD", bytes([UNKNOWN_PAYLOAD]))
            assert notifies(answer) == [unsupported]
        with rule("unknown-notifies-and-vendors", rfc="7296 3.10.1"):
            more = with_payloads(*[Notify(ANY_STATUS, b"?"), VendorId(b"a lab")] * 5)
            assert prober.opens(more) == OK
        # Receivers take payloads in any order (7296 2.5), whatever senders are told.
        with rule("payloads-in-another-order", rfc="7296 2.5"):
            assert prober.opens(reordered) == OK
        with rule("unknown-transforms-in-first-proposal", rfc="7296 3.3.6"):
            answer = prober.opens(
                with_proposals(lambda own: (unknown(own[0], TransformType.ENCR), *own))
            )
            assert answer == OK
            assert chosen(answer.about.response).number == 2
        with rule("last-of-many-proposals", rfc="7296 3.3"):
            answer = prober.opens(
                with_proposals(lambda own: (unknown(own[0], TransformType.PRF),) * MANY + own)
            )
            assert answer == OK
            assert chosen(answer.about.response).number == MANY + 1
        # What is taken is told by the number that it came with.
        with rule("proposal-numbers-with-gaps", rfc="7296 3.3.1"):
            gaps = with_numbers(1, 7)
            twice = with_proposals(lambda own: (unknown(own[0], TransformType.ENCR), *own))
            answer = prober.opens(lambda plain: gaps(twice(plain)))
            assert answer.error != "" or chosen(answer.about.response).number == 7
        with rule("no-known-proposal", rfc="7296 2.7"):
            answer = prober.opens(
                with_proposals(lambda own: (unknown(own[0], TransformType.INTEG),))
            )
            assert answer == IkeSaInit(error="NO_PROPOSAL_CHOSEN")
        with rule("ke-of-another-group", rfc="7296 1.3"):
            answer = prober.opens(
                with_each(KeyExchange, lambda own: replace(own, group=ECP_256, data=bytes(64)))
            )
            assert notifies(answer) == [("INVALID_KE_PAYLOAD", X25519.to_bytes(2))]
        with rule("ke-too-short", rfc="7296 3.10.1", deviates=NO_PROPOSAL_INSTEAD):
            answer = prober.opens(with_each(KeyExchange, lambda own: replace(own, data=b"short")))
            assert answer.error == "INVALID_SYNTAX"
        with rule("no-ke", rfc="7296 1.2"):
            assert prober.opens(without(PayloadType.KE)).error == "INVALID_SYNTAX"
        with rule("no-nonce", rfc="7296 1.2"):
            assert prober.opens(without(PayloadType.NONCE)).error == "INVALID_SYNTAX"
        with rule("nonce-too-short", rfc="7296 3.9"):
            answer = prober.opens(with_each(Nonce, lambda own: replace(own, data=b"8 octets")))
            assert answer.error == "INVALID_SYNTAX"
        # Sun may say that it is malformed, and need not (RFC 7296 2.21.1).
        with rule("payload-beyond-message", rfc="7296 3.2"):
            prober.refuses(with_each(Nonce, lambda own: Forged(own, length=400)))
        with rule("payload-shorter-than-its-header", rfc="7296 3.2"):
            prober.refuses(with_each(Nonce, lambda own: Forged(own, length=3)))
        with rule("message-id-not-zero", rfc="7296 2.2"):
            prober.shuns(with_header(message_id=1))
        with rule("spi-of-responder-not-zero", rfc="7296 2.6"):
            prober.shuns(with_header(responder_spi=b"somebody"))
        with rule("length-beyond-datagram", rfc="7296 3.1", deviates=TAKES_ANY_LENGTH):
            prober.shuns(with_header(length=4_000))
        with rule("length-short-of-payloads", rfc="7296 3.1", deviates=TAKES_ANY_LENGTH):
            prober.shuns(with_header(length=30))


def critical(payloads: tuple[Payload, ...]) -> tuple[Payload, ...]:
    """The payloads, each with the critical bit."""
    return tuple(replace(one, flags=CRITICAL) for one in payloads)  # type: ignore[type-var]
