# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from scenarios.manual import test_rekey as manual
from tests.sabotage.controls import turns_red

pytestmark = pytest.mark.needs("esp")


def test_hitless_rekey_turns_red_when_the_switch_drops_a_packet(lab: Lab) -> None:
    def drop_one(net: Net) -> None:
        net.wire("wan").drop(is_esp, sender="host1", nth=60)

    lab.disturb = drop_one
    turns_red(lab, manual.test_manual_rekey_hitless, because=r"assert 1 == 0[^$]*lost")


def test_hitless_rekey_turns_red_when_the_old_sa_stays(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(net: Net, host: str, direction: str, *, spi: int) -> None:
        """Delete nothing."""

    monkeypatch.setattr(manual, "delete_sa", keep)
    turns_red(lab, manual.test_manual_rekey_hitless, because=r"\{1, 2\} == \{2\}")


def test_new_reqid_turns_red_when_its_policy_is_not_used(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(net: Net, host: str, direction: str) -> None:
        """Delete nothing: the old policies stay in force."""

    monkeypatch.setattr(manual, "delete_policy", keep)
    turns_red(lab, manual.test_manual_rekey_new_reqid, because=r"'out': \[0, 5\]")
