# SPDX-License-Identifier: GPL-2.0-or-later
"""A diagnosis for people: one sentence, the table of both sides, what to change on which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.capture.ladder import safe
from harness.verdict.diagnosis.findings import Diagnosis, Remedy, Row

INDENT = "  "
MARK, NO_MARK = "> ", "  "
UNKNOWN = "?"


def text(diagnoses: Iterable[Diagnosis]) -> str:
    """All of them, a blank line between two; empty for none."""
    return "\n\n".join("\n".join(lines(one)) for one in diagnoses)


def lines(diagnosis: Diagnosis) -> Iterator[str]:
    """One diagnosis line by line, without control characters whatever the peers sent."""
    times = f" ({diagnosis.times} times)" if diagnosis.times > 1 else ""
    yield safe(diagnosis.sentence) + times
    if diagnosis.rows:
        yield ""
        yield from _table(diagnosis)
    if diagnosis.notes:
        yield ""
        yield from (f"{INDENT}{safe(note)}." for note in diagnosis.notes)
    if diagnosis.remedies:
        yield ""
        yield from _remedies(diagnosis.remedies)


def _table(diagnosis: Diagnosis) -> Iterator[str]:
    heading = Row("", f"{diagnosis.asker} offers", f"{diagnosis.refuser} wants")
    cells = [_cells(one) for one in (heading, *diagnosis.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    for row, values in zip((heading, *diagnosis.rows), cells, strict=True):
        first, second, third = values
        mark = MARK if row.differs else NO_MARK
        line = f"{INDENT}{mark}{first:<{widths[0]}}{INDENT}{second:<{widths[1]}}{INDENT}{third}"
        yield line.rstrip()


def _cells(row: Row) -> tuple[str, str, str]:
    return safe(row.what), safe(row.offered) or UNKNOWN, safe(row.wanted) or UNKNOWN


def _remedies(remedies: tuple[Remedy, ...]) -> Iterator[str]:
    several = len({one.node for one in remedies}) > 1
    yield f"{INDENT}To mend it, change one side:" if several else f"{INDENT}To mend it:"
    for one in remedies:
        spelled = one.spelled
        yield f"{INDENT * 2}on {safe(one.node)}: {safe(spelled.text)}"
        if spelled.instead:
            yield f"{INDENT * 3}in place of {safe(spelled.instead)} ({safe(spelled.where)})"
        elif spelled.where:
            yield f"{INDENT * 3}in {safe(spelled.where)}, which has no such line yet"
