# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages in fragments that come out of order, twice, not at all, or make no sense (RFC 7383)."""

from collections.abc import Sequence
from dataclasses import replace

from harness.capture.exchanges import Rekey
from harness.ike.address import Datagram
from harness.ike.constants_v2 import ExchangeType, NotifyType, ProtocolId
from harness.ike.payloads_v2 import Notify, VendorId
from harness.ike.retransmission import Retransmission
from harness.ike.udp_encapsulation import NON_ESP_MARKER
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET
from scenarios.conformance.prober import Prober, damaged
from scenarios.conformance.requests import REQUEST
from scenarios.conformance.rules import Rules

CREATE_CHILD_SA = ExchangeType.CREATE_CHILD_SA
SIZE = 300
"""Octets of an IP packet with a fragment at most."""
LARGE = (*REQUEST, Notify(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"none"), VendorId(bytes(900)))
"""A request that is answered by CHILD_SA_NOT_FOUND, and so changes nothing."""
NOT_FOUND = Rekey(int.from_bytes(b"none"), error="CHILD_SA_NOT_FOUND")
NUMBER = 28 + 4
"""Where a message has the number of its fragment (RFC 7383 2.5)."""
IMPATIENT = Retransmission(first=0.5, factor=1.0, tries=1)
"""After a second without an answer there is none: 0.5 and 0.5 again."""
BELIEVES = {"strongswan": "it answers INVALID_SYNTAX, which ends the IKE SA, without a check"}
REFUSES = {"strongswan": "it takes an INFORMATIONAL in fragments for one in clear"}


@scenario(
    "conformance-fragments",
    "A message in fragments is put together whatever becomes of them on the way, and no other is.",
    rfc="7383 2.6",
)
def test_fragments(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_ike(on="moon", fragment_size=SIZE)).established()
    with Rules(lab, sun) as rule:
        with rule("in-order", rfc="7383 2.6"):
            answered(prober, prober.held(*LARGE, exchange=CREATE_CHILD_SA))
        with rule("in-the-opposite-order", rfc="7383 2.6"):
            answered(prober, prober.held(*LARGE, exchange=CREATE_CHILD_SA)[::-1])
        with rule("each-twice", rfc="7383 2.6"):
            pieces = prober.held(*LARGE, exchange=CREATE_CHILD_SA)
            answered(prober, [one for one in pieces for _ in range(2)])
        # The last one is still missing when the others come again.
        with rule("one-missing-at-first", rfc="7383 2.6"):
            pieces = prober.held(*LARGE, exchange=CREATE_CHILD_SA)
            prober.send(*pieces[:-1])
            prober.send(*pieces[:-1])
            answered(prober, pieces[-1:])
        # A fragment that does not verify must not take the place of the true one.
        with rule("one-damaged", rfc="7383 2.6"):
            pieces = prober.held(*LARGE, exchange=CREATE_CHILD_SA)
            prober.send(damaged(pieces[0]))
            answered(prober, pieces)
        with rule("all-survive", rfc="7383 2.6"):
            assert prober.goes_on() == []


@scenario(
    "conformance-fragment-number",
    "A fragment whose number cannot be, from anybody, is discarded, and the message is answered.",
    rfc="7383 2.6",
)
def test_fragment_number(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_ike(on="moon", fragment_size=SIZE)).established()
    with Rules(lab, sun) as rule, rule("beyond-total", rfc="7383 2.6", deviates=BELIEVES):
        pieces = prober.held(*LARGE, exchange=CREATE_CHILD_SA)
        prober.send(with_number(pieces[0], len(pieces) + 1))
        try:
            assert prober.ended(pieces) == NOT_FOUND
        except AssertionError:
            # What moon takes for true has ended the IKE SA at both ends or at one.
            prober.net.sun.crash()
            raise


@scenario(
    "conformance-fragmented-informational",
    "An INFORMATIONAL in fragments is taken like any other message.",
    rfc="7383 2.5",
)
def test_fragmented_informational(lab: Lab, sun: Peer) -> None:
    connection = NET_NET.with_ike(on="moon", fragment_size=SIZE, retransmission=IMPATIENT)
    prober = Prober.up(lab, sun, connection).established()
    with Rules(lab, sun) as rule, rule("informational", rfc="7383 2.5", deviates=REFUSES):
        pieces = prober.held(LARGE[-1])
        try:
            assert prober.ended(pieces).error == ""
        except AssertionError:
            # Moon has given it up, and nobody will tell sun.
            prober.net.sun.crash()
            raise


def answered(prober: Prober, pieces: Sequence[Datagram]) -> None:
    """Send the last of what was held back, and check that there is the one answer to it."""
    before = prober.told
    assert prober.released(pieces) == NOT_FOUND
    prober.goes_on()
    assert len({message.data for message in prober.heard[before:-1]}) == 1


def with_number(piece: Datagram, number: int) -> Datagram:
    """The datagram with another number, so that its integrity check fails."""
    marked = piece.data.startswith(NON_ESP_MARKER)
    at = NUMBER + len(NON_ESP_MARKER) * marked
    return replace(piece, data=piece.data[:at] + number.to_bytes(2) + piece.data[at + 2 :])
