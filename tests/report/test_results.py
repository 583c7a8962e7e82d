# SPDX-License-Identifier: GPL-2.0-or-later
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from harness.report.results import Outcome, Run, exit_status, read_seconds, write_results
from harness.report.table import print_table


def run(outcome: Outcome, reason: str = "") -> Run:
    return Run(
        scenario="net2net-rekey",
        peers={"moon": "strongswan@5.9.8", "sun": "strongswan@6.0.1"},
        kernel="debian-6.1",
        clock="virtual",
        seed=7,
        outcome=outcome,
        reason=reason,
        wall_s=2.25,
        lab_s=61.5,
        artifacts="net2net-rekey",
    )


def test_the_file_says_its_schema_and_every_run(tmp_path: Path) -> None:
    path = write_results(tmp_path / "out", [run("pass"), run("fail", "one packet lost")])
    document = json.loads(path.read_text())
    assert document["schema"] == 1
    assert [entry["outcome"] for entry in document["runs"]] == ["pass", "fail"]
    assert document["runs"][0]["peers"] == {"moon": "strongswan@5.9.8", "sun": "strongswan@6.0.1"}


def test_how_long_a_run_took_is_read_from_the_file_if_it_is_one(tmp_path: Path) -> None:
    assert read_seconds(tmp_path) == {}
    path = write_results(tmp_path, [run("pass")])
    assert read_seconds(tmp_path) == {"net2net-rekey": 2.25}
    for other in ("", "[]", "{}", '{"runs": 1}', '{"runs": [{"artifacts": "a"}]}'):
        path.write_text(other)
        assert read_seconds(tmp_path) == {}


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_results(tmp_path, [run("pass")])
    write_results(tmp_path, [run("pass"), run("pass")])
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("outcomes", "strict", "status"),
    [
        (["pass", "pass"], False, 0),
        (["pass", "unsupported"], False, 0),
        (["pass", "unsupported"], True, 1),
        (["pass", "not-run"], True, 1),
        (["unsupported"], False, 1),
        (["pass", "fail"], False, 1),
        (["pass", "fail", "lost"], False, 3),
        ([], False, 1),
    ],
)
def test_only_passes_that_happened_make_the_status_zero(
    outcomes: list[Outcome], strict: bool, status: int
) -> None:
    assert exit_status([run(outcome) for outcome in outcomes], strict) == status


def test_the_table_shows_each_run_its_reason_and_the_counts() -> None:
    shown = StringIO()
    runs = [run("pass"), run("fail", "loss: of 20 datagrams 1 lost"), run("lost", "the guest died")]
    print_table(runs, shown, colour=False, width=120)
    text = shown.getvalue()
    assert "strongswan@5.9.8 - strongswan@6.0.1" in text
    assert "fail: net2net-rekey: loss: of 20 datagrams 1 lost" in text
    assert "3 runs: 1 pass, 1 fail, 1 lost" in text
    assert "\x1b" not in text


def test_a_reason_that_several_runs_have_is_said_once() -> None:
    shown = StringIO()
    print_table([run("not-run", "no ESP")] * 3, shown, colour=False, width=120)
    assert shown.getvalue().splitlines()[-2:] == [
        "not-run: net2net-rekey: no ESP (3 runs)",
        "3 runs: 3 not-run",
    ]


def test_one_run_is_counted_as_one() -> None:
    shown = StringIO()
    print_table([run("pass")], shown, colour=False, width=120)
    assert shown.getvalue().splitlines()[-1] == "1 run: 1 pass"


def test_the_table_says_who_did_esp_and_names_both_where_they_differ() -> None:
    shown = StringIO()
    alike = replace(run("pass"), data_planes={"moon": "kernel", "sun": "kernel"})
    mixed = replace(run("pass"), data_planes={"moon": "userspace", "sun": "kernel"})
    print_table([alike, mixed], shown, colour=False, width=200)
    _, first, second, *_ = shown.getvalue().splitlines()
    assert "6.0.1  kernel " in first
    assert "userspace - kernel" in second


def test_what_was_looked_at_one_by_one_is_told_where_it_is_no_pass() -> None:
    rules = {"cookie": "pass", "another-group": "deviates from RFC 7296 2.7: it gives up"}
    text = StringIO()
    print_table([replace(run("pass"), rules=rules)], text, colour=False, width=200)
    assert "another-group: deviates from RFC 7296 2.7: it gives up" in text.getvalue()
    assert "cookie" not in text.getvalue()
