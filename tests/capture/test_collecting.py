# SPDX-License-Identifier: GPL-2.0-or-later
import gc

import pytest

from harness.capture.collecting import no_garbage


def fails() -> None:
    with no_garbage():
        assert not gc.isenabled()
        raise KeyError


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_set_again_as_it_was_also_after_an_error(collecting: bool) -> None:
    try:
        if not collecting:
            gc.disable()
        with pytest.raises(KeyError):
            fails()
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
