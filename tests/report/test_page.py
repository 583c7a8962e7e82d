# SPDX-License-Identifier: GPL-2.0-or-later
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.report.html import VOID, element
from harness.report.page import headline, page, write_report
from harness.report.results import Outcome, Run
from tests.report.test_results import run

REMEDY = {"node": "sun", "text": "ike=aes256!", "instead": "ike=aes128!", "where": "ipsec.conf"}
DIAGNOSIS = {
    "sentence": "sun wants another group.",
    "asker": "moon",
    "refuser": "sun",
    "differing": {"DH group": ["MODP 1024", "MODP 1536"]},
    "remedies": [REMEDY],
}


class Page(HTMLParser):
    """What a browser makes of a page: its elements, each with its attributes and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self._open.append((tag, len(self.texts) - 1))

    def handle_data(self, data: str) -> None:
        for _, place in self._open:
            self.texts[place] += data

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attributes, text)
            for (name, attributes), text in zip(self.elements, self.texts, strict=True)
            if name == tag
        ]


def shown(*runs: Run, folder: Path = Path("/nowhere")) -> Page:
    return Page(page(folder, runs))


def of(scenario: str, moon: str, sun: str, outcome: Outcome = "pass") -> Run:
    return replace(run(outcome), scenario=scenario, peers={"moon": moon, "sun": sun})


def test_each_scenario_has_a_line_and_each_pair_a_column() -> None:
    seen = shown(of("dpd", "a", "b"), of("dpd", "b", "a", "fail"), of("mobike", "b", "a", "lost"))
    heads = [text for attributes, text in seen.all("th") if attributes.get("scope") == "col"]
    rows = [text for attributes, text in seen.all("th") if attributes.get("scope") == "row"]
    assert (heads, rows) == (["ab", "ba"], ["dpd", "mobike"])
    assert [text for _, text in seen.all("td")] == ["✓", "✗", "", "!"]


def test_a_cell_leads_to_its_run() -> None:
    seen = shown(of("dpd", "a", "b"), of("mobike", "a", "b", "fail"))
    links = {attributes["href"] for attributes, _ in seen.all("a")}
    told = {f"#{attributes['id']}": text for attributes, text in seen.all("details")}
    assert links == set(told)
    assert ("dpd" in told["#run-1"], "mobike" in told["#run-2"]) == (True, True)


def test_what_failed_stands_first_and_open_with_its_reason_and_its_remedy() -> None:
    failed = replace(run("fail", "one packet lost"), diagnosis=[DIAGNOSIS], claim="It is rekeyed.")
    (first, text), (second, _) = shown(run("pass"), failed).all("details")
    assert ("open" in first, first["id"]) == (True, "run-2")
    assert ("open" in second, second["id"]) == (False, "run-1")
    for said in ("one packet lost", "It is rekeyed.", "MODP 1536", "ike=aes256!", "ipsec.conf"):
        assert said in text


def test_rules_that_deviate_and_oracles_that_were_not_asked_are_told() -> None:
    deviating = replace(
        run("pass"),
        rules={"cookie": "pass", "another-group": "deviates from RFC 7296 2.7: it gives up"},
        excused={"mirror": "sun was killed"},
    )
    ((_, text),) = shown(deviating).all("details")
    assert "another-groupdeviates from RFC 7296 2.7: it gives up" in text
    assert "not asked: mirrorsun was killed" in text
    assert "cookie" not in text


def test_nothing_of_a_run_is_taken_for_markup() -> None:
    hostile = '"><script>alert(1)</script>'
    one = replace(run("fail", hostile), scenario=hostile, peers={"moon": hostile}, kernel=hostile)
    seen = shown(replace(one, diagnosis=[{**DIAGNOSIS, "sentence": hostile}], claim=hostile))
    assert len(seen.all("script")) == 1
    ((_, text),) = seen.all("details")
    assert text.count(hostile) >= 5
    assert element("b", hostile, title=hostile).count("<") == 2


def test_links_are_to_the_files_that_are_there(tmp_path: Path) -> None:
    place = tmp_path / "dpd,a b#1%"
    place.mkdir()
    (place / "ladder.txt").write_text("")
    seen = shown(replace(run("pass"), artifacts=place.name), run("lost"), folder=tmp_path)
    links = [attributes["href"] or "" for attributes, _ in seen.all("a")]
    assert [unquote(one) for one in links if not one.startswith("#")] == [
        f"{place.name}/ladder.txt",
        f"{place.name}/",
    ]


def test_a_page_needs_nothing_but_itself() -> None:
    text = page(Path("/nowhere"), [run("pass"), run("fail", "why")])
    seen = Page(text)
    assert re.search(r"https?:|url\(|@import", text) is None
    assert all("src" not in attributes for _, attributes in seen.elements)
    assert seen.all("link") == []


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (["pass"], "The only run passed"),
        (["pass", "pass"], "All 2 runs passed"),
        (["pass", "unsupported"], "1 of 2 runs passed"),
        (["fail"], "0 of 1 runs passed"),
    ],
)
def test_only_passes_are_counted_as_such(outcomes: list[Outcome], words: str) -> None:
    assert headline([run(one) for one in outcomes]) == words


def test_the_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_report(tmp_path, [run("fail")])
    write_report(tmp_path, [run("pass")])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "The only run passed" in (tmp_path / "report.html").read_text()
