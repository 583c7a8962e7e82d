# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ikelab run` prints of one run: its ladder in clear, and why a negotiation failed."""

from __future__ import annotations

import re
from pathlib import Path

from tests.capture.tshark import tshark
from tests.cli.commands import ikelab

ANNOUNCED = re.compile(
    r"\s*(?P<frame>\d+) +[\d.]+ +seil(?::(?P<left>\d+))? (?P<way>\S+)"
    r" sun(?::(?P<right>\d+))? +(?P<what>.*)"
)
IKE = re.compile(r"(?P<exchange>[A-Z]\w+(?: Mode)?)(?: (?P<id>[0-9a-f]{8}))?: HDR(?P<star>\*?), ")
ESP = re.compile(
    r"ESP(?P<udp> in UDP)? SPI 0x(?P<spi>[0-9a-f]{8}) sequence (?P<first>\d+).*, tunnel: UDP"
    r" (?P<source>[\d.]+) port (?P<sport>\d+) → (?P<destination>[\d.]+) port (?P<dport>\d+)"
)
EXCHANGES = {"Main Mode": "2", "Informational": "5", "Quick Mode": "32"}
PAYLOADS = {
    "SA": "1",
    "KE": "4",
    "ID": "5",
    "HASH": "8",
    "NONCE": "10",
    "N": "11",
    "D": "12",
    "VID": "13",
    "NAT-D": "20",
}
IN_SA = ("2", "3")
"""Proposals and transforms, which a ladder does not list one by one."""


def test_main_mode_minimal_is_a_ladder_in_clear_and_tshark_agrees_with_every_line(
    tmp_path: Path,
) -> None:
    done = ikelab("run", "main-mode-minimal", "--out", tmp_path)
    assert done.returncode == 0, done.stdout
    lines = [found for line in done.stdout.splitlines() if (found := ANNOUNCED.fullmatch(line))]
    messages = [line for line in lines if IKE.match(line["what"])]
    assert [IKE.match(line["what"])["exchange"] for line in messages] == [  # type: ignore[index]
        *["Main Mode"] * 6,
        "Informational",
        *["Quick Mode"] * 3,
    ]
    (folder,) = (one for one in tmp_path.iterdir() if one.is_dir())
    rows = tshark(folder / "capture.pcapng", folder / "wireshark").rows
    packets = 0
    for line in lines:
        row = rows[int(line["frame"]) - 1]
        # tshark lists the sources from the outside in, then the destinations.
        ports = row["UDP ports"]
        ends = [line["left"], line["right"]]
        if all(ends):
            outer = [ports[0], ports[len(ports) // 2]]
            assert outer == (ends if line["way"].endswith("▶") else ends[::-1])
        if line in messages:
            agrees_about_ike(line["what"], row)
        else:
            agrees_about_esp(line["what"], row)
            packets += 1
    assert packets == 2


def agrees_about_ike(what: str, row: dict[str, list[str]]) -> None:
    head = IKE.match(what)
    assert head is not None
    assert row["exchange"] == [EXCHANGES[head["exchange"]]]
    assert row["message id"] == [f"0x{head['id'] or '0' * 8}"]
    assert row["flags"] == ["0x01" if head["star"] else "0x00"]
    words = what[head.end() :].split(", ")
    named = [re.fullmatch(r"([A-Z-]+)(?:\((.*)\))?", word) for word in words]
    assert all(named), what
    kinds = [PAYLOADS[word[1]] for word in named if word]
    assert [kind for kind in row["payload types"] if kind not in IN_SA] == kinds
    hosts = [word[2].partition("/")[0] for word in named if word and word[1] == "ID"]
    assert row["addresses as identities"][: len(hosts)] == hosts
    notifies = [word[2] for word in named if word and word[1] == "N"]
    assert row["notify types"] == ["24578" for _ in notifies]
    assert set(notifies) <= {"INITIAL-CONTACT"}


def agrees_about_esp(what: str, row: dict[str, list[str]]) -> None:
    said = ESP.match(what)
    assert said is not None, what
    assert row["ESP SPI"] == [f"0x{said['spi']}"]
    assert row["ESP sequence"] == [said["first"]]
    assert row["ICV good"] == ["1"]
    assert said["source"] in row["addresses"]
    assert said["destination"] in row["addresses"]
    assert {said["sport"], said["dport"]} <= set(row["UDP ports"])


def test_phase1_mismatch_says_in_one_sentence_what_differs_and_how_either_side_is_mended(
    tmp_path: Path,
) -> None:
    done = ikelab("run", "phase1-mismatch", "--out", tmp_path)
    assert done.returncode == 0, done.stdout
    sentence = (
        "sun wants the DH group MODP 1536 for the ISAKMP SA and was offered MODP 1024:"
        " it answered NO-PROPOSAL-CHOSEN."
    )
    assert sentence in done.stdout.splitlines()
    mended = done.stdout[done.stdout.index("To mend it") :]
    assert "on seil: interface.ipsec0.ike.proposal.phase1.dh-group : modp1536" in mended
    assert "on sun: ike=aes256-sha256-modp1024!" in mended
