# SPDX-License-Identifier: GPL-2.0-or-later
"""A ``sainfo`` of a racoon.conf: what phase 2 may be, and for whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_network

from harness.daemon.complaints import Complaint
from harness.daemon.racoon import values as v
from harness.daemon.racoon.block import Block, Directive, read_block, table_of
from harness.daemon.racoon.lexer import Misplaced
from harness.daemon.racoon.syntax import Statement
from harness.ike.v1.configuration import Child, Lifetime, LifetimeCheck
from harness.ike.v1.identity import OWN_ADDRESS, Identity, address_identity, subnet_identity

GROUP = Directive("pfs_group", v.GROUP)
LIFETIME = Directive("lifetime", v.lifetime, many=True)
CIPHERS = Directive("encryption_algorithm", v.several(v.PHASE2_CIPHER))
MACS = Directive("authentication_algorithm", v.several(v.AUTHENTICATION))
COMPRESSION = Directive("compression_algorithm", v.fixed("deflate"))

_SAINFO = table_of(GROUP, LIFETIME, CIPHERS, MACS, COMPRESSION)
_REFUSED = {
    "identifier": "ikelabd takes my_identifier of the remote; remove this",
    "my_identifier": "ikelabd takes my_identifier of the remote; remove this",
    "remoteid": "ikelabd finds the remote of a sainfo by its addresses; remove this",
}


@dataclass(frozen=True, slots=True)
class SaInfo:
    """One ``sainfo``; `ends` are networks, None for an anonymous one, which fits all others."""

    ends: tuple[str, str] | None
    block: Block

    @property
    def name(self) -> str:
        """What its child is called."""
        return "anonymous" if self.ends is None else "-".join(self.ends)

    @property
    def hosts(self) -> tuple[str, str] | None:
        """Both ends where they are single addresses."""
        if self.ends is None:
            return None
        networks = [ip_network(end) for end in self.ends]
        if any(one.num_addresses > 1 for one in networks):
            return None
        return str(networks[0].network_address), str(networks[1].network_address)

    def child(self, local: str | None, remote: str | None, check: LifetimeCheck) -> Child:
        """The child: in transport mode between the ends themselves, else in tunnel mode.

        racoon takes the mode from the policies of the kernel; a racoon.conf does not have it.
        `local` and `remote` are the ends' addresses where they are known.
        """
        transport = self.ends is None or self.hosts == (local, remote)
        ends = [local, remote] if self.ends is None else list(self.ends)
        own, other = (OWN_ADDRESS if end is None else _identity(end) for end in ends)
        child = Child(self.name, own, other)
        lifetimes = self.block.values(LIFETIME)
        return replace(
            child,
            encryptions=self.block.value(CIPHERS, child.encryptions),
            integrities=self.block.value(MACS, child.integrities),
            pfs=self.block.value(GROUP, None),
            transport=transport,
            lifetime=Lifetime(
                sum(one.seconds for one in lifetimes) or child.lifetime.seconds,
                sum(one.kilobytes for one in lifetimes),
            ),
            check=check,
        )


def read_sainfo(statement: Statement, complaints: list[Complaint]) -> SaInfo | None:
    """A ``sainfo``, or None where what it needs is missing or wrong."""
    before = len(complaints)
    ends = None
    try:
        ends = _ends(statement)
    except Misplaced as wrong:
        complaints.append(wrong.complaint)
    block = read_block(statement.head, statement.block or (), _SAINFO, _REFUSED, complaints)
    if statement.block is not None:
        block.need(CIPHERS, MACS, COMPRESSION)
    kinds = [bool(one.seconds) for one in block.values(LIFETIME)]
    if len(set(kinds)) < len(kinds):
        block.complain(block.token(LIFETIME), "there are two lifetimes of one kind; keep one")
    return SaInfo(ends, block) if len(complaints) == before else None


def _ends(statement: Statement) -> tuple[str, str] | None:
    arguments = statement.arguments()
    if arguments.skip("anonymous"):
        ends = None
    else:
        ends = (v.selector(arguments), v.selector(arguments))
        if ip_network(ends[0]).version != ip_network(ends[1]).version:
            raise Misplaced(statement.head, "one end is IPv4 and the other IPv6; write one of them")
    arguments.finish()
    if statement.block is None:
        raise Misplaced(statement.end, "a block in braces is expected here")
    return ends


def _identity(network: str) -> Identity:
    """An address where the network is one, as racoon sends it."""
    net = ip_network(network)
    if net.num_addresses == 1:
        return address_identity(str(net.network_address))
    return subnet_identity(network)
