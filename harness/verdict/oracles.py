# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracles: independent looks at a run that must agree before a verdict is *pass*.

Each is a pure function from what was observed to findings; no finding means that it agrees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.capture.recording import Frame
from harness.kernel.sad import Sad
from harness.network.leaks import in_clear
from harness.network.topology import Subnet
from harness.network.traffic import StreamReport
from harness.peers.contract import ChildSa

OracleName = Literal["mirror", "agreement", "one-sa", "clear", "loss"]


@dataclass(frozen=True)
class Finding:
    """Why an oracle does not agree with a pass."""

    oracle: OracleName
    sentence: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.sentence}"


def mirror(sads: Mapping[str, Sad], *, translated: bool = False) -> list[Finding]:
    """Both kernels hold the same SAs, each of one end being one of the other (RFC 4301 4.4.2).

    With `translated` each end knows the other by an address that a NAT gave it.
    """
    (here, ours), (there, theirs) = sads.items()
    return [
        Finding("mirror", f"the SADs of {here} and {there} differ: {difference}")
        for difference in ours.mirrors(theirs, translated=translated)
    ]


def agreement(node: str, children: Iterable[ChildSa], sad: Sad) -> list[Finding]:
    """What the daemon lists is what its kernel holds, SPI by SPI; larval SAs do not count."""
    listed = {spi for child in children for spi in (child.inbound, child.outbound) if spi}
    held = {sa.spi for sa in sad if sa.established}
    findings = [
        Finding("agreement", f"{node}'s daemon lists SPI 0x{spi:08x}, its kernel has no such SA")
        for spi in sorted(listed - held)
    ]
    return findings + [
        Finding("agreement", f"{node}'s kernel has SA 0x{spi:08x}, which its daemon does not list")
        for spi in sorted(held - listed)
    ]


def one_sa(node: str, children: Sequence[ChildSa]) -> list[Finding]:
    """At most one CHILD_SA for each name: a rekeyed one is gone (RFC 7296 2.8)."""
    counts = Counter(child.name for child in children)
    return [
        Finding("one-sa", f"{node} has {count} CHILD_SAs {name}, where one is to be left")
        for name, count in counts.items()
        if count > 1
    ]


def clear(
    wire: str, frames: Iterable[Frame], markers: Collection[bytes], inner: Collection[Subnet]
) -> list[Finding]:
    """Nothing that is to be protected is on the wire in clear."""
    leaked = in_clear(frames, markers, inner)
    if not leaked:
        return []
    first = leaked[0]
    return [
        Finding(
            "clear",
            f"{len(leaked)} frames on {wire} are in clear, the first is number {first.number}"
            f" from {first.sender}",
        )
    ]


def loss(reports: Iterable[StreamReport]) -> list[Finding]:
    """Every numbered datagram arrived, once and unchanged."""
    findings = []
    for report in reports:
        wrong = [
            f"{count} {what}"
            for count, what in (
                (len(report.lost), "lost"),
                (len(report.duplicated), "duplicated"),
                (report.corrupted, "corrupted"),
            )
            if count
        ]
        if wrong:
            which = f", the first lost is number {report.lost[0]}" if report.lost else ""
            findings.append(
                Finding(
                    "loss",
                    f"of {report.sent} datagrams from {report.source} to {report.destination}"
                    f" {', '.join(wrong)}{which}",
                )
            )
    return findings


def mirrored_children(children: Mapping[str, Sequence[ChildSa]]) -> list[Finding]:
    """Each end sends with the SPI that the other receives on, as both daemons list them."""
    (here, ours), (there, theirs) = children.items()
    listed_here = Counter((child.inbound, child.outbound) for child in ours)
    listed_there = Counter((child.inbound, child.outbound) for child in theirs)
    return [
        Finding(
            "mirror", f"{owner} has a CHILD_SA in 0x{into:08x} out 0x{out:08x} that {lacks} has not"
        )
        for owner, lacks, extra in (
            (here, there, listed_here - _mirrored(listed_there)),
            (there, here, listed_there - _mirrored(listed_here)),
        )
        for into, out in extra
    ]


def _mirrored(pairs: Counter[tuple[int, int]]) -> Counter[tuple[int, int]]:
    return Counter({(out, into): count for (into, out), count in pairs.items()})
