# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd's own configuration language: TOML.

Times are seconds, 0 is never. docs/ikelabd.md has every key.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace

from harness.daemon.complaints import Complaint, refusal
from harness.daemon.configuration import ConfigurationError, DaemonConfiguration, Startup
from harness.daemon.credentials import Credentials
from harness.daemon.native import ikev1, ikev2
from harness.daemon.native.lines import lines_of
from harness.daemon.native.table import Table
from harness.daemon.native.values import address
from harness.ike.retransmission import Retransmission
from harness.ike.v2.connection import Settings

_WHERE = re.compile(r"\(at line (\d+), column \d+\)")


def read_toml(text: str, file: str, credentials: Credentials) -> DaemonConfiguration:
    """The configuration in a text; raises `ConfigurationError` with a line for each mistake.

    Certificates, keys and secrets may be in files of their own, beside the configuration's.
    """
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _no_toml(file, text, str(error)) from None
    complaints: list[Complaint] = []
    top = Table(values, (), lines_of(text), complaints)
    found = _read(top, credentials)
    if complaints:
        raise refusal(file, complaints)
    return found


def _read(top: Table, credentials: Credentials) -> DaemonConfiguration:
    again = _retransmission(top.table("retransmission"))
    settings = Settings(
        retransmission=again,
        fragment_size=top.whole("fragment-size", 1280),
        cookie_threshold=top.whole("cookie-threshold", 32),
    )
    keep_rekeyed = top.number("keep-rekeyed", 5.0)
    v1, v2 = [], []
    startup: dict[str, Startup] = {}
    for name, table in top.tables("connection"):
        version = table.whole("version", 2)
        if version == 2:
            v2.append(ikev2.read(name, table, credentials, startup))
        elif version == 1:
            v1.append(ikev1.read(name, table, credentials, startup, again, keep_rekeyed))
        else:
            table.complain("version", f"is 1 or 2, not {version}")
            continue
        table.close()
    found = DaemonConfiguration(
        v2=tuple(v2),
        v1=tuple(v1),
        startup=startup,
        listen=top.all_made("listen", address),
        settings=settings,
        keep_rekeyed=keep_rekeyed,
    )
    if top.choice("data-plane", ("kernel", "userspace"), "kernel") == "userspace":
        found = replace(found, data_plane="userspace")
    top.close()
    return found


def _retransmission(table: Table) -> Retransmission:
    usual = Retransmission()
    found = Retransmission(
        table.number("first", usual.first, least=0.01),
        table.number("factor", usual.factor, least=1),
        table.whole("tries", usual.tries),
    )
    table.close()
    return found


def _no_toml(file: str, text: str, error: str) -> ConfigurationError:
    where = _WHERE.search(error)
    what = _WHERE.sub("", error).replace("(at end of document)", "").strip()
    place = f"{file}:{where[1] if where else len(text.splitlines()) or 1}"
    return ConfigurationError(f"{place}: is no TOML: {what[:1].lower()}{what[1:]}")
