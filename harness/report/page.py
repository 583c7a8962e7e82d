# SPDX-License-Identifier: GPL-2.0-or-later
"""`report.html`: the verdicts of a session as a matrix of scenarios and peers, in one file.

It needs no network and no script; with one it can be filtered.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.report.html import Html, element, joined
from harness.report.results import OUTCOMES, REPLAY, Outcome, Run

FILE = "report.html"
STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
SYMBOLS: Mapping[Outcome, str] = {
    "pass": "✓",
    "unsupported": "○",
    "not-run": "–",
    "fail": "✗",
    "lost": "!",
}
EVIDENCE = (
    "ladder.txt",
    "diagnosis.txt",
    "capture.pcapng",
    "sad.json",
    "events.jsonl",
    REPLAY,
)
BROKEN: tuple[Outcome, ...] = ("fail", "lost")

Numbered = tuple[int, Run]


def write_report(folder: Path, runs: Iterable[Run]) -> Path:
    """Write `report.html` beside the folders of the runs and return its path.

    It is replaced as a whole. Raises OSError, with what was there before still in place.
    """
    target = folder / FILE
    partial = target.with_name(f".{FILE}.{os.getpid()}")
    try:
        partial.write_text(page(folder, list(runs)), encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def page(folder: Path, runs: Sequence[Run]) -> str:
    """The whole page; links are to those files of the runs that are there in `folder`."""
    numbered = list(enumerate(runs, 1))
    broken = [one for one in numbered if one[1].outcome in BROKEN]
    others = [one for one in numbered if one[1].outcome not in BROKEN]
    title = headline(runs)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · ikelab"),
        element("style", Html(STYLE.read_text(encoding="utf-8"))),
    )
    main = element(
        "main",
        _section("What did not pass", _details(folder, broken, opened=True)) if broken else "",
        _section("Scenarios and peers", _matrix(numbered)),
        _section("Runs", _details(folder, others, opened=False)) if others else "",
    )
    script = element("script", Html(SCRIPT.read_text(encoding="utf-8")))
    body = element("body", _header(title, runs), main, script)
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def headline(runs: Sequence[Run]) -> str:
    """What came out, in a few words."""
    passed = sum(run.outcome == "pass" for run in runs)
    number = "the only run" if len(runs) == 1 else f"all {len(runs)} runs"
    if passed == len(runs) and runs:
        return f"{number[0].upper()}{number[1:]} passed"
    return f"{passed} of {len(runs)} runs passed"


def _header(title: str, runs: Sequence[Run]) -> Html:
    counts = Counter(run.outcome for run in runs)
    known = [outcome for outcome in reversed(OUTCOMES) if counts[outcome]]
    bar = (
        element("span", class_=f"is-{outcome}", style=f"flex-grow:{counts[outcome]}")
        for outcome in known
    )
    chips = (
        element(
            "button",
            element("b", f"{SYMBOLS[outcome]} {counts[outcome]}"),
            f" {outcome}",
            class_=f"is-{outcome}",
            type="button",
            aria_pressed="true",
            data_outcome=outcome,
        )
        for outcome in known
    )
    search = element(
        "input",
        type="search",
        placeholder="scenario, peer, kernel, reason …",
        aria_label="filter",
    )
    return element(
        "header",
        element("p", "ikelab", class_="name"),
        element("h1", title),
        element("div", *bar, class_="bar"),
        element("div", search, *chips, class_="filter"),
    )


def _section(heading: str, content: Html) -> Html:
    return element("section", element("h2", heading), content)


def _matrix(runs: Sequence[Numbered]) -> Html:
    """A line for each scenario, a column for each pair, in the order of the runs and by name."""
    pairs = sorted({_pair(run) for _, run in runs})
    cells: dict[str, dict[tuple[str, ...], list[Numbered]]] = {}
    for number, run in runs:
        cells.setdefault(run.scenario, {}).setdefault(_pair(run), []).append((number, run))
    heads = (element("th", element("div", *_lines(pair)), scope="col") for pair in pairs)
    rows = (
        element(
            "tr",
            element("th", name, scope="row", title=next(iter(row.values()))[0][1].claim),
            *(element("td", *(_pill(*one) for one in row.get(pair, ()))) for pair in pairs),
        )
        for name, row in cells.items()
    )
    table = element(
        "table", element("thead", element("tr", element("th"), *heads)), element("tbody", *rows)
    )
    return element("div", table, class_="matrix")


def _lines(pair: tuple[str, ...]) -> Iterator[Html]:
    yield from (element("span", name) for name in pair)


def _pill(number: int, run: Run) -> Html:
    deviates = [rule for rule, verdict in run.rules.items() if verdict != "pass"]
    more = f", {len(deviates)} of {len(run.rules)} rules deviate" if deviates else ""
    return element(
        "a",
        SYMBOLS[run.outcome],
        href=f"#run-{number}",
        class_=f"pill is-{run.outcome}" + (" deviates" if deviates else ""),
        title=f"{run.outcome}: {run.artifacts}, {run.wall_s:.1f} s{more}",
        **_found_by(run),
    )


def _details(folder: Path, runs: Iterable[Numbered], *, opened: bool) -> Html:
    return joined(*(_detail(folder, number, run, opened) for number, run in runs))


def _detail(folder: Path, number: int, run: Run, opened: bool) -> Html:
    summary = element(
        "summary",
        element("span", SYMBOLS[run.outcome], class_=f"pill is-{run.outcome}"),
        element("b", run.scenario),
        element("span", _peers(run), class_="soft"),
        element("span", run.outcome, class_=f"word is-{run.outcome}"),
    )
    return element(
        "details",
        summary,
        element("p", run.claim, f" (RFC {run.rfc})" if run.rfc else "") if run.claim else "",
        element("p", run.reason, class_="reason") if run.reason else "",
        *(_diagnosis(one) for one in run.diagnosis),
        element("dl", *_facts(run)),
        element("p", *_links(folder, run), class_="links"),
        id=f"run-{number}",
        open=opened,
        **_found_by(run),
    )


def _facts(run: Run) -> Iterator[Html]:
    lab = f", {run.lab_s:.1f} s in the lab" if run.lab_s is not None else ""
    seed = f", seed {run.seed}" if run.seed is not None else ""
    facts = {
        "peers": ", ".join(f"{node}: {peer}" for node, peer in run.peers.items()),
        "ESP": ", ".join(f"{node}: {plane}" for node, plane in run.data_planes.items()),
        "kernel": f"{run.kernel}, {run.clock} clock{seed}",
        "time": f"{run.wall_s:.1f} s{lab}",
        **{f"not asked: {oracle}": why for oracle, why in run.excused.items()},
        **{rule: verdict for rule, verdict in run.rules.items() if verdict != "pass"},
        "again": f"ikelab replay {shlex.quote(run.artifacts)}",
    }
    for name, value in facts.items():
        if value:
            yield joined(element("dt", name), element("dd", value))


def _links(folder: Path, run: Run) -> Iterator[Html]:
    place = folder / run.artifacts
    for name in EVIDENCE:
        if (place / name).is_file():
            yield element("a", name, href=quote(f"{run.artifacts}/{name}"))
    if place.is_dir():
        yield element("a", "all files", href=quote(f"{run.artifacts}/"))


def _diagnosis(found: Mapping[str, Any]) -> Html:
    asker, refuser = f"{found['asker']} offers", f"{found['refuser']} wants"
    rows = [
        element("tr", element("th", what, scope="row"), *(element("td", str(one)) for one in both))
        for what, both in found["differing"].items()
    ]
    heads = element("tr", *(element("th", one, scope="col") for one in ("", asker, refuser)))
    remedies = (
        element("li", f"on {one['node']}: ", element("code", one["text"]), *_instead(one))
        for one in found["remedies"]
    )
    return element(
        "div",
        element("p", found["sentence"]),
        element("table", heads, *rows) if rows else "",
        element("ul", *remedies) if found["remedies"] else "",
        class_="diagnosis",
    )


def _instead(remedy: Mapping[str, str]) -> Iterator[str]:
    if remedy["instead"]:
        yield " in place of "
        yield element("code", remedy["instead"])
    if remedy["where"]:
        yield f" ({remedy['where']})"


def _pair(run: Run) -> tuple[str, ...]:
    return tuple(run.peers.values())


def _peers(run: Run) -> str:
    return " - ".join(_pair(run))


def _found_by(run: Run) -> dict[str, str]:
    """What the filter looks at."""
    words = (run.scenario, *_pair(run), run.kernel, *run.data_planes.values(), run.reason)
    return {"data_outcome": run.outcome, "data_words": " ".join(words).lower()}
