# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration language of a SEIL router: ``interface.ipsec0.preshared-key : value``.

Each `interface.ipsec` is a connection with one child, both of the interface's name. What a file
does not say is as on a SEIL; docs/dialects.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from harness.daemon.complaints import refusal
from harness.daemon.configuration import DaemonConfiguration, Startup
from harness.daemon.seil import keys
from harness.daemon.seil.lines import Setting, Sheet, read_lines
from harness.daemon.seil.tunnel import Tunnel

_TUNNEL = re.compile(r"interface\.(ipsec\d+)\.")


def read_seil(text: str, file: str) -> DaemonConfiguration:
    """What a SEIL configuration says; raises `ConfigurationError` that names every wrong line.

    A tunnel is initiated at once unless it is `responder-only`. A router may have none.
    """
    sheet = read_lines(text)
    addresses = _addresses(sheet)
    found = (_TUNNEL.match(key) for key in sheet.settings)
    names = tuple(dict.fromkeys(one[1] for one in found if one))
    tunnels = [Tunnel(name, sheet, addresses) for name in names]
    for tunnel in tunnels:
        tunnel.check()
    _check_routes(sheet, {*addresses, *names})
    if sheet.complaints:
        raise refusal(file, sheet.complaints)
    connections = tuple(tunnel.connection() for tunnel in tunnels)
    startup: dict[str, Startup] = {
        one.name: "none" if one.responder_only else "start" for one in connections
    }
    return DaemonConfiguration(
        v1=connections,
        startup=startup,
        listen=tuple(dict.fromkeys(one.local.host for one in connections)),
        interfaces=addresses,
        routes=_routes(sheet),
    )


def _addresses(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    """The addresses of each interface that has one."""
    found: dict[str, tuple[str, ...]] = {}
    for key in (keys.ADDRESS, keys.TUNNEL_ADDRESS):
        for setting in sheet.of_shape(key.shape):
            name = setting.key.split(".")[1]
            found[name] = (setting.text,)
    return found


def _check_routes(sheet: Sheet, interfaces: Collection[str]) -> None:
    """Complain about halves of routes, and about gateways that nobody knows."""
    first: dict[str, Setting] = {}
    for setting in sheet.settings.values():
        if setting.key.startswith("route."):
            first.setdefault(setting.key.split(".")[2], setting)
    for number, setting in first.items():
        for key in (keys.ROUTE_DESTINATION, keys.ROUTE_GATEWAY):
            if sheet.setting(key, number) is None:
                sheet.complain(setting.line, key.at(number), "this is missing; add a line")
    for gateway in sheet.of_shape(keys.ROUTE_GATEWAY.shape):
        if gateway.text[:1].isalpha() and gateway.text not in interfaces:
            sheet.complain(
                gateway.line, gateway.key, f"{gateway.text} is not configured in this file"
            )
    taken: dict[str, int] = {}
    for destination in sheet.of_shape(keys.ROUTE_DESTINATION.shape):
        line = taken.setdefault(destination.text, destination.line)
        if line != destination.line:
            sheet.complain(
                destination.line, destination.key, f"line {line} routes this already; keep one"
            )


def _routes(sheet: Sheet) -> dict[str, str]:
    """Gateways by destination."""
    destinations = sheet.of_shape(keys.ROUTE_DESTINATION.shape)
    numbers = [setting.key.split(".")[2] for setting in destinations]
    return {
        sheet.value(keys.ROUTE_DESTINATION, "", number): sheet.value(keys.ROUTE_GATEWAY, "", number)
        for number in numbers
    }
