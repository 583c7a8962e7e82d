# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever comes in ESP or from the host: nothing raises, nothing grows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.daemon.data_plane import PeerMoved, PlaneEvent, Route
from harness.daemon.userspace.flow import flow_of, key_of
from harness.daemon.userspace.raw_esp import Arrival
from harness.daemon.userspace.sa_state import SaState
from harness.daemon.userspace.spd import between
from harness.daemon.userspace.traffic import MOST_REMEMBERED, Traffic
from harness.ike.address import Address, Path
from harness.ike.esp import Sealer
from harness.ike.ip_modes import MalformedPacket, outer_packet
from harness.ike.transforms import encryption, integrity
from tests.daemon.userspace.ends import CBC, GCM, SHA, pairs, selectors

PATH = Path(Address("192.0.2.1", 4500), Address("192.0.2.2", 4500))
PATH_6 = Path(Address("2001:db8::1", 4500), Address("2001:db8::2", 4500))
HERE, THERE = selectors("10.1.0.0/16", "fd01::/64"), selectors("10.2.0.0/16", "fd02::/64")
SUITES = [
    (GCM, None),
    (CBC, SHA),
    (encryption("NULL"), integrity("HMAC_SHA1_96")),
    (encryption("NULL_AUTH_AES_GMAC_128"), None),
    (encryption("CHACHA20_POLY1305"), None),
]


@dataclass
class Network:
    """What a plane has around it, in memory."""

    written: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    passed: list[bytes] = field(default_factory=list)
    events: list[PlaneEvent] = field(default_factory=list)

    def write(self, packet: bytes) -> bool:
        self.written.append(packet)
        return True

    def send(self, octets: bytes, *_: object, **__: object) -> bool:
        self.sent.append(octets)
        return True

    def send_whole(self, packet: bytes) -> bool:
        self.passed.append(packet)
        return True

    def send_encapsulated(self, octets: bytes, path: Path, traffic_class: int) -> None:
        self.sent.append(octets)


def traffic(network: Network, states: list[SaState], routes: list[Route] = []) -> Traffic:  # noqa: B006
    made = Traffic(
        network,  # type: ignore[arg-type]
        {4: network, 6: network},  # type: ignore[dict-item]
        network.send_encapsulated,
        network.events.append,
        lambda spi: None,
        lambda: 0.0,
    )
    for route in routes:
        made.spd.entry(between(route)).route = route
    for state in states:
        made.states[state.pair.inbound.spi] = state
        made.spd.entry(between(state.pair)).senders.append(state)
    return made


def iv(cipher) -> object:
    return (lambda number: number.to_bytes(16, "big")) if cipher.block_size > 1 else None


def established(suite, transport: bool, esn: bool) -> tuple[Traffic, Network, Sealer]:
    path = PATH_6 if transport else PATH
    near, far = (selectors(PATH_6.local.host), selectors(PATH_6.remote.host))
    local, remote = (near, far) if transport else (HERE, THERE)
    mine, _ = pairs(
        path, local, remote, suite=suite, esn=esn, transport=transport, encapsulated=True
    )
    network = Network()
    made = traffic(network, [SaState(mine, iv(suite[0]))])
    return made, network, Sealer(mine.inbound, iv(suite[0]))


def check(made: Traffic, octets: bytes, port: int = 4500) -> None:
    made.receive_encapsulated(octets, Address("192.0.2.2", port), PATH.local)
    made.inbound(Arrival(octets, bytes(4), bytes(4), 3, 64))
    made.inbound(Arrival(octets, bytes(16), bytes(16), 255, 0))


suites = st.sampled_from(SUITES)


@given(suites, st.booleans(), st.booleans(), st.binary(max_size=200))
def test_any_octets_are_refused_without_a_word_to_the_host(suite, transport, esn, octets) -> None:
    made, network, _ = established(suite, transport, esn)
    check(made, octets)
    check(made, (0x1000).to_bytes(4, "big") + octets)
    assert not network.written
    assert not network.events


@given(
    suites,
    st.booleans(),
    st.booleans(),
    st.binary(max_size=120),
    st.sampled_from([0, 1, 4, 6, 17, 41, 44, 50, 58, 59, 60, 255]),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_an_authentic_packet_holds_what_it_likes_and_does_no_harm(
    suite, transport, esn, payload, next_header, at, value
) -> None:
    made, network, sealer = established(suite, transport, esn)
    good = sealer.seal(payload, next_header)
    flipped = bytearray(good)
    flipped[at % len(good)] ^= value or 1
    check(made, bytes(flipped))
    check(made, good[: at % len(good)])
    check(made, good + payload + b"!")
    assert not network.written
    check(made, good, port=4501)
    assert len(network.written) <= 1
    assert len(network.events) <= 1


def inner(kind: int, payload: bytes, protocol: int) -> bytes:
    ends = {
        4: ("10.1.0.1", "10.2.0.1"),
        6: ("fd01::1", "fd02::1"),
    }[kind]
    source, destination = (Address(host).packed for host in ends)
    return outer_packet(source, destination, payload, protocol)


packets = st.builds(inner, st.sampled_from([4, 6]), st.binary(max_size=60), st.integers(0, 255))


@given(packets, st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=3), suites)
def test_any_packet_of_the_host_is_protected_passed_or_dropped(packet, changes, suite) -> None:
    made, network, _ = established(suite, False, False)
    changed = bytearray(packet)
    for at, value in changes:
        changed[at % len(changed)] = value
    made.outbound(bytes(changed))
    made.outbound(bytes(changed)[: len(changed) // 2])
    assert sum(made.fates.values()) <= 3
    try:
        flow = flow_of(bytes(changed))
    except MalformedPacket:
        return
    if not changes:
        assert len(network.sent) >= 1
        assert flow.source in (Address("10.1.0.1").packed, Address("fd01::1").packed)


@given(packets, packets)
def test_packets_of_one_key_are_of_one_flow(first: bytes, second: bytes) -> None:
    if key_of(first) is not None and key_of(first) == key_of(second):
        assert flow_of(first) == flow_of(second)


def test_what_is_remembered_of_flows_and_fragments_is_bounded() -> None:
    made, network, sealer = established((GCM, None), False, False)
    for number in range(3 * MOST_REMEMBERED):
        ports = number.to_bytes(4, "big")
        made.outbound(inner(4, ports + bytes(4), 17))
        back = outer_packet(
            Address("10.2.0.1").packed, Address("10.1.0.1").packed, ports + bytes(4), 17
        )
        made.receive_encapsulated(sealer.seal(back, 4), PATH.remote, PATH.local)
    assert len(network.sent) == len(network.written) == 3 * MOST_REMEMBERED
    assert len(made._chosen) <= MOST_REMEMBERED
    (state,) = made.states.values()
    assert len(state._admitted) <= 1024


@pytest.mark.parametrize("order", ["newest", "late"])
def test_only_the_newest_packet_moves_the_peer(order: str) -> None:
    made, network, sealer = established((GCM, None), False, False)
    packet = outer_packet(Address("10.2.0.1").packed, Address("10.1.0.1").packed, bytes(8), 17)
    first, second = sealer.seal(packet, 4), sealer.seal(packet, 4)
    moved = Address("192.0.2.2", 31000)
    if order == "newest":
        made.receive_encapsulated(first, PATH.remote, PATH.local)
        made.receive_encapsulated(second, moved, PATH.local)
        made.receive_encapsulated(second, Address("192.0.2.9", 1), PATH.local)
        assert network.events == [PeerMoved(0x1000, moved)]
    else:
        made.receive_encapsulated(second, PATH.remote, PATH.local)
        made.receive_encapsulated(first, moved, PATH.local)
        assert not network.events
    assert len(network.written) == 2


def test_the_narrowest_selectors_win_and_among_equal_ones_the_newest_sa() -> None:
    wide, _ = pairs(PATH, HERE, THERE, encapsulated=True)
    narrow, _ = pairs(PATH, HERE, selectors("10.2.7.0/24"), spi=0x2000, encapsulated=True)
    newer, _ = pairs(PATH, HERE, selectors("10.2.7.0/24"), spi=0x3000, encapsulated=True)
    network = Network()
    made = traffic(network, [SaState(one, None) for one in (wide, narrow, newer)])
    near = Address("10.1.0.1").packed
    for host in ("10.2.7.1", "10.2.8.1"):
        made.outbound(outer_packet(near, Address(host).packed, bytes(8), 17))
    assert [octets[:4].hex() for octets in network.sent] == ["00003001", "00001001"]
    assert made.states[0x3000].pair == replace(newer)
