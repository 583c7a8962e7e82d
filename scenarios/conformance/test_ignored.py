# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that must change nothing: each would delete the IKE SA, were it taken for a true one."""

from dataclasses import replace

from harness.ike.constants_v2 import Flag, NotifyType
from harness.ike.payloads_v2 import Notify
from harness.ike.script import with_header
from harness.ike.v2.script import in_clear
from harness.lab.lab import Lab
from harness.lab.wire import is_esp
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.prober import DELETE_IKE, Prober, damaged
from scenarios.conformance.rules import Rules

SOMEBODY = b"somebody"
"""An SPI that no IKE SA has."""
BEYOND, LONG_AGO = 5, -3
"""Message IDs that no window has room for, as seen from the one that is next."""
RESPONSE = int(Flag.INITIATOR | Flag.RESPONSE)


@scenario(
    "conformance-ignored",
    "What is forged, damaged, out of turn or meant for another changes nothing.",
    rfc="7296 2.21.4",
)
def test_ignored(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established()
    with Rules(lab, sun) as rule:
        # Whoever is not authenticated may not end anything.
        with rule("delete-in-clear", rfc="7296 2.21.4"):
            prober.forge(DELETE_IKE, change=in_clear)
            assert prober.goes_on() == []
        with rule("notify-in-clear", rfc="7296 2.21.4"):
            prober.forge(Notify(NotifyType.AUTHENTICATION_FAILED), change=in_clear)
            assert prober.goes_on() == []
        with rule("integrity-check-fails", rfc="7296 2.21.2"):
            prober.send(*map(damaged, prober.sealed(DELETE_IKE)))
            assert prober.goes_on() == []
        # At most an INVALID_IKE_SPI in clear may come back to an SPI that nobody has.
        with rule("spi-of-responder-unknown", rfc="7296 2.21.4"):
            prober.forge(DELETE_IKE, change=with_header(responder_spi=SOMEBODY))
            prober.goes_on()
        with rule("spi-of-initiator-unknown", rfc="7296 2.21.4"):
            prober.forge(DELETE_IKE, change=with_header(initiator_spi=SOMEBODY))
            prober.goes_on()
        # The flag says whose SPI is which, and so whose keys a message is under.
        with rule("initiator-flag-missing", rfc="7296 3.1"):
            prober.forge(DELETE_IKE, change=with_header(flags=0))
            prober.goes_on()
        with rule("response-to-no-request", rfc="7296 2.1"):
            prober.forge(DELETE_IKE, change=with_header(flags=RESPONSE))
            assert prober.goes_on() == []
        # INVALID_MESSAGE_ID is allowed in a request of its own, an answer is not.
        with rule("message-id-beyond-window", rfc="7296 2.3"):
            prober.forge(DELETE_IKE, ahead=BEYOND)
            assert [one for one in prober.goes_on() if one.response] == []
        with rule("message-id-of-long-ago", rfc="7296 2.3"):
            prober.forge(DELETE_IKE, ahead=LONG_AGO)
            assert [one for one in prober.goes_on() if one.response] == []
        with rule("datagram-too-short", rfc="7296 3.1"):
            prober.send(*(replace(one, data=one.data[:20]) for one in prober.sealed(DELETE_IKE)))
            assert prober.goes_on() == []
        # The answer to a repeated request is the same again, octet for octet.
        with rule("request-repeated", rfc="7296 2.1"):
            request = prober.held()
            prober.released(request)
            # A request that is still worked on may be ignored; who lists its SAs has done with it.
            assert len(prober.net.sun.sas()) == 1
            wan = prober.net.wire("wan")
            frames = len(wan.frames)
            prober.send(*request)
            wan.await_ike("INFORMATIONAL", sender="sun", since=frames)
            first, second = prober.heard[-2:]
            assert first.data == second.data


@scenario(
    "conformance-replayed-esp",
    "An ESP packet that comes again is dropped, however long ago it came.",
    rfc="4303 3.4.3",
)
def test_replayed_esp(lab: Lab, sun: Peer) -> None:
    net = Prober.up(lab, sun).established().net
    wan = net.wire("wan")
    with Rules(lab, sun) as rule, rule("esp-replayed", rfc="4303 3.4.3"):
        with net.traffic("alice", "bob") as flow:
            flow.await_crossed(5)
            seen = [frame for frame in wan.frames if is_esp(frame) and frame.sender == "moon"]
            for frame in seen:
                wan.inject("moon", frame.data)
            flow.await_crossed(5)
        assert [one.duplicated for one in flow.flow.reports] == [(), ()]
