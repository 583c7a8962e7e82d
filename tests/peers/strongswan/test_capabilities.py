# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

from harness.lab.background import Background
from harness.lab.lab import Roots
from harness.network.spawner import Spawner
from harness.peers.connection import Connection
from harness.peers.contract import Unsupported
from tests.peers.strongswan.charons import DIALECTS, NET, pair

pytestmark = pytest.mark.needs("tun")

TWO = NET.with_ike(proposals=("aes128-sha256-x25519-ke1_ecp384",))
TWO_OF_THE_CHILD = NET.with_child(proposals=("aes128gcm16-x25519-ke1_ecp384",))
ML_KEM = NET.with_ike(proposals=("aes128-sha256-x25519-ke1_mlkem768",))
ML_KEM_ALONE = NET.with_ike(proposals=("aes128-sha256-mlkem768",))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("version", "connection", "sentence"),
    [
        ("5.9.8", TWO, r"^strongswan@5\.9\.8 has no additional key exchanges \(RFC 9370\)$"),
        ("5.9.8", TWO_OF_THE_CHILD, r"^strongswan@5\.9\.8 has no additional key exchanges"),
        ("5.9.8", ML_KEM_ALONE, r"^strongswan@5\.9\.8 has no additional key exchanges"),
        ("6.0.1", ML_KEM, r"^strongswan@6\.0\.1 is built without ML_KEM_768: none of its plugins"),
        ("6.0.1", ML_KEM_ALONE, r"^strongswan@6\.0\.1 is built without ML_KEM_768"),
    ],
)
def test_a_key_exchange_that_a_charon_is_without_is_unsupported(
    version: str,
    connection: Connection,
    sentence: str,
    dialect: str,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    async def start() -> None:
        async with pair(
            spawner, roots, tmp_path, moon=version, dialect=dialect, connection=connection
        ):
            pass

    with pytest.raises(Unsupported, match=sentence):
        background.run(start())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("connection", [TWO, TWO_OF_THE_CHILD])
def test_additional_key_exchanges_are_taken_by_a_charon_that_has_them(
    connection: Connection,
    dialect: str,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    async def start() -> None:
        async with pair(spawner, roots, tmp_path, dialect=dialect, connection=connection) as two:
            assert not await two.moon.sas()

    background.run(start())
