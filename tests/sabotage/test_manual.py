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


def test_new_reqid_turns_red_when_the_policies_are_left_as_they_were(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(net: Net, host: str, direction: str, *, reqid: int, priority: int) -> None:
        """Change nothing: the old policies stay in force."""

    monkeypatch.setattr(manual, "set_policy", keep)
    turns_red(lab, manual.test_manual_rekey_new_reqid, because=r"'out': \[0\]")


def test_new_reqid_turns_red_when_the_new_sas_have_the_old_reqid(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_policy = manual.set_policy

    def with_old_reqid(net: Net, host: str, direction: str, *, reqid: int, priority: int) -> None:
        set_policy(net, host, direction, reqid=1, priority=priority)

    monkeypatch.setattr(manual, "set_policy", with_old_reqid)
    because = "ESP 0x00000001 from host3, 25 times|ESP 0x00000002 from host1|template_mismatches"
    turns_red(lab, manual.test_manual_rekey_new_reqid, because=because)
