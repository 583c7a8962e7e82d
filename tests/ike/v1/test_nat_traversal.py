# SPDX-License-Identifier: GPL-2.0-or-later
"""NAT on either side, on both, or only pretended: ports, markers, encapsulation, keepalives."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from harness.ike import vendor_ids
from harness.ike.address import Address
from harness.ike.constants_v1 import EncapsulationMode, ExchangeType
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import Identification, NatDetection, NatOriginalAddress, VendorId
from harness.ike.script import ALWAYS
from harness.ike.v1.configuration import NatTraversal, Phase1, Rekeying
from harness.ike.v1.events import IsakmpSaEstablished, PathChanged, QuickModeFailed
from harness.ike.v1.identity import OWN_ADDRESS, subnet_identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.reasons import Reason
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import Pair, mirrored, seil, swan

OUTSIDE = "203.0.113.1"
QUICK = ExchangeType.QUICK_MODE


class Napt:
    """Gives the initiator another address and ephemeral ports, as a NAPT would."""

    def __init__(self, inside: str = "10.0.0.1", outside: str = OUTSIDE, base: int = 40000) -> None:
        self.inside, self.outside, self.base = inside, outside, base

    def __call__(self, datagram):
        source, destination = datagram.source, datagram.destination
        if source.host == self.inside:
            source = Address(self.outside, self.base + source.port)
        if destination.host == self.outside:
            destination = Address(self.inside, destination.port - self.base)
        return replace(datagram, source=source, destination=destination)


def translated(**changes) -> Pair:
    pair = Pair(seil(**changes), swan(remote=None))
    pair.translate = Napt()
    return pair


def mode_on_the_wire(transcript: Transcript) -> set[int]:
    transforms = transcript.payloads(QUICK)[0][0].proposals[0].transforms
    return {one.number_of(4) for one in transforms}


def test_an_initiator_behind_a_nat_goes_to_port_4500_with_message_five():
    pair = translated()
    asked = Transcript(pair.a)
    pair.up()
    ports = [(one.source.port, one.destination.port) for one in pair.sent]
    assert ports[:4] == [(500, 500), (500, 40500), (500, 500), (500, 40500)]
    assert set(ports[4:]) == {(4500, 4500), (4500, 44500)}
    assert all(one.data.startswith(bytes(4)) for one in pair.sent[4:])
    assert mode_on_the_wire(asked) == {EncapsulationMode.UDP_ENCAPSULATED_TUNNEL}
    ours, theirs = pair.a.only(IsakmpSaEstablished), pair.b.only(IsakmpSaEstablished)
    assert (ours.nat.local, ours.nat.remote) == (True, False)
    assert (theirs.nat.local, theirs.nat.remote) == (False, True)
    # The peer's identity is its inner address.
    assert theirs.peer.data == bytes([10, 0, 0, 1])
    assert theirs.path.remote == Address(OUTSIDE, 44500)
    assert pair.a.sas[0].encapsulated
    assert pair.b.sas[0].encapsulated
    assert mirrored(pair.a, pair.b)


def test_without_a_nat_everything_stays_on_port_500_and_esp_in_ip():
    pair = Pair()
    asked = Transcript(pair.a)
    pair.up()
    assert {one.source.port for one in pair.sent} == {500}
    assert mode_on_the_wire(asked) == {EncapsulationMode.TUNNEL}
    assert not pair.a.sas[0].encapsulated
    assert pair.a.only(IsakmpSaEstablished).nat.supported


def test_nat_detection_is_in_messages_three_and_four_with_two_hashes():
    pair = Pair()
    ours, theirs = Transcript(pair.a), Transcript(pair.b)
    pair.up()
    for transcript in (ours, theirs):
        messages = transcript.payloads(ExchangeType.IDENTITY_PROTECTION)
        found = [[p for p in one if isinstance(p, NatDetection)] for one in messages]
        assert [len(one) for one in found] == [0, 2, 0]
        assert {(one.payload_type, len(one.data)) for one in found[1]} == {(20, 32)}
    # What one says of the other's address is what the other says of its own.
    first = ours.payloads(2)[1][2:]
    second = theirs.payloads(2)[1][2:]
    assert [one.data for one in first] == [one.data for one in reversed(second)]


@pytest.mark.parametrize("end", ["a", "b"])
def test_an_end_may_pretend_to_be_translated(end):
    forced = {"nat": NatTraversal(force=True)}
    pair = Pair(seil(**(forced if end == "a" else {})), swan(**(forced if end == "b" else {})))
    pair.up()
    assert {(one.source.port, one.destination.port) for one in pair.sent[4:]} == {(4500, 4500)}
    here, there = (pair.a, pair.b) if end == "a" else (pair.b, pair.a)
    assert here.only(IsakmpSaEstablished).nat.local
    assert there.only(IsakmpSaEstablished).nat.remote
    assert pair.a.sas[0].encapsulated


def test_both_ends_may_be_behind_nats():
    pair = Pair(seil(remote=Address("198.51.100.2")), swan(remote=None))
    inner, outer = Napt(), Napt("10.0.0.2", "198.51.100.2", 0)
    pair.translate = lambda datagram: inner(outer(datagram))
    pair.up()
    for end in (pair.a, pair.b):
        nat = end.only(IsakmpSaEstablished).nat
        assert (nat.local, nat.remote) == (True, True)
    assert mirrored(pair.a, pair.b)


def test_the_draft_has_numbers_of_its_own():
    pair = translated()

    def only_the_draft(plain):
        kept = tuple(
            one for one in plain.payloads
            if not (isinstance(one, VendorId) and one.data == vendor_ids.RFC_3947)
        )  # fmt: skip
        return plain.forged(payloads=kept)

    pair.a.script.sent(times=ALWAYS).replace(only_the_draft)
    asked = Transcript(pair.a)
    pair.up()
    kinds = {one.payload_type for one in asked.payloads(2)[1] if isinstance(one, NatDetection)}
    assert kinds == {130}
    assert mode_on_the_wire(asked) == {EncapsulationMode.UDP_ENCAPSULATED_TUNNEL_DRAFT}
    assert pair.b.sas[0].encapsulated


def test_a_peer_without_nat_traversal_is_left_on_port_500():
    pair = Pair(seil(nat=NatTraversal(enabled=False)), swan(remote=None))
    pair.translate = Napt()
    pair.up()
    assert {one.source.port for one in pair.sent} == {500}
    assert not pair.a.only(IsakmpSaEstablished).nat.supported


def test_only_the_end_behind_the_nat_sends_keepalives():
    pair = translated()
    pair.up()
    start = len(pair.sent)
    pair.advance(61)
    keepalives = [one for one in pair.sent[start:] if one.data == b"\xff"]
    assert len(keepalives) == 3
    assert {(one.source, one.destination.port) for one in keepalives} == {
        (Address("10.0.0.1", 4500), 4500)
    }


def test_a_new_mapping_is_followed_once_something_authentic_comes_through_it():
    pair = translated()
    pair.up()
    pair.translate = Napt(base=50000)
    spoofed = replace(pair.sent[-1], source=Address("192.0.2.66", 4500))
    pair.b.endpoint.receive(spoofed.data, spoofed.source, pair.now, Address("10.0.0.2", 4500))
    pair.collect()
    assert not pair.b.of(PathChanged)
    pair.a.endpoint.check_peer(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert pair.b.only(PathChanged).path.remote == Address(OUTSIDE, 54500)
    assert pair.sent[-1].destination == Address(OUTSIDE, 54500)


def test_a_rekeyed_phase_1_behind_a_nat_starts_where_the_old_one_was():
    pair = translated()
    pair.up()
    pair.a.endpoint.rekey_isakmp(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert len(pair.b.endpoint.isakmp_sas()) == 2
    assert pair.b.of(IsakmpSaEstablished)[-1].nat.remote


def hosts(phase1: Phase1 | None = None, **changes) -> Pair:
    """Each end protects its own address to the other's in transport mode; `a` is behind a NAT.

    `changes` are of the child.
    """
    common = {"phase1": phase1 or Phase1(), "rekeying": Rekeying.ANY}
    child = replace(seil().children[0], local=OWN_ADDRESS, remote=OWN_ADDRESS, transport=True)
    child = replace(child, **changes)
    pair = Pair(
        seil(children=(child,), **common),
        swan(remote=None, children=(child,), **common),
    )
    pair.translate = Napt()
    return pair


def protected(sa: IpsecSa) -> tuple[str, str]:
    return str(ip_address(sa.local.data)), str(ip_address(sa.remote.data))


def test_transport_mode_behind_a_nat_is_for_the_addresses_that_each_end_sees():
    pair = hosts()
    said = {end.name: Transcript(end) for end in (pair.a, pair.b)}
    pair.up()
    assert mode_on_the_wire(said["a"]) == {EncapsulationMode.UDP_ENCAPSULATED_TRANSPORT}
    pair.b.endpoint.rekey_child(pair.b.sas[0].inbound_spi, pair.now)
    pair.run()
    assert len(pair.a.sas) == 2
    inner, outer = ("10.0.0.1", "10.0.0.2"), (OUTSIDE, "10.0.0.2")
    asked, answered = quick_modes(said["a"])
    answer, asked_back = quick_modes(said["b"])
    # Whoever asks writes what it sees, and whoever answers repeats that (RFC 2409 5.5); NAT-OA has
    # what each sees itself, the initiator's first (RFC 3947 5.2).
    assert [addresses(one, Identification) for one in (asked, answer)] == [inner, inner]
    assert addresses(asked, NatOriginalAddress) == inner
    assert addresses(answer, NatOriginalAddress) == outer
    assert [addresses(one, Identification) for one in (asked_back, answered)] == [outer[::-1]] * 2
    assert addresses(asked_back, NatOriginalAddress) == outer[::-1]
    assert addresses(answered, NatOriginalAddress) == inner[::-1]
    assert [protected(sa) for sa in pair.a.sas] == [inner] * 2
    assert [protected(sa) for sa in pair.b.sas] == [outer[::-1]] * 2
    assert mirrored(pair.a, pair.b)


def quick_modes(said: Transcript) -> list[tuple[Payload, ...]]:
    """What an end said in Quick Modes, but for the third message."""
    return [one for one in said.payloads(QUICK) if addresses(one, Identification)]


def addresses(payloads, kind) -> tuple[str, ...]:
    return tuple(str(ip_address(one.data)) for one in payloads if isinstance(one, kind))


def test_a_tunnel_behind_a_nat_is_for_the_addresses_that_were_asked_for():
    pair = hosts(transport=False)
    pair.initiate()
    pair.run()
    assert pair.b.only(QuickModeFailed).reason is Reason.INVALID_ID
    assert not pair.a.sas


def test_transport_mode_through_a_nat_is_for_nobody_but_the_peer_itself():
    pair = hosts(remote=subnet_identity("10.0.0.0/24"))
    pair.initiate()
    pair.run()
    assert pair.b.only(QuickModeFailed).reason is Reason.INVALID_ID


def test_what_is_not_ike_on_port_4500_is_left_alone():
    pair = translated()
    pair.up()
    here = Address("10.0.0.2", 4500)
    for octets in (b"\xff", b"", b"\0", b"\x12\x34\x56\x78" + bytes(40)):
        pair.b.endpoint.receive(octets, Address(OUTSIDE, 44500), pair.now, here)
    assert pair.b.endpoint.events() == ()
