# SPDX-License-Identifier: GPL-2.0-or-later
"""The connections of ikelabd's TOML, for each IKE version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.daemon.configuration import Startup
from harness.daemon.credentials import Certified, Credentials, Secret
from harness.daemon.identities import Who, identity_of
from harness.daemon.native.table import Table
from harness.daemon.native.values import address, traffic
from harness.daemon.proposals import child_proposal, ike_proposal
from harness.ike.address import Address
from harness.ike.certificates import IdType, subject_dn
from harness.ike.v2.connection import (
    Anchors,
    ChildConfig,
    Connection,
    Identity,
    Retransmission,
    SharedKey,
    Signer,
)

if TYPE_CHECKING:
    from harness.ike.v1.configuration import Connection as ConnectionV1

ANY = "any"
USUAL_IKE = 3600.0
USUAL_CHILD = 1200.0
OVERRUN = 1.1
"""An SA lives for this many times the time after which it is rekeyed, unless told otherwise."""


def read_v2(
    name: str, table: Table, credentials: Credentials, startup: dict[str, Startup]
) -> Connection:
    """An IKEv2 connection; it is of no use after a complaint."""
    proved = credentials.read(table)
    local, remote = ends(table)
    who = own_identity(table, proved, local)
    peer = table.made("remote-id", identity_of, None)
    rekey = table.number("rekey", USUAL_IKE)
    life = table.number("life", rekey * OVERRUN)
    children = tuple(
        _child_v2(child, inner, startup) for child, inner in named_children(name, table)
    )
    own: SharedKey | Signer
    others: SharedKey | Anchors
    if isinstance(proved, Certified):
        own, others = Signer(proved.key, proved.chain), Anchors(proved.anchors)
    else:
        own = others = SharedKey(proved.octets if proved else b"")
    return Connection(
        name,
        table.needed("proposals", ike_proposal, "aes256-sha256-x25519"),
        who.v2 if who else Identity.of(ANY),
        own,
        others,
        children,
        remote=remote,
        remote_id=peer.v2 if peer else None,
        childless=table.flag("childless", False),
        mobike=table.flag("mobike", False),
        initial_contact=table.flag("initial-contact", True),
        force_encapsulation=table.flag("encapsulate", False),
        rekey_after=rekey or None,
        dpd_after=table.number("dpd", 0) or None,
        local=local,
        jitter=table.number("jitter", 0),
        lifetime=life or None,
    )


def _child_v2(name: str, table: Table, startup: dict[str, Startup]) -> ChildConfig:
    rekey = table.number("rekey", USUAL_CHILD)
    child = ChildConfig(
        name,
        table.needed("proposals", child_proposal, "aes256gcm16-x25519"),
        table.all_made("local", traffic),
        table.all_made("remote", traffic),
        transport=mode(table),
        rekey_after=rekey or None,
        lifetime=table.number("life", rekey * OVERRUN) or None,
        jitter=table.number("jitter", 0),
        narrow=table.flag("narrow", True),
    )
    note_startup(name, table, startup)
    table.close()
    return child


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


def read_v1(
    name: str,
    table: Table,
    credentials: Credentials,
    startup: dict[str, Startup],
    again: Retransmission,
    top: Table,
) -> ConnectionV1:
    """An IKEv1 connection; it is of no use after a complaint."""
    from harness.daemon.native.ikev1 import read

    return read(name, table, credentials, startup, again, top.number("keep-rekeyed", 5.0))
