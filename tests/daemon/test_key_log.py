# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import stat
from pathlib import Path

import pytest

from harness.capture.wireshark_tables import TABLES, read_tables
from harness.daemon.key_log import KeyLogError, WiresharkKeyLog
from harness.daemon.reports import ChildUp
from tests.daemon.services import WITHIN, two


@pytest.mark.parametrize("version", [1, 2])
def test_both_ends_write_the_same_keys_for_nobody_else_to_read(
    tmp_path: Path, version: int
) -> None:
    folders = {"moon": tmp_path / "moon", "sun": tmp_path / "sun"}

    async def body() -> None:
        async with two(version) as (moon, sun, _):
            for end in (moon, sun):
                end.service._enforcement._key_log = WiresharkKeyLog(folders[end.name])
            await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)

    asyncio.run(body())
    found = {name: read_tables(folder) for name, folder in folders.items()}
    assert found["moon"].problems == found["sun"].problems == ()
    moon, sun = (found[name].secrets for name in ("moon", "sun"))
    assert len(moon.ike_v1 if version == 1 else moon.ike_v2) == 1
    assert (moon.ike_v1, moon.ike_v2) == (sun.ike_v1, sun.ike_v2)
    assert set(moon.ipsec) == set(sun.ipsec)
    assert len(moon.ipsec) == 2
    for folder in folders.values():
        assert {stat.S_IMODE((folder / name).stat().st_mode) for name in TABLES} == {0o600}


def test_a_key_log_begins_anew_and_keeps_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "esp_sa").write_text("old\n")
    (tmp_path / "esp_sa").chmod(0o644)
    WiresharkKeyLog(tmp_path).close()
    assert (tmp_path / "esp_sa").read_text() == ""
    assert stat.S_IMODE((tmp_path / "esp_sa").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyLogError, match="file: keys cannot be written there: File exists"):
        WiresharkKeyLog(tmp_path / "file")
