# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs and policies of every kind, for hypothesis."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import strategies as st

from harness.kernel.addresses import Address, Network
from harness.kernel.algorithms import Algorithm
from harness.kernel.lifetimes import Lifetimes, Usage
from harness.kernel.numbers import (
    ACTIONS,
    DIRECTIONS,
    ENCAPSULATIONS,
    MODES,
    POLICY_TYPES,
    SA_DIRECTIONS,
    SHARES,
    PolicyFlag,
    SaExtraFlag,
    SaFlag,
)
from harness.kernel.policy import Policy, Template
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, Faults, Mark, SecurityAssociation
from harness.kernel.selector import Selector

u8 = st.integers(0, 2**8 - 1)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
versions = st.sampled_from([4, 6])


def addresses(version: int) -> st.SearchStrategy[Address]:
    return (
        st.builds(IPv4Address, u32)
        if version == 4
        else st.builds(IPv6Address, st.binary(min_size=16, max_size=16))
    )


def networks(version: int) -> st.SearchStrategy[Network]:
    kind = IPv4Network if version == 4 else IPv6Network
    prefixes = st.integers(0, 32 if version == 4 else 128)
    return st.builds(
        lambda address, prefix: kind((address, prefix), strict=False), addresses(version), prefixes
    )


def selectors(version: int) -> st.SearchStrategy[Selector]:
    return st.builds(
        Selector,
        source=networks(version),
        destination=networks(version),
        protocol=u8,
        source_port=u16,
        destination_port=u16,
        source_port_mask=u16,
        destination_port_mask=u16,
        interface=st.integers(0, 2**31 - 1),
        user=u32,
    )


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=63)
limits = st.none() | st.integers(0, 2**64 - 2)
lifetimes = st.builds(
    Lifetimes,
    soft_seconds=u64,
    hard_seconds=u64,
    soft_use_seconds=u64,
    hard_use_seconds=u64,
    soft_bytes=limits,
    hard_bytes=limits,
    soft_packets=limits,
    hard_packets=limits,
)
usages = st.builds(Usage, u64, u64, u64, u64)
marks = st.none() | st.builds(Mark, u32, u32)
plain_algorithms = st.none() | st.builds(Algorithm, names, st.binary(max_size=64))
algorithms = st.none() | st.builds(
    Algorithm, names, st.binary(max_size=64), st.integers(0, 2**32 - 1)
)


@st.composite
def replays(draw: st.DrawFn, long: bool) -> Replay:
    if not long:
        return Replay(draw(st.integers(0, 32)), draw(u32), draw(u32), bitmap=draw(u32))
    window = draw(st.integers(0, 4096))
    bitmap = draw(st.integers(0, (1 << window) - 1)) if window else 0
    return Replay(window, draw(u32), draw(u32), draw(u32), draw(u32), bitmap)


@st.composite
def sas(draw: st.DrawFn) -> SecurityAssociation:
    version = draw(versions)
    esn = draw(st.booleans())
    original = addresses(version) if draw(st.booleans()) else st.just(IPv4Address(0))
    encapsulations = st.builds(
        Encapsulation,
        type=st.sampled_from([*ENCAPSULATIONS.values(), "77"]),
        source_port=u16,
        destination_port=u16,
        original_address=original.filter(lambda address: address != IPv6Address(0)),
    )
    return draw(
        st.builds(
            SecurityAssociation,
            spi=u32,
            source=addresses(version),
            destination=addresses(version),
            protocol=st.sampled_from(["esp", "ah", "comp", "ipip", "200"]),
            mode=st.sampled_from([*MODES.values(), "99"]),
            reqid=u32,
            selector=st.none() | selectors(version),
            encryption=plain_algorithms,
            integrity=algorithms,
            aead=algorithms,
            compression=plain_algorithms,
            lifetimes=lifetimes,
            current=usages,
            replay=replays(esn),
            esn=st.just(esn),
            flags=st.integers(0, 127).map(SaFlag),
            extra_flags=st.integers(0, 3).map(SaExtraFlag),
            mark=marks,
            output_mark=marks,
            if_id=st.none() | u32,
            encapsulation=st.none() | encapsulations,
            statistics=st.builds(Faults, u32, u32, u32),
            acquire_sequence=u32,
            direction=st.none() | st.sampled_from(sorted(SA_DIRECTIONS.values())),
            tfc_padding=u32,
            care_of=st.none() | addresses(version),
        )
    )


@st.composite
def templates(draw: st.DrawFn, of_selector: int) -> Template:
    version = draw(versions)
    source, destination = draw(addresses(version)), draw(addresses(version))
    if not int(source) and not int(destination):
        # Unspecified addresses are of the selector's version.
        source = destination = IPv4Address(0) if of_selector == 4 else IPv6Address(0)
    return draw(
        st.builds(
            Template,
            source=st.just(source),
            destination=st.just(destination),
            protocol=st.sampled_from(["esp", "ah", "comp"]),
            mode=st.sampled_from(list(MODES.values())),
            reqid=u32,
            spi=u32,
            optional=st.booleans(),
            share=st.sampled_from(list(SHARES.values())),
            integrity_mask=u32,
            encryption_mask=u32,
            compression_mask=u32,
        )
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    version = draw(versions)
    return draw(
        st.builds(
            Policy,
            selector=selectors(version),
            direction=st.sampled_from(list(DIRECTIONS.values())),
            priority=u32,
            index=u32,
            action=st.sampled_from(list(ACTIONS.values())),
            templates=st.lists(templates(version), max_size=6).map(tuple),
            lifetimes=lifetimes,
            current=usages,
            mark=marks,
            if_id=st.none() | u32,
            flags=st.integers(0, 3).map(PolicyFlag),
            share=st.sampled_from(list(SHARES.values())),
            type=st.sampled_from(list(POLICY_TYPES.values())),
        )
    )
