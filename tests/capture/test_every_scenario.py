# SPDX-License-Identifier: GPL-2.0-or-later
"""The captures of the catalogue's scenarios, decrypted by us and by tshark with the run's profile.

Every day a few scenarios that between them have every exchange and both modes; all of them where
IKELAB_EXAMPLES says that the tests may take long, as in the nightly run.
"""

import os
from pathlib import Path

import pytest

from harness.capture.entries import Ike, Ipsec, Status
from harness.capture.presentation import told_by
from tests.capture.runs import made
from tests.capture.tshark import assert_agreed

QUICK = (
    "auth-failure",
    "delete-child",
    "main-mode-minimal",
    "manual-rekey-hitless",
    "nat-traversal",
    "net2net-rekey-ipsec-conf",
    "proposal-mismatch-child",
    "proposal-mismatch-ike",
    "transport-host2host",
)
READ = (Status.CLEAR, Status.DECRYPTED, Status.FRAGMENT)


@pytest.fixture(scope="session")
def scenarios(shared: Path) -> dict[str, Path]:
    """The folders of scenarios that were run for this session."""
    return made(shared, "scenarios", *(() if os.environ.get("IKELAB_EXAMPLES") else QUICK))


def test_tshark_agrees_with_every_field_of_every_scenario(scenarios: dict[str, Path]) -> None:
    compared = {}
    for name, folder in scenarios.items():
        told = told_by(folder)
        assert told.problems == (), name
        for entry in told.decryption.entries:
            if isinstance(entry.content, Ike | Ipsec):
                said = f"{name}, frame {entry.number}: {entry.content.detail}"
                assert entry.content.status in READ, said
        compared[name] = assert_agreed(
            told.decryption, folder / "capture.pcapng", folder / "wireshark", written=True
        )
    assert set(compared) >= set(QUICK)
    assert min(compared.values()) >= 2
    assert sum(compared.values()) > 200
