# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a negotiation stopped: what was asked, by whom, and what came of it.

`failures_v1` and `failures_v2` find them; what they mean is for the modules of the causes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy, Row
from harness.verdict.diagnosis.negotiations import Message, Negotiation


class Stage(StrEnum):
    """What was being negotiated."""

    IKE = "the IKE SA"
    KEYS = "an additional key exchange"
    AUTHENTICATION = "authentication"
    CHILD = "the IPsec SA"


REPEATED = 2
"""So many repetitions after an answer mean that it did not arrive: one may have crossed it."""


def unheard(asked: Message, answer: Message) -> bool:
    """Whether an answer that was sent did not get to who asked."""
    return answer.lost or asked.repeated_after(answer) >= REPEATED


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that came to nothing.

    `asked` is the message that was refused or not answered. `answer` is the refusal, None where
    there was none; `notify` its type in RFC words, empty where it cannot be read or is none,
    `code` the number of that and `data` what came with it. `exchange` is where it happened.
    """

    negotiation: Negotiation
    stage: Stage
    exchange: str
    asked: Message
    answer: Message | None = None
    notify: str = ""
    code: int = 0
    data: bytes = b""

    @property
    def asker(self) -> str:
        """Who offered or claimed what was refused."""
        return self.asked.sender

    @property
    def refuser(self) -> str:
        """Who refused it, or did not answer."""
        return self.asked.receiver

    @property
    def version(self) -> int:
        """The major version of IKE."""
        return self.negotiation.version

    def diagnosis(
        self,
        cause: Cause,
        sentence: str,
        rows: Iterable[Row] = (),
        remedies: Iterable[Remedy] = (),
        notes: Iterable[str] = (),
        *,
        proved: bool = True,
        frames: tuple[int, ...] | None = None,
    ) -> Diagnosis:
        """The diagnosis that it comes to; without `frames` those of the failure show it."""
        return Diagnosis(
            cause,
            sentence,
            self.asker,
            self.refuser,
            self.exchange,
            self.notify,
            tuple(rows),
            tuple(remedies),
            tuple(notes),
            proved,
            self.frames if frames is None else frames,
        )

    @property
    def reaction(self) -> str:
        """What the refuser did, as the end of a sentence that begins with it."""
        return f"answered {self.notify}" if self.notify else "did not go on"

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames that it is about."""
        return (self.asked.number, *((self.answer.number,) if self.answer else ()))
