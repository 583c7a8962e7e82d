# SPDX-License-Identifier: GPL-2.0-or-later
"""Which phase 1 a peer accepts can be found out from outside, without any secret (RFC 2408)."""

from __future__ import annotations

from itertools import product

from harness.ike.constants_v1 import NotifyType, Phase1Attribute
from harness.ike.payloads_v1 import Notification, SecurityAssociation
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import SEIL
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import AGREEMENT, swan_files
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import MAIN, messages

A = Phase1Attribute
CIPHERS = {"7/256": (7, 256), "7/128": (7, 128), "5": (5, None)}
HASHES, GROUPS = {"4": 4, "2": 2}, {"5": 5, "2": 2}
WANTED = (7, 256, 4, 5)
"""What strongSwan's configuration has: AES-CBC-256, SHA2-256, MODP 1536."""


@either_front_end
@scenario(
    "phase1-scan",
    "ike-scan finds the one transform that strongSwan accepts among twelve.",
    rfc="2408 5.4",
    seed="002",
)
def test_phase1_scan(lab: Lab, sun: Peer) -> None:
    net = lab.up(
        SEIL,
        sun=sun,
        connection=AGREEMENT,
        dialect={"sun": lab.front_end},
        native={"sun": swan_files(lab.front_end)},
    )
    accepted = set()
    for cipher, digest, group in product(CIPHERS, HASHES, GROUPS):
        if scan(net, f"{cipher},{digest},1,{group}"):
            accepted.add((*CIPHERS[cipher], HASHES[digest], GROUPS[group]))
    assert accepted == {WANTED}
    answers = [one for one in messages(net) if one.sender == "sun"]
    assert len(answers) == len(CIPHERS) * len(HASHES) * len(GROUPS)
    chosen = [one.transforms[0] for one in answers if one.all(SecurityAssociation)]
    kinds = (A.ENCRYPTION_ALGORITHM, A.KEY_LENGTH, A.HASH_ALGORITHM, A.GROUP_DESCRIPTION)
    assert [tuple(one.number_of(kind) for kind in kinds) for one in chosen] == [WANTED]
    refusals = [one.only(Notification) for one in answers if one.exchange != MAIN]
    assert {one.notify_type for one in refusals} == {NotifyType.NO_PROPOSAL_CHOSEN}


def scan(net: Net, transform: str) -> bool:
    """Whether ike-scan, run where the SEIL is, gets this transform accepted."""
    done = net.run(
        "seil", "ike-scan", "--retry=1", "--timeout=5000", f"--trans={transform}", "10.0.0.2"
    )
    printed = done.stdout.decode()
    assert "1 hosts scanned" in printed, printed
    return "1 returned handshake" in printed
