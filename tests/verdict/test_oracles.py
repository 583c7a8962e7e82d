# SPDX-License-Identifier: GPL-2.0-or-later
"""Each oracle alone: it agrees on what is good, and says why of each way of being bad."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.recording import Frame
from harness.kernel.algorithms import Algorithm
from harness.kernel.sa import Encapsulation, SecurityAssociation
from harness.kernel.sad import Sad
from harness.network.traffic import StreamReport
from harness.peers.contract import ChildSa
from harness.verdict import oracles
from harness.verdict.oracles import Finding

MOON, SUN = ip_address("192.0.2.1"), ip_address("192.0.2.2")
GCM = Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128)
OUT = SecurityAssociation(0xC0000001, MOON, SUN, reqid=1, aead=GCM)
BACK = SecurityAssociation(0xC0000002, SUN, MOON, reqid=1, aead=GCM)
LARVAL = SecurityAssociation(0xC0000003, MOON, SUN)
BOTH = Sad([OUT, BACK])

CHILD = ChildSa("net", inbound=BACK.spi, outbound=OUT.spi, reqid=1)
SPIS = st.integers(0x100, 0xFFFFFFFF)


def sentences(findings: Sequence[Finding]) -> list[str]:
    return [str(finding) for finding in findings]


# -- mirror: what both kernels hold -------------------------------------------------------------


def test_two_kernels_with_the_same_sas_mirror_each_other() -> None:
    # What one sends with counts packets that the other has not counted yet, and reqids are local.
    here = Sad([replace(OUT, reqid=7), BACK, LARVAL])
    assert oracles.mirror({"moon": here, "sun": BOTH}) == []
    assert oracles.mirror({"moon": Sad(), "sun": Sad()}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spi": 0xC0000009}, "only the first has esp SA 0xc0000009"),
        ({"destination": ip_address("192.0.2.9")}, "has destination 192.0.2.9 in the first and"),
        ({"source": ip_address("192.0.2.9")}, "has source 192.0.2.9 in the first and"),
        ({"protocol": "ah"}, "only the first has ah SA 0xc0000001"),
        ({"mode": "transport"}, "has mode transport in the first and tunnel in the second"),
        ({"esn": True}, "has esn True in the first and False in the second"),
        ({"aead": replace(GCM, key=bytes(20))}, "has another aead key in the second"),
        ({"aead": replace(GCM, icv_bits=64)}, "has aead"),
        (
            {"aead": None, "encryption": Algorithm("cbc(aes)", bytes(16))},
            "has encryption cbc(aes) with a key of 128 bits in the first and None in the second",
        ),
        ({"encapsulation": Encapsulation("espinudp", 4500, 4500)}, "has encapsulation espinudp"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_kernels_that_differ_in_one_part_of_an_sa_are_found_with_it(
    change: dict[str, Any], words: str
) -> None:
    found = oracles.mirror({"moon": Sad([replace(OUT, **change), BACK]), "sun": BOTH})
    assert found
    assert {finding.oracle for finding in found} == {"mirror"}
    assert all(str(f).startswith("mirror: the SADs of moon and sun differ: ") for f in found)
    assert any(words in str(finding) for finding in found), sentences(found)


def test_an_sa_that_only_one_kernel_has_is_found_on_either_side() -> None:
    less = Sad([OUT])
    for sads, which in (
        ({"moon": BOTH, "sun": less}, "first"),
        ({"moon": less, "sun": BOTH}, "second"),
    ):
        assert sentences(oracles.mirror(sads)) == [
            f"mirror: the SADs of moon and sun differ: only the {which} has"
            " esp SA 0xc0000002 from 192.0.2.2 to 192.0.2.1"
        ]


def test_no_key_is_in_a_finding() -> None:
    other = replace(OUT, aead=replace(GCM, key=bytes(range(20, 40))))
    (found,) = oracles.mirror({"moon": Sad([other]), "sun": Sad([OUT])})
    for key in (other.aead, OUT.aead):
        assert key is not None
        assert key.key.hex() not in str(found)


# -- mirrored children: what both daemons list --------------------------------------------------


@given(st.lists(st.tuples(SPIS, SPIS), max_size=5))
def test_daemons_that_list_each_others_spis_mirror_each_other(pairs: list[tuple[int, int]]) -> None:
    ours = [ChildSa("net", *spis, reqid=1) for spis in pairs]
    theirs = [replace(child.mirrored(), name="other", reqid=9) for child in reversed(ours)]
    assert oracles.mirrored_children({"moon": ours, "sun": theirs}) == []


@given(st.lists(st.tuples(SPIS, SPIS), min_size=1, max_size=4), st.data())
def test_a_child_that_one_daemon_does_not_list_is_found(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    ours = [ChildSa("net", *spis, reqid=1) for spis in pairs]
    missing = data.draw(st.sampled_from(ours))
    theirs = [child.mirrored() for child in ours]
    theirs.remove(missing.mirrored())
    found = oracles.mirrored_children({"moon": ours, "sun": theirs})
    assert sentences(found) == [
        f"mirror: moon has a CHILD_SA in 0x{missing.inbound:08x} out 0x{missing.outbound:08x}"
        " that sun has not"
    ]
    assert oracles.mirrored_children({"sun": theirs, "moon": ours}) == found


@pytest.mark.parametrize(
    "wrong",
    [
        replace(CHILD.mirrored(), inbound=1),
        replace(CHILD.mirrored(), outbound=1),
        # Both ends receive on one SPI: not mirrored, but the same.
        CHILD,
    ],
)
def test_a_child_with_another_spi_at_the_other_end_is_missed_at_both(wrong: ChildSa) -> None:
    found = oracles.mirrored_children({"moon": [CHILD], "sun": [wrong]})
    assert [finding.oracle for finding in found] == ["mirror", "mirror"]
    assert "moon has a CHILD_SA in 0xc0000002 out 0xc0000001 that sun has not" in str(found[0])
    assert "sun has a CHILD_SA" in str(found[1])


# -- agreement: a daemon and its kernel ---------------------------------------------------------


@given(st.lists(st.tuples(SPIS, SPIS), max_size=4))
def test_a_daemon_that_lists_what_its_kernel_holds_agrees(pairs: list[tuple[int, int]]) -> None:
    children = [ChildSa("net", *spis, reqid=1) for spis in pairs]
    sas = [sa for into, out in pairs for sa in (replace(BACK, spi=into), replace(OUT, spi=out))]
    assert oracles.agreement("moon", children, Sad([*sas, LARVAL])) == []


def test_half_of_a_child_that_is_gone_in_both_is_not_missed() -> None:
    half = replace(CHILD, outbound=0)
    assert oracles.agreement("moon", [half], Sad([BACK])) == []


def test_an_spi_that_only_the_daemon_or_only_the_kernel_knows_is_found() -> None:
    assert sentences(oracles.agreement("moon", [CHILD], Sad([OUT]))) == [
        "agreement: moon's daemon lists SPI 0xc0000002, its kernel has no such SA"
    ]
    stray = replace(OUT, spi=0x5ABC)
    assert sentences(oracles.agreement("moon", [CHILD], Sad([OUT, BACK, stray]))) == [
        "agreement: moon's kernel has SA 0x00005abc, which its daemon does not list"
    ]
    # A reservation protects nothing: it does not count as held.
    larval = Sad([OUT, replace(LARVAL, spi=BACK.spi)])
    assert len(oracles.agreement("moon", [CHILD], larval)) == 1
    assert len(oracles.agreement("moon", [], BOTH)) == 2
    assert len(oracles.agreement("moon", [CHILD], Sad())) == 2


# -- one SA -------------------------------------------------------------------------------------


@given(st.sets(st.text(min_size=1), max_size=5))
def test_one_child_of_each_name_is_as_it_is_to_be(names: set[str]) -> None:
    children = [ChildSa(name, number, number, 1) for number, name in enumerate(sorted(names), 1)]
    assert oracles.one_sa("moon", children) == []


@given(st.integers(2, 5))
def test_children_of_one_name_are_counted(count: int) -> None:
    children = [replace(CHILD, inbound=number) for number in range(count)]
    other = replace(CHILD, name="other")
    assert sentences(oracles.one_sa("moon", [other, *children])) == [
        f"one-sa: moon has {count} CHILD_SAs net, where one is to be left"
    ]


# -- clear: what is on the wire -----------------------------------------------------------------

INNER = (ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"))
MARKER = b"sixteen octets!!"


def frame(
    protocol: int = 17,
    source: str = "10.1.0.10",
    destination: str = "10.2.0.10",
    payload: bytes = bytes(8),
    ports: tuple[int, int] = (40000, 40000),
    number: int = 7,
) -> Frame:
    """An IPv4 packet in Ethernet; UDP gets its ports."""
    if protocol == 17:
        header = b"".join(port.to_bytes(2) for port in ports)
        payload = header + (8 + len(payload)).to_bytes(2) + bytes(2) + payload
    packet = b"\x45\0" + (20 + len(payload)).to_bytes(2) + b"\0\1\0\0\x40" + bytes([protocol])
    packet += bytes(2) + ip_address(source).packed + ip_address(destination).packed + payload
    return Frame(number, "wan", "moon", "sun", 0, bytes(12) + b"\x08\0" + packet)


ESP = 50
OUTER = {"source": "192.168.0.1", "destination": "192.168.0.2"}
PROTECTED: dict[str, Frame] = {
    "ESP": frame(ESP, **OUTER, payload=b"\xc0\0\0\1\0\0\0\1" + bytes(40)),
    "ESP in UDP": frame(**OUTER, ports=(4500, 4500), payload=b"\xc0\0\0\1\0\0\0\1" + bytes(40)),
    # An octet string by chance inside of ESP is no leak.
    "ESP with the marker in it": frame(ESP, **OUTER, payload=b"\xc0\0\0\1\0\0\0\1" + MARKER),
    "IKE between the gateways": frame(**OUTER, ports=(500, 500), payload=bytes(28)),
    "AH": frame(51, **OUTER, payload=b"\x11\4\0\0" + bytes(20) + MARKER),
    "within one protected subnet": frame(source="10.1.0.10", destination="10.1.0.1"),
    "from outside into a protected subnet": frame(source="192.168.0.1", destination="10.2.0.10"),
    "no IP at all": Frame(7, "wan", "moon", "sun", 0, bytes(12) + b"\x08\x06" + bytes(28)),
    "a frame too short": Frame(7, "wan", "moon", "sun", 0, b"\0"),
}
LEAKED: dict[str, Frame] = {
    "UDP from one subnet to the other": frame(),
    "TCP from one subnet to the other": frame(6),
    "the other way round": frame(source="10.2.0.10", destination="10.1.0.10"),
    "the marker in a tunnel without ESP": frame(4, **OUTER, payload=bytes(20) + MARKER),
    "the marker in UDP between the gateways": frame(**OUTER, payload=MARKER),
    "the marker in no IP at all": Frame(7, "wan", "moon", "sun", 0, bytes(14) + MARKER),
}


@pytest.mark.parametrize("case", PROTECTED)
def test_nothing_is_said_against(case: str) -> None:
    assert oracles.clear("wan", [PROTECTED[case]], [MARKER], INNER) == []


@pytest.mark.parametrize("case", LEAKED)
def test_what_is_in_clear_is_found(case: str) -> None:
    frames = [*PROTECTED.values(), LEAKED[case], replace_number(LEAKED[case], 9)]
    assert sentences(oracles.clear("wan", frames, [MARKER], INNER)) == [
        "clear: 2 frames on wan are in clear, the first is number 7 from moon"
    ]


def replace_number(frame: Frame, number: int) -> Frame:
    return frame._replace(number=number)


# -- loss: the numbered datagrams ---------------------------------------------------------------

REPORT = StreamReport("alice", "bob", 20, 20, (), (), (), (), 0, 0, 0.05)


def test_a_flow_of_which_all_arrived_is_not_found_fault_with() -> None:
    # Late or out of order is not lost, and what is not of the flow is somebody else's.
    late = replace(REPORT, reordered=(3, 4), foreign=2, longest_gap=3.0)
    assert oracles.loss([REPORT, late]) == []
    assert oracles.loss([]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lost": (4, 9), "received": 18}, "2 lost, the first lost is number 4"),
        ({"duplicated": (5,)}, "1 duplicated"),
        ({"corrupted": 3}, "3 corrupted"),
        (
            {"lost": (0,), "duplicated": (5, 6), "corrupted": 1},
            "1 lost, 2 duplicated, 1 corrupted, the first lost is number 0",
        ),
    ],
)
def test_datagrams_that_did_not_arrive_once_and_unchanged_are_counted(
    change: dict[str, Any], words: str
) -> None:
    back = replace(REPORT, source="bob", destination="alice")
    found = oracles.loss([back, replace(REPORT, **change)])
    assert sentences(found) == [f"loss: of 20 datagrams from alice to bob {words}"]


def test_a_finding_is_one_sentence_with_the_name_of_its_oracle() -> None:
    makers: list[Callable[[], list[Finding]]] = [
        lambda: oracles.mirror({"moon": BOTH, "sun": Sad()}),
        lambda: oracles.mirrored_children({"moon": [CHILD], "sun": []}),
        lambda: oracles.agreement("moon", [CHILD], Sad()),
        lambda: oracles.one_sa("moon", [CHILD, CHILD]),
        lambda: oracles.clear("wan", [frame()], [], INNER),
        lambda: oracles.loss([replace(REPORT, lost=(1,))]),
    ]
    names = ["mirror", "mirror", "agreement", "one-sa", "clear", "loss"]
    for make, name in zip(makers, names, strict=True):
        for finding in make():
            assert str(finding) == f"{name}: {finding.sentence}"
            assert "\n" not in finding.sentence
