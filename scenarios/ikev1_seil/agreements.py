# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SEIL and strongSwan agree on, in the native files of both, and the lab that runs them."""

from __future__ import annotations

from collections.abc import Mapping

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import SEIL
from harness.network.topology import Topology
from harness.peers.connection import Child, Connection, End, Ike, PreSharedKey
from harness.peers.contract import NativeFile, Peer
from harness.verdict.oracles import OracleName
from scenarios.ikev1_seil.front_ends import with_secret

SECRET = "xeeB5gohvaYi"
TUNNEL, CONN = "ipsec0", "seil"
"""What the SEIL calls its connection and its child, and what strongSwan calls its own."""

SEIL_FILE = "/run/seil.conf"

MINIMAL = """\
route.ipv4.1.destination:                                 : 192.168.2.0/24
route.ipv4.1.gateway:                                     : ipsec0
interface.ge0.ipv4.address                                : 10.0.0.1/24
interface.ge1.ipv4.address                                : 192.168.1.1/24
interface.ipsec0.preshared-key                            : xeeB5gohvaYi
interface.ipsec0.ipv4.source                              : 10.0.0.1
interface.ipsec0.ipv4.destination                         : 10.0.0.2
interface.ipsec0.ike.proposal.phase2.proxy-id.ipv4.local  : 192.168.1.0/24
interface.ipsec0.ike.proposal.phase2.proxy-id.ipv4.remote : 192.168.2.0/24
"""
RESPONDER_ONLY = "interface.ipsec0.responder-only : enable"

CONN_SEIL = {
    "left": "10.0.0.2",
    "leftsubnet": "192.168.2.0/24",
    "right": "10.0.0.1",
    "rightsubnet": "192.168.1.0/24",
    "ike": "aes256-sha256-modp1536!",
    "auto": "add",
}

# The same for an oracle that must know what belongs into the tunnel, and for the dialect vici.
AGREEMENT = Connection.between(
    End("seil", "10.0.0.1", "10.0.0.1", ("192.168.1.0/24",)),
    End("sun", "10.0.0.2", "10.0.0.2", ("192.168.2.0/24",)),
    name=CONN,
    authentication=PreSharedKey(SECRET),
    ike=Ike(version=1, proposals=("aes256-sha256-modp1536",), rekey=0, reauth=0),
    child=Child(CONN, proposals=("aes256-sha256",), life=3600, rekey=0),
)


def seil_file(*more: str, without: str = "", **replaced: str) -> tuple[NativeFile, ...]:
    """The SEIL's configuration: the minimal one and `more` lines.

    Lines with `without` in them are left out; `replaced` has other values for the keys that end
    in its names, where _ stands for the hyphen.
    """
    lines = [line for line in MINIMAL.splitlines() if not without or without not in line]
    for name, value in replaced.items():
        ending = name.replace("_", "-")
        lines = [
            f"{line.rpartition(' : ')[0]} : {value}" if _key(line).endswith(ending) else line
            for line in lines
        ]
    return (NativeFile(SEIL_FILE, "\n".join((*lines, *more)) + "\n"),)


def swan_files(
    front_end: str = "ipsec.conf", *, secret_for: str = "10.0.0.1", **settings: str
) -> tuple[NativeFile, ...]:
    """strongSwan's files: the minimal ones with these settings of ipsec.conf as well.

    `secret_for` is whose the secret is, by addresses or identities.
    """
    return with_secret(front_end, CONN, {**CONN_SEIL, **settings}, secret_for, SECRET)


def up(
    lab: Lab,
    seil: Peer,
    sun: Peer,
    *,
    router: tuple[NativeFile, ...] = (),
    swan: Mapping[str, str] | None = None,
    secret_for: str = "10.0.0.1",
    topology: Topology = SEIL,
    options: Mapping[str, str | int] | None = None,
    without: Mapping[OracleName, str] | None = None,
    last: str = "seil",
) -> Net:
    """The network with strongSwan ready and then the SEIL, which begins unless it is told not to.

    `router` has the SEIL's files in place of the minimal ones; `swan` and `secret_for` are further
    settings of strongSwan's, as `swan_files` has them, for the lab's front end; `options` are the
    daemon's own. With `last` sun it is the SEIL that is there first.
    """
    files = swan_files(lab.front_end, secret_for=secret_for, **(swan or {}))
    peers = {"sun": sun, "seil": seil}
    return lab.up(
        topology,
        **(peers if last == "seil" else dict(reversed(peers.items()))),
        connection=AGREEMENT,
        dialect={"seil": "seil", "sun": lab.front_end},
        native={"seil": router or seil_file(), "sun": files},
        options={"sun": options or {}},
        without=without,
    )


def _key(line: str) -> str:
    return line.split()[0].rstrip(":")
