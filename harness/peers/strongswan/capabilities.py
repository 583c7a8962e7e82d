# SPDX-License-Identifier: GPL-2.0-or-later
"""What a charon was built with, where not every charon has what a connection asks for."""

from __future__ import annotations

import re

from harness.ike.transforms import KEY_EXCHANGES, Dialect, GroupKind
from harness.peers.connection import Side
from harness.peers.contract import DataPlane, Unsupported
from harness.peers.strongswan.sections import Section
from harness.peers.strongswan.vici import Vici

ADDITIONAL = re.compile(r"ke[1-7]_")
"""How a proposal names a key exchange beside the first (RFC 9370)."""


def check_data_plane(peer: str, side: Side, data_plane: DataPlane) -> None:
    """Return where charon's ESP can do what a side asks for; raises `Unsupported`."""
    if side.ike.mobike and data_plane == "userspace":
        raise Unsupported(
            f"{peer} with ESP in user space takes no CHILD_SA to another address (RFC 4555): it"
            " replaces it"
        )


async def check_key_exchanges(peer: str, vici: Vici, side: Side) -> None:
    """Return when charon has every key exchange that a side asks for; raises `Unsupported`.

    That is of ML-KEM and of additional key exchanges: what else a proposal may name every charon
    has, or refuses itself. It would take ML-KEM that no plugin has, and never propose it.
    """
    words = [
        word
        for proposal in (*side.ike.proposals, *side.child.proposals)
        for word in proposal.split("-")
    ]
    if any(ADDITIONAL.match(word) or word in _KEMS for word in words):
        _check(peer, words, await vici.request("get-algorithms"))


def _check(peer: str, words: list[str], algorithms: Section) -> None:
    # Who has more than one key exchange calls them so; before, they were Diffie-Hellman groups.
    methods = algorithms.get("ke")
    if methods is None:
        raise Unsupported(f"{peer} has no additional key exchanges (RFC 9370)")
    for word in words:
        name = _KEMS.get(ADDITIONAL.sub("", word))
        if name is not None and name not in methods:
            raise Unsupported(f"{peer} is built without {name}: none of its plugins has it")


_KEMS = {
    word: method.name
    for method in KEY_EXCHANGES
    if method.kind is GroupKind.KEM and (word := method.names.of(Dialect.STRONGSWAN)) is not None
}
