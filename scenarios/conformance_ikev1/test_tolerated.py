# SPDX-License-Identifier: GPL-2.0-or-later
"""What is unusual and allowed under an ISAKMP SA, and what is nobody's business."""

from __future__ import annotations

from harness.ike.constants_v1 import NotifyType, ProtocolId
from harness.ike.payloads_v1 import Delete, Notification, VendorId
from harness.ike.script import ALWAYS, with_payloads
from harness.ike.v1.informational import about_isakmp
from harness.ike.v1.script import with_padding
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.rules import Rules
from scenarios.conformance_ikev1.prober import Prober

ANY_STATUS, ANY_ERROR = 40_999, 8_191
"""Notify types for private use (RFC 2408 3.14.1)."""
NOBODYS_SPI = bytes.fromhex("0badcafe")
BLOCK = 16


@scenario(
    "conformance-ikev1-tolerated",
    "Unknown notifies, vendors and SPIs change nothing, and are not answered.",
    rfc="2408 5.14",
)
def test_ikev1_tolerated(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established()
    with Rules(lab, sun) as rule:
        with rule("r-u-there", rfc="3706 5.2"):
            assert prober.answers(lambda plain: plain)
        with rule("unknown-status-notify", rfc="2408 5.14"):
            prober.forge(about_isakmp(ANY_STATUS, prober.cookies, b"?"))
            assert prober.goes_on() == []
        with rule("unknown-error-notify", rfc="2408 5.14"):
            prober.forge(about_isakmp(ANY_ERROR, prober.cookies, b"?"))
            assert prober.goes_on() == []
        with rule("notify-about-unknown-spi", rfc="2408 5.14"):
            prober.forge(Notification(ANY_STATUS, b"?", ProtocolId.IPSEC_ESP, NOBODYS_SPI))
            assert prober.goes_on() == []
        with rule("notifies-repeated", rfc="2408 3.14"):
            prober.forge(*[about_isakmp(ANY_STATUS, prober.cookies)] * 20)
            assert prober.goes_on() == []
        with rule("initial-contact-repeated", rfc="2407 4.6.3.3"):
            prober.forge(about_isakmp(NotifyType.INITIAL_CONTACT, prober.cookies))
            prober.goes_on()
        with rule("vendor-id-beside-notify", rfc="2408 3.16"):
            assert prober.answers(with_payloads(VendorId(b"a lab")))
        with rule("delete-of-unknown-spi", rfc="2408 5.15"):
            prober.forge(Delete(ProtocolId.IPSEC_ESP, (NOBODYS_SPI,)))
            assert prober.goes_on() == []
        with rule("delete-of-nothing", rfc="2408 3.15"):
            prober.forge(Delete(ProtocolId.IPSEC_ESP, spi_size=4))
            assert prober.goes_on() == []
        with rule("delete-of-unknown-isakmp-sa", rfc="2408 5.15"):
            prober.forge(Delete(ProtocolId.ISAKMP, (b"somebody" * 2,)))
            assert prober.goes_on() == []
        # Only an answer to what was asked proves anything.
        with rule("r-u-there-ack-unasked", rfc="3706 6.1"):
            prober.forge(about_isakmp(NotifyType.R_U_THERE_ACK, prober.cookies, bytes(4)))
            assert prober.goes_on() == []
        # Zeros behind the last payload fill a block, whatever other senders put there.
        with rule("padding-of-zeros", rfc="2409 B"):
            assert prober.answers(with_padding(b""))
        with rule("padding-of-blocks", rfc="2409 B"):
            assert prober.answers(with_padding(bytes(3 * BLOCK)))
        with rule("all-survive", rfc="2408 5.14"):
            assert prober.goes_on() == []


@scenario(
    "conformance-ikev1-repetitions",
    "Each message that comes twice is answered alike or not at all, and makes nothing twice.",
    rfc="2408 5.1",
)
def test_ikev1_repetitions(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun)
    prober.script.sent(times=ALWAYS).repeat()
    prober.established()
    with Rules(lab, sun) as rule:
        with rule("main-mode", rfc="2408 5.1"):
            assert len({one.data for one in prober.said("IDENTITY_PROTECTION")}) == 3
        with rule("quick-mode", rfc="2408 5.1"):
            assert len({one.data for one in prober.said("QUICK_MODE")}) == 1
        with rule("nothing-is-there-twice", rfc="2409 5.5"):
            prober.goes_on()
