# SPDX-License-Identifier: GPL-2.0-or-later
"""The failures of a capture that count: those that no later attempt made good.

Light enough to be asked of every capture: what explains a failure is imported when there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.capture.entries import Entry
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.failures_v1 import established_v1, failures_v1
from harness.verdict.diagnosis.failures_v2 import established_v2, failures_v2
from harness.verdict.diagnosis.negotiations import Negotiation, negotiations


def failures(entries: Iterable[Entry]) -> Iterator[Failure]:
    """Where each negotiation of a capture stopped, in order."""
    listed = negotiations(entries)
    for place, negotiation in enumerate(listed):
        if not negotiation.messages or negotiation.version not in (1, 2):
            continue
        later = listed[place + 1 :]
        for failure in _of(negotiation):
            if not _mended(failure, later):
                yield failure


def _of(negotiation: Negotiation) -> Iterator[Failure]:
    return (failures_v1 if negotiation.version == 1 else failures_v2)(negotiation)


def _mended(failure: Failure, later: list[Negotiation]) -> bool:
    """Whether a later attempt of the same two parties went further than this one."""
    ends = {failure.asker, failure.refuser}
    for negotiation in later:
        if {negotiation.initiator, negotiation.responder} != ends:
            continue
        established = established_v1 if negotiation.version == 1 else established_v2
        if established(negotiation) and not any(_of(negotiation)):
            return True
    return False
