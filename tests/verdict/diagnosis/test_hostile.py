# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures that nobody meant well, or that lack parts: a diagnosis or none, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from harness.capture.captured import CapturedFrame
from harness.ike.payloads_v2 import Notify, SecurityAssociation, Transform
from harness.ike.proposals import Proposal
from harness.ike.v1.configuration import Phase1, Phase1Mode, PreSharedKey
from harness.ike.v1.identity import ANYTHING
from harness.ike.v2.connection import Identity, Settings
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.text import text
from tests.capture.packets import clear, ethernet, header, ike, ip
from tests.ike.v1.pair import seil, swan
from tests.ike.v2.pair import MOON_NET, SUN_NET
from tests.ike.v2.test_authentication import START, signer, trusting
from tests.verdict.diagnosis.engines import Tap, tried_v1, tried_v2

RUNS = ("v1", "v1 secret", "v1 aggressive", "v1 proxy-id", "v2", "v2 identity", "v2 certificate")


@cache
def run(name: str) -> Tap:
    """A negotiation between two engines."""
    aggressive = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
    match name:
        case "v1 secret":
            return tried_v1(seil(credentials=PreSharedKey(b"another")), later=60)
        case "v1 aggressive":
            other = PreSharedKey(b"another")
            return tried_v1(
                seil(phase1=aggressive), swan(phase1=aggressive, credentials=other), later=60
            )
        case "v1 proxy-id":
            (child,) = seil().children
            return tried_v1(seil(children=(replace(child, local=ANYTHING),)))
        case "v1":
            return tried_v1()
        case "v2 identity":
            return tried_v2(MOON_NET, replace(SUN_NET, remote_id=Identity.of("mars.example")))
        case "v2 certificate":
            return tried_v2(
                trusting(MOON_NET, signer("p256", "moon.example", "strange")),
                trusting(SUN_NET, signer("p256", "sun.example")),
                settings=Settings(epoch=START),
            )
    return tried_v2()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Tap, list[CapturedFrame]]:
    """The frames of a run in another order, some lost, some twice, some changed or cut."""
    tap = run(draw(st.sampled_from(RUNS)))
    frames: list[CapturedFrame] = []
    for place in draw(
        st.lists(st.integers(0, len(tap.frames) - 1), min_size=1, max_size=2 * len(tap.frames))
    ):
        one = tap.frames[place]
        data = bytearray(one.data)
        for at, value in draw(
            st.lists(st.tuples(st.integers(14, 400), st.integers(0, 255)), max_size=4)
        ):
            if at < len(data):
                data[at] = value
        size = draw(st.one_of(st.none(), st.integers(0, len(data))))
        frames.append(one._replace(number=len(frames) + 1, data=bytes(data[:size])))
    return tap, frames


@given(damaged())
def test_no_capture_is_an_error(capture: tuple[Tap, list[CapturedFrame]]) -> None:
    tap, frames = capture
    for wishes in (tap.wishes, ()):
        told = text(tap.diagnoses(frames=frames, wishes=wishes))
        assert all(line.isprintable() for line in told.splitlines())


@given(st.lists(st.sampled_from(RUNS), min_size=2, max_size=3, unique=True))
def test_negotiations_that_mix_are_told_apart(names: list[str]) -> None:
    mixed: list[CapturedFrame] = []
    taps = [run(name) for name in names]
    for tap in taps:
        mixed += tap.frames
    mixed = [one._replace(number=number) for number, one in enumerate(mixed, 1)]
    alone = {found.cause for tap in taps for found in tap.diagnoses(wishes=())}
    together: set[Cause] = set()
    for tap in taps:
        together |= {found.cause for found in tap.diagnoses(frames=mixed, wishes=())}
    # What comes up later between the same two leaves nothing of an earlier failure.
    assert together <= alone | {Cause.UNREADABLE, Cause.NO_ANSWER}


def test_a_proposal_with_thousands_of_transforms_is_looked_at_in_part() -> None:
    transforms = tuple(Transform.of(1 + at % 5, at % 1000) for at in range(250))
    many = SecurityAssociation((Proposal(1, 1, b"", transforms),) * 25)
    asked = clear(header(34, 0), [many])
    answer = clear(header(34, 0, initiator=False, response=True), [Notify(14)])
    frames = framed([ike(asked), ike(answer, back=True)])
    (found,) = tried_v2().diagnoses(frames=frames, wishes=())
    assert found.cause is Cause.PROPOSAL
    assert not found.proved


def unreachable(packet: bytes, sender: str, receiver: str, code: int = 3) -> bytes:
    """An ICMP message that quotes a packet that did not arrive (RFC 792)."""
    return ip(bytes([3, code, 0, 0, 0, 0, 0, 0]) + packet[:28], 1, sender, receiver)


def framed(packets: Sequence[bytes], first: int = 1) -> list[CapturedFrame]:
    return [
        CapturedFrame(number, "wan", "", "", number * 10**6, ethernet(packet))
        for number, packet in enumerate(packets, first)
    ]


def test_an_unreachable_port_is_told_by_whoever_says_so() -> None:
    asked = ike(clear(header(34, 0), [SecurityAssociation()]))
    frames = framed([asked, unreachable(asked, "192.0.2.2", "192.0.2.1")])
    (found,) = tried_v2().diagnoses(frames=frames, wishes=())
    assert found.cause is Cause.UNREACHABLE
    assert found.proved
    assert "192.0.2.2 says by ICMP that the port is unreachable (frame 2)" in found.sentence


def test_icmp_about_other_ports_and_hosts_explains_nothing() -> None:
    asked = ike(clear(header(34, 0), [SecurityAssociation()]))
    elsewhere = ike(clear(header(34, 0), []), port=500)
    quoted = elsewhere[:16] + bytes([203, 0, 113, 9]) + elsewhere[20:]
    dns = asked[:20] + b"\x00\x35\x00\x35" + asked[24:]
    frames = framed(
        [
            asked,
            unreachable(quoted, "192.0.2.2", "192.0.2.1"),
            unreachable(dns, "192.0.2.2", "192.0.2.1"),
        ]
    )
    (found,) = tried_v2().diagnoses(frames=frames, wishes=())
    assert found.cause is Cause.NO_ANSWER


def test_ip_fragments_that_never_become_whole_are_told() -> None:
    asked = ike(clear(header(34, 0), [SecurityAssociation()]))
    big = ike(
        clear(header(34, 0, initiator=False, response=True), [Notify(40000, bytes(900))]), True
    )
    first = big[:6] + b"\x20\x00" + big[8 : 20 + 512]
    first = first[:2] + (len(first)).to_bytes(2, "big") + first[4:]
    (found,) = tried_v2().diagnoses(frames=framed([asked, first]), wishes=())
    assert found.cause is Cause.FRAGMENTS
    assert "the IP fragments from 192.0.2.2 (frame 2 on) never became a whole packet" in (
        found.sentence
    )


def test_what_a_wire_did_with_a_request_is_in_the_notes() -> None:
    asked = ike(clear(header(34, 0), [SecurityAssociation()]))
    (frame,) = framed([asked])
    (found,) = tried_v2().diagnoses(frames=[frame._replace(comment="dropped")], wishes=())
    assert found.cause is Cause.NO_ANSWER
    assert "the wire did with frame 1: dropped" in found.notes
