# SPDX-License-Identifier: GPL-2.0-or-later
"""What is unusual and allowed, and what is refused without harm, under an established IKE SA."""

from harness.capture.exchanges import Delete, Informational, Liveness
from harness.ike.constants_v2 import Flag, NotifyType, ProtocolId
from harness.ike.payload import CRITICAL, RawPayload
from harness.ike.payloads_v2 import Delete as DeletePayload
from harness.ike.payloads_v2 import Notify, VendorId
from harness.ike.script import with_header
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.prober import Prober, notifies
from scenarios.conformance.rules import Rules

UNKNOWN_PAYLOAD = 200
ANY_STATUS, ANY_ERROR = 40_999, 8_191
"""Notify types for private use, of those that report a status and of those that report an error."""
RESERVED_BITS = 0x7F
NOBODYS_SPI = bytes.fromhex("0badcafe")


@scenario(
    "unknown-critical-payload",
    "An unknown payload is passed over, one that is critical is refused by its type.",
    rfc="7296 2.5",
)
def test_unknown_critical_payload(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established()
    with Rules(lab, sun) as rule:
        with rule("unknown-payload", rfc="7296 2.5"):
            answer = prober.ask(RawPayload(UNKNOWN_PAYLOAD, b"?", RESERVED_BITS))
            assert answer.about.response == ()
            assert prober.goes_on() == []
        with rule("unknown-critical-payload", rfc="7296 2.5"):
            answer = prober.ask(RawPayload(UNKNOWN_PAYLOAD, b"?", CRITICAL))
            unsupported = ("UNSUPPORTED_CRITICAL_PAYLOAD", bytes([UNKNOWN_PAYLOAD]))
            assert notifies(answer) == [unsupported]
            assert prober.goes_on() == []
        # The bit says nothing about a payload that is known.
        with rule("known-payload-critical", rfc="7296 2.5"):
            assert prober.ask(VendorId(b"ikelab", CRITICAL)).about.response == ()
            assert prober.goes_on() == []


@scenario(
    "conformance-tolerated",
    "Reserved bits, unknown notifies and SPIs, and empty requests are answered and change nothing.",
    rfc="7296 3.1",
)
def test_tolerated(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established()
    with Rules(lab, sun) as rule:
        with rule("empty-informational", rfc="7296 1.4"):
            assert prober.ask() == Liveness()
        with rule("reserved-flags-of-header", rfc="7296 3.1"):
            flags = with_header(flags=int(Flag.INITIATOR) | 0x47)
            assert prober.ask(change=flags) == Liveness()
        with rule("reserved-bits-of-payload", rfc="7296 3.2"):
            status = Notify(ANY_STATUS, flags=RESERVED_BITS)
            assert prober.ask(status).about.response == ()
        # Unknown types in a request are ignored, whether they report a status or an error.
        with rule("unknown-status-notify", rfc="7296 3.10.1"):
            answer = prober.ask(Notify(ANY_STATUS, b"?"))
            assert answer == Informational((str(ANY_STATUS),))
            assert answer.about.response == ()
        with rule("unknown-error-notify", rfc="7296 3.10.1"):
            assert prober.ask(Notify(ANY_ERROR, b"?")).about.response == ()
        with rule("notifies-repeated", rfc="7296 3.10"):
            assert prober.ask(*[Notify(ANY_STATUS, b"?")] * 20).about.response == ()
        with rule("delete-of-unknown-spi", rfc="7296 1.4.1"):
            answer = prober.ask(DeletePayload(ProtocolId.ESP, (NOBODYS_SPI,)))
            assert answer == Delete(int.from_bytes(NOBODYS_SPI))
            assert answer.answered == ()
        with rule("delete-of-nothing", rfc="7296 3.11"):
            assert prober.ask(DeletePayload(ProtocolId.ESP, spi_size=4)).about.response == ()
        with rule("initial-contact-too-late", rfc="7296 2.4"):
            assert prober.ask(Notify(NotifyType.INITIAL_CONTACT)).about.response == ()
        with rule("all-survive", rfc="7296 2.21.4"):
            assert prober.goes_on() == []


@scenario(
    "version-2.1",
    "A later minor version is taken as 2.0, a later major version is refused by the one there is.",
    rfc="7296 2.5",
)
def test_version_2_1(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun)
    with Rules(lab, sun) as rule:
        with rule("minor-version-of-first-message", rfc="7296 2.5"):
            assert prober.opens(with_header(version=0x21)).error == ""
        with rule("major-version-of-first-message", rfc="7296 2.5"):
            prober.opens(with_header(version=0x30))
            answer = prober.heard[-1].data
            # It is in clear, with the highest version that sun has in its header.
            assert answer[17] == 0x20
            assert int.from_bytes(answer[34:36]) == NotifyType.INVALID_MAJOR_VERSION
        prober.established()
        with rule("minor-version-under-an-ike-sa", rfc="7296 2.5"):
            assert prober.ask(change=with_header(version=0x21)) == Liveness()
        with rule("major-version-under-an-ike-sa", rfc="7296 2.5"):
            prober.forge(change=with_header(version=0x30))
            prober.goes_on()
