# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/ikelabd.md shows is true: each block is used as it stands."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.daemon.configuration import ConfigurationError
from harness.daemon.control import Control
from harness.daemon.credentials import Credentials
from harness.daemon.native.dialect import read_toml
from tests.daemon.services import WITHIN, two

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ikelabd.md").read_text()
SCENARIO = ROOT / "scenarios" / "ikev2" / "test_simultaneous_rekey.py"


def block(heading: str, language: str = "", which: int = 0) -> str:
    """A fenced block below a heading."""
    below = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", below, re.DOTALL | re.MULTILINE)
    return [text for word, text in fences if word == language][which]


def test_the_configuration_can_be_used() -> None:
    found = read_toml(block("A configuration", "toml"), "moon.toml", Credentials(Path()))
    assert [one.name for one in (*found.v2, *found.v1)] == ["sun", "seil"]
    assert found.startup == {"net": "route", "lan": "none"}


def test_the_mistakes_are_named_as_shown() -> None:
    text = block("A configuration", "toml").replace("dpd = 30", "dpdd = 30")
    text = text.replace('"aes256gcm16-x25519"', '"aes256gcm16-x25520"')
    with pytest.raises(ConfigurationError) as refused:
        read_toml(text, "moon.toml", Credentials(Path()))
    assert str(refused.value) + "\n" == block("A configuration")


def test_the_control_socket_answers_as_shown(tmp_path: Path) -> None:
    shown = block("The control socket").splitlines()

    async def body() -> None:
        names = {"[connection.gw": "[connection.sun"}
        async with two(renamed=names) as (moon, sun, _):
            control = Control(moon.service)
            await control.listen(tmp_path / "socket")
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            for line in shown:
                if line.startswith("> "):
                    writer.write(line[2:].encode() + b"\n")
                else:
                    async with asyncio.timeout(WITHIN):
                        answer = json.loads(await reader.readline())
                    assert _shape(answer) == _shape(json.loads(line)), line
            writer.close()
            await control.close()
            assert sun.service is not None

    asyncio.run(body())


def _shape(value: Any) -> Any:
    """A value with every number of an SA left out: those are random."""
    if isinstance(value, dict):
        random = ("inbound", "outbound", "initiator_spi", "responder_spi")
        return {key: None if key in random else _shape(one) for key, one in value.items()}
    return [_shape(one) for one in value] if isinstance(value, list) else value


def test_the_script_is_what_the_scenario_of_a_simultaneous_rekeying_runs() -> None:
    shown = [line.strip() for line in block("Scripts", "python").splitlines()]
    assert len(shown) == 10
    run = iter([line.strip() for line in SCENARIO.read_text().splitlines()])
    assert [line for line in shown if line not in run] == []
