# SPDX-License-Identifier: GPL-2.0-or-later
"""Published values and recorded ones, as JSON; each file says where its values come from."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """The whole file `name`.json."""
    content: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return content


def vectors(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The vectors of a file with their names; hexadecimal values become bytes."""
    return [(title, unhex(values)) for title, values in load(name)["vectors"].items()]


def unhex(values: dict[str, Any]) -> dict[str, Any]:
    """The same mapping with its values of hexadecimal digits as bytes."""
    words = ("algorithm", "group", "kind")
    return {
        key: bytes.fromhex(value) if isinstance(value, str) and key not in words else value
        for key, value in values.items()
    }
