# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario of this family looks at: the decrypted messages of the wire, one by one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TypeVar

from harness.capture.captured import of_recording
from harness.capture.decryption import decrypt
from harness.capture.entries import Entry, Ike, Ipsec, Status
from harness.capture.recording import FrameNotSeen
from harness.ike.constants_v1 import ExchangeType, IpsecAttribute
from harness.ike.names import hyphened
from harness.ike.payload import Payload, every
from harness.ike.payloads_v1 import SecurityAssociation, VendorId
from harness.ike.sa_v1 import Transform
from harness.kernel.sa import SecurityAssociation as KernelSa
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_ike
from harness.peers.contract import ChildSa
from scenarios.ikev1_seil.agreements import CONN, TUNNEL

MAIN, AGGRESSIVE, QUICK, INFORMATIONAL = (
    hyphened(ExchangeType, kind)
    for kind in (
        ExchangeType.IDENTITY_PROTECTION,
        ExchangeType.AGGRESSIVE,
        ExchangeType.QUICK_MODE,
        ExchangeType.INFORMATIONAL,
    )
)
PLAIN, FLOATED = (500, 500), (4500, 4500)
EXACT = 0.5
"""Seconds by which a time may differ in virtual time, where some are counted in whole ones."""

P = TypeVar("P")


@dataclass(frozen=True)
class Message:
    """An IKE message in clear; `size` is in octets, `ports` source and destination.

    `marked` says that the four zero octets are before it that tell it from ESP (RFC 3948 2.2). `at`
    is in seconds of the lab's clock.
    """

    sender: str
    exchange: str
    payloads: tuple[Payload, ...]
    size: int
    ports: tuple[int, int]
    sealed: bool
    marked: bool
    cookies: bytes
    message_id: int
    at: float

    def __str__(self) -> str:
        return f"{self.sender}: {self.exchange}"

    @property
    def kinds(self) -> list[int]:
        """The types of its payloads, in order."""
        return [payload.payload_type for payload in self.payloads]

    def only(self, kind: type[P]) -> P:
        """Its one payload of a type; raises AssertionError for none or several."""
        found = self.all(kind)
        assert len(found) == 1, f"{self} has {len(found)} payloads {kind.__name__}, not one"
        return found[0]

    def all(self, kind: type[P]) -> list[P]:
        """Its payloads of a type."""
        return list(every(self.payloads, kind))

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The transforms of its first proposal."""
        return self.only(SecurityAssociation).proposals[0].transforms

    @property
    def vendors(self) -> list[bytes]:
        """Its vendor ids, in order."""
        return [one.data for one in self.all(VendorId)]


def messages(net: Net, wire: str = "wan", exchange: str | None = None) -> list[Message]:
    """The IKE messages of a wire so far, each once, decrypted.

    Raises AssertionError for one that cannot be read, or whose HASH is wrong.
    """
    frames = [frame for frame in net.wire(wire).frames if is_ike(frame)]
    entries = decrypt(of_recording(frames), net.secrets).entries
    read = [_message(entry) for entry in entries]
    return [one for one in read if one is not None and exchange in (None, one.exchange)]


def _message(entry: Entry) -> Message | None:
    content = entry.content
    if not isinstance(content, Ike) or content.repeats:
        return None
    assert content.readable, f"frame {entry.number}: {content.status}: {content.detail}"
    assert content.authentic is not False, f"frame {entry.number} is not authentic"
    header = content.header
    return Message(
        entry.sender,
        hyphened(ExchangeType, header.exchange_type),
        content.payloads,
        len(header.data),
        entry.headers.ports or (0, 0),
        content.status is Status.DECRYPTED,
        header.marked,
        header.initiator_spi + header.responder_spi,
        header.message_id,
        entry.frame.time_ns / 1e9,
    )


def ladder(net: Net) -> list[str]:
    """Who sent which exchange, in order."""
    return [str(one) for one in messages(net)]


def terms(transform: Transform) -> dict[int, int | bytes]:
    """What a transform says, in whatever order: a responder may change that of the attributes."""
    return {one.type: one.value for one in transform.attributes}


def lives(transform: Transform) -> list[tuple[int, int]]:
    """The lifetimes of a transform of phase 2, each with its unit before it (RFC 2407 4.5)."""
    numbers = [(one.type, one.number or 0) for one in transform.attributes]
    kinds = [number for kind, number in numbers if kind == IpsecAttribute.SA_LIFE_TYPE]
    durations = [number for kind, number in numbers if kind == IpsecAttribute.SA_LIFE_DURATION]
    return list(zip(kinds, durations, strict=True))


def is_about(lab: Lab, seconds: float, wanted: float) -> bool:
    """Whether a time is the wanted one, which only virtual time can tell exactly.

    A machine that has other things to do is late, and in real time a fifth is allowed for that.
    """
    return abs(seconds - wanted) < (EXACT if lab.clock == "virtual" else wanted / 5)


def who_begins(net: Net) -> set[str]:
    """The nodes that sent a first message of phase 1: the one that has no responder's cookie."""
    return {one.sender for one in messages(net) if one.cookies[8:] == bytes(8)}


def main_mode(begins: str, answers: str) -> list[str]:
    """The six messages of Main Mode."""
    return [f"{begins}: {MAIN}", f"{answers}: {MAIN}"] * 3


def quick_mode(begins: str, answers: str) -> list[str]:
    """The three messages of Quick Mode."""
    return [f"{begins}: {QUICK}", f"{answers}: {QUICK}", f"{begins}: {QUICK}"]


def esp(net: Net, wire: str = "wan") -> list[tuple[str, Ipsec]]:
    """The ESP packets of a wire so far with their senders; each is opened and authentic.

    Raises AssertionError for one that is not.
    """
    found = []
    for entry in net.wire(wire).decryption.ipsec:
        packet = entry.content
        assert isinstance(packet, Ipsec)
        assert packet.authentic, f"frame {entry.number}: {packet.status}: {packet.detail}"
        found.append((entry.sender, packet))
    return found


def established(net: Net, within: float = 10.0) -> ChildSa:
    """The SEIL's IPsec SAs once both ends have announced them: the initiator is the first to."""
    child = net.seil.await_up(TUNNEL, within)
    theirs = net.sun.await_up(CONN, within)
    assert theirs.inbound == child.outbound, f"sun has {theirs}, the SEIL {child}"
    return child


def crosses(net: Net, count: int = 10) -> None:
    """Let numbered datagrams cross both ways between the two sites; none may be lost."""
    with net.traffic("left", "right") as flow:
        flow.await_crossed(count)
    assert flow.lost == 0, f"{flow.lost} datagrams were lost"


def installed(net: Net, node: str) -> list[KernelSa]:
    """What a gateway's kernel protects packets with; in user space it has nothing."""
    return list(net.gateway(node).sad().established)


def algorithms(net: Net, node: str) -> set[str]:
    """The names of the encryption and integrity algorithms that a gateway's kernel has in use."""
    both = [(sa.encryption, sa.integrity) for sa in installed(net, node)]
    return {algorithm.name for pair in both for algorithm in pair if algorithm is not None}


def nothing_is_sent(net: Net, seconds: float) -> None:
    """Watch the wan for so long; raises AssertionError at the first IKE message."""
    wan = net.wire("wan")
    with contextlib.suppress(FrameNotSeen):
        frame = wan.await_frame(is_ike, "an IKE message", within=seconds)
        raise AssertionError(f"{frame.sender} sent IKE in frame {frame.number}")


def nothing_is_installed(net: Net) -> None:
    """Neither end has a CHILD_SA, no kernel an SA, and no ESP was sent."""
    for gateway in (net.seil, net.sun):
        children = [child for ike in gateway.sas() for child in ike.children]
        assert not children, f"{gateway.name} has {children[0]}"
        held = list(gateway.sad().established)
        assert not held, f"the kernel of {gateway.name} has {held[0]}"
    assert not net.wire("wan").esp, "there is ESP on the wan"


def ports_from_message_5(net: Net) -> tuple[int, int]:
    """strongSwan's ESP in user space pretends that there is a NAT, the kernel's does not."""
    return FLOATED if net.sun.data_plane == "userspace" else PLAIN


def with_kernel_esp(net: Net) -> list[str]:
    """The gateways whose kernel does ESP."""
    return [one.name for one in (net.seil, net.sun) if one.data_plane == "kernel"]
