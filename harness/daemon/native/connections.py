# SPDX-License-Identifier: GPL-2.0-or-later
"""What the connections of ikelabd's TOML have in common, for each IKE version."""

from __future__ import annotations

from harness.daemon.configuration import Startup
from harness.daemon.credentials import Certified, Secret
from harness.daemon.identities import Who, identity_of
from harness.daemon.native.table import Table
from harness.daemon.native.values import address
from harness.ike.address import Address
from harness.ike.certificates import subject_dn
from harness.ike.constants_v2 import IdType

ANY = "any"


def ends(table: Table) -> tuple[Address | None, Address | None]:
    """The own address and the peer's; None for any."""
    found = []
    for key in ("local", "remote"):
        if not table.has(key):
            table.complain(key, f'is missing; add {key} = "192.0.2.1", or {key} = "any"')
        anywhere = table.values.get(key) == ANY
        host = None if anywhere else table.made(key, address, None)
        table.text(key, ANY)
        found.append(None if host is None else Address(host))
    return found[0], found[1]


def own_identity(
    table: Table, proved: Secret | Certified | None, local: Address | None
) -> Who | None:
    """Who this end says to be: what is written, else a certificate's subject or the address."""
    if table.has("local-id"):
        return table.made("local-id", identity_of, None)
    if isinstance(proved, Certified):
        return Who(IdType.DER_ASN1_DN, subject_dn(proved.chain[0]))
    if local is not None:
        return identity_of(local.host)
    table.complain("local-id", 'is missing, and there is no address; add local-id = "moon.example"')
    return None


def mode(table: Table) -> bool:
    """Whether a child is in transport mode."""
    return table.choice("mode", ("tunnel", "transport"), "tunnel") == "transport"


def note_startup(name: str, table: Table, startup: dict[str, Startup]) -> None:
    """Keep what a child begins with."""
    if name in startup:
        table.complain("start", "belongs to a second child of this name; rename one of them")
    wanted = table.choice("start", ("none", "start", "route"), "none")
    startup[name] = "start" if wanted == "start" else "route" if wanted == "route" else "none"


def named_children(connection: str, table: Table) -> list[tuple[str, Table]]:
    """The children of a connection; complains where there is none."""
    found = list(table.tables("child"))
    if not found and not table.values.get("childless"):
        table.complain("child", f"is missing; add a table [connection.{connection}.child.NAME]")
    return found
