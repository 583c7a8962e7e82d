# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKEv2 connections of ikelabd's TOML."""

from __future__ import annotations

from harness.daemon.configuration import Startup
from harness.daemon.credentials import Certified, Credentials
from harness.daemon.identities import identity_of
from harness.daemon.native.connections import (
    ANY,
    ends,
    mode,
    named_children,
    note_startup,
    own_identity,
)
from harness.daemon.native.table import Table
from harness.daemon.native.values import traffic
from harness.daemon.proposals import child_proposal, ike_proposal
from harness.ike.v2.connection import (
    Anchors,
    ChildConfig,
    Connection,
    Identity,
    SharedKey,
    Signer,
)

USUAL_IKE = 3600.0
USUAL_CHILD = 1200.0
OVERRUN = 1.1
"""An SA lives for this many times the time after which it is rekeyed, unless told otherwise."""


def read(
    name: str, table: Table, credentials: Credentials, startup: dict[str, Startup]
) -> Connection:
    """A connection; it is of no use after a complaint."""
    proved = credentials.read(table)
    local, remote = ends(table)
    who = own_identity(table, proved, local)
    peer = table.made("remote-id", identity_of, None)
    rekey = table.number("rekey", USUAL_IKE)
    reauthenticate = table.number("reauth", 0)
    life = table.number("life", max(rekey, reauthenticate) * OVERRUN)
    children = tuple(_child(child, inner, startup) for child, inner in named_children(name, table))
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
        reauthenticate_after=reauthenticate or None,
        dpd_after=table.number("dpd", 0) or None,
        local=local,
        jitter=table.number("jitter", 0),
        lifetime=life or None,
    )


def _child(name: str, table: Table, startup: dict[str, Startup]) -> ChildConfig:
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
