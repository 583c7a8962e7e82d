# SPDX-License-Identifier: GPL-2.0-or-later
"""What ikelabd is configured with, whichever dialect it was written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from harness.ike.v1.configuration import Connection as ConnectionV1
from harness.ike.v1.configuration import Signer
from harness.ike.v2.connection import Connection as ConnectionV2
from harness.ike.v2.connection import Settings


class ConfigurationError(ValueError):
    """A configuration cannot be used; the text names file, line, key and remedy."""


Startup = Literal["none", "start", "route"]
"""What a child's configuration leads to: nothing, its initiation, or waiting for its traffic."""


@dataclass(frozen=True, slots=True)
class DaemonConfiguration:
    """Everything that a dialect says.

    `startup` is by child name. `listen` are the own addresses, empty for every one that the host
    has. `data_plane` is who does ESP. `keep_rekeyed` is for how many seconds packets are still
    received on a rekeyed SA. `interfaces` are addresses in CIDR notation by interface name, and
    `routes` next hops or devices by destination, for dialects that configure a host.
    """

    v2: tuple[ConnectionV2, ...] = ()
    v1: tuple[ConnectionV1, ...] = ()
    startup: Mapping[str, Startup] = field(default_factory=dict)
    listen: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    data_plane: Literal["kernel", "userspace"] = "kernel"
    keep_rekeyed: float = 5.0
    interfaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)


def dated(configuration: DaemonConfiguration, epoch: datetime) -> DaemonConfiguration:
    """The same with the date at which the daemon's clock was 0, to check certificates with."""
    return replace(
        configuration,
        settings=replace(configuration.settings, epoch=epoch),
        v1=tuple(_dated(connection, epoch) for connection in configuration.v1),
    )


def _dated(connection: ConnectionV1, epoch: datetime) -> ConnectionV1:
    if not isinstance(connection.credentials, Signer):
        return connection
    return replace(connection, credentials=replace(connection.credentials, epoch=epoch))
