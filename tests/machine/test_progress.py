# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.machine.errors import MachineError
from harness.machine.progress import timed


@pytest.mark.parametrize(
    ("error", "state"), [(MachineError, "failed"), (KeyboardInterrupt, "interrupted")]
)
def test_a_step_that_its_user_ends_did_not_fail(error: type[BaseException], state: str) -> None:
    told: list[tuple[str, str]] = []
    with pytest.raises(error), timed(lambda step, now, _: told.append((step, now)), "a step"):
        raise error
    assert told == [("a step", "begun"), ("a step", state)]
