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
    listed = [
        (one, list(_of(one)))
        for one in negotiations(entries)
        if one.messages and one.version in (1, 2)
    ]
    if not any(found for _, found in listed):
        return
    # The last attempt of two parties that went further than those before it.
    good = {
        frozenset((one.initiator, one.responder)): place
        for place, (one, found) in enumerate(listed)
        if not found and _established(one)
    }
    for place, (_, found) in enumerate(listed):
        for failure in found:
            if good.get(frozenset((failure.asker, failure.refuser)), -1) < place:
                yield failure


def _of(negotiation: Negotiation) -> Iterator[Failure]:
    return (failures_v1 if negotiation.version == 1 else failures_v2)(negotiation)


def _established(negotiation: Negotiation) -> bool:
    return (established_v1 if negotiation.version == 1 else established_v2)(negotiation)
