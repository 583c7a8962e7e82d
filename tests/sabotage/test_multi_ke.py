# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable

import pytest

from harness.lab.lab import Lab
from harness.peers.ikelabd import Ikelabd
from scenarios.ikev2.test_multi_ke import test_multi_ke as multi_ke
from scenarios.ikev2.test_multi_ke import test_multi_ke_ml_kem as multi_ke_ml_kem
from tests.sabotage.controls import turns_red, with_side

BOTH = pytest.mark.parametrize("scenario", [multi_ke, multi_ke_ml_kem])


@BOTH
def test_multi_ke_turns_red_when_there_is_only_one_key_exchange(
    lab: Lab, scenario: Callable[..., None]
) -> None:
    lab.rewrite = with_side(ike={"proposals": ("aes128-sha256-x25519",)})
    turns_red(lab, scenario, Ikelabd(), Ikelabd(), because=r"IkeAuth\(.* != Intermediate\(")


@BOTH
def test_multi_ke_turns_red_when_the_second_method_is_another(
    lab: Lab, scenario: Callable[..., None]
) -> None:
    lab.rewrite = with_side(ike={"proposals": ("aes128-sha256-x25519-ke1_x448",)})
    turns_red(lab, scenario, Ikelabd(), Ikelabd(), because=r"assert \[\(31, 31\), \(32, 32\)\] == ")
