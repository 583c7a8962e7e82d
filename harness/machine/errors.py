# SPDX-License-Identifier: GPL-2.0-or-later
"""The two ways in which the machine tells its user that something is wrong."""

from __future__ import annotations


class MachineError(Exception):
    """One sentence for the user: what was wrong, where, what to do."""


class Lost(MachineError):
    """The guest was lost before it gave a result; the infrastructure failed, not the scenario.

    ``console_tail`` is the end of what the guest said on its console.
    """

    def __init__(self, sentence: str, console_tail: str = "") -> None:
        super().__init__(sentence)
        self.console_tail = console_tail
