# SPDX-License-Identifier: GPL-2.0-or-later
"""What a diagnosis says to write is written into the files of real daemons, and they come up.

Only what stands in angle brackets, which is a secret, is put in by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN, SEIL
from harness.peers.contract import NativeFile, Peer
from harness.peers.ikelabd.native import native_file
from harness.peers.strongswan.connections import swanctl_conf
from harness.plugin.options import DEFAULT_PEER, FRONT_ENDS, PEERS
from harness.verdict.diagnosis.findings import Cause, Remedy
from scenarios.agreements import NET_NET
from scenarios.ikev1_seil.agreements import AGREEMENT, SECRET, TUNNEL, seil_file, swan_files

Files = tuple[NativeFile, ...]
PHASE1, PHASE2 = (f"interface.ipsec0.ike.proposal.phase{one}" for one in (1, 2))
AGGRESSIVE = "interface.ipsec0.ike.exchange-mode : aggressive"
MODP_1024 = (
    f"{PHASE1}.encryption.0.algorithm : aes256",
    f"{PHASE1}.hash.0.algorithm : sha256",
    f"{PHASE1}.dh-group : modp1024",
)
HMAC_MD5 = (
    f"{PHASE2}.encryption.0.algorithm : aes256",
    f"{PHASE2}.authentication.0.algorithm : hmac-md5",
)
NAMED = tuple(
    f"interface.ipsec0.ike.my-identifier.{line}"
    for line in ("type : fqdn", "fqdn : branch.example.org")
)
OTHER_SECRET = "another"
SECRETS = {"seil": OTHER_SECRET, "sun": SECRET}
WITHIN = 15.0


@dataclass(frozen=True)
class Setup:
    """The files of both nodes, and strongSwan's own settings on one."""

    files: Mapping[str, Files]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def mended(self, remedies: Sequence[Remedy]) -> Setup:
        """With each line as it is said."""
        setup = self
        # From the last line up, so that numbers of lines stay right.
        for one in sorted(remedies, key=lambda one: -(line_of(one) or 1 << 30)):
            setup = setup._with(one)
        return setup

    def _with(self, remedy: Remedy) -> Setup:
        node, where = remedy.node, remedy.spelled.where
        if where == "strongswan.conf":
            name, _, value = remedy.spelled.text.partition(" = ")
            return replace(self, options={**self.options, node: {name: value}})
        name = where.partition(" ")[0]
        changed = tuple(
            replace(one, text=edited(one.text, remedy)) if Path(one.path).name == name else one
            for one in self.files[node]
        )
        assert changed != self.files[node], remedy.spelled
        return replace(self, files={**self.files, node: changed})


def line_of(remedy: Remedy) -> int:
    """The line that a remedy is about, 0 where it names none."""
    number = remedy.spelled.where.rpartition(" line ")[2]
    return int(number) if number.isdigit() else 0


def edited(text: str, remedy: Remedy) -> str:
    """A file's text with one line changed or added as it is said."""
    lines, number = text.splitlines(), line_of(remedy)
    new = re.sub(r"<the secret of (\w+)>", lambda of: SECRETS[of[1]], remedy.spelled.text)
    key, _, value = new.partition(" = ")
    section, _, name = key.rpartition(".")
    if number:
        indent = re.match(r"\s*", lines[number - 1])
        assert indent is not None
        is_path = key.startswith(("connections.", "secrets."))
        lines[number - 1] = indent.group() + (f"{name} = {value}" if is_path else new)
    elif key.startswith("connections."):
        header = [section.rpartition(".")[2], "{"]
        start = next(at for at, one in enumerate(lines) if one.split() == header)
        put(lines, start, len(lines), name, value)
    elif key.startswith("connection."):
        start = lines.index(f"[{toml(section)}]")
        end = next((at for at in range(start + 1, len(lines)) if lines[at][:1] == "["), len(lines))
        put(lines, start, end, name, value)
    elif remedy.spelled.where == "ipsec.conf":
        lines.append(f"        {new}")
    elif remedy.spelled.where.endswith(".secrets"):
        lines = [new]
    else:
        lines.append(new)
    return "\n".join(lines) + "\n"


def put(lines: list[str], start: int, end: int, name: str, value: str) -> None:
    """Give a name a value in a section, on its line or on a new one."""
    same = [at for at in range(start, end) if lines[at].split()[:2] == [name, "="]]
    at = same[0] if same else start + 1
    lines[at : at + len(same[:1])] = [f"{name} = {value}"]


def toml(path: str) -> str:
    """The path of a table as ikelabd's driver writes it, with each name in quotes."""
    kinds = ("connection", "child")
    return ".".join(one if one in kinds else f'"{one}"' for one in path.split("."))


def comes_up_as_told(
    labs: tuple[Lab, Lab],
    setup: Setup,
    up: Callable[[Lab, Setup], Net],
    child: str,
    first: str,
    cause: Cause,
    node: str,
) -> None:
    """See that it fails for this reason, and comes up once one node's files are as told."""
    net = up(labs[0], setup)
    with pytest.raises(Exception, match=r"\w"):
        net.gateway(first).initiate(child, WITHIN)
    found = net.diagnoses()[0]
    assert found.cause is cause
    remedies = [one for one in found.remedies if one.node == node]
    assert remedies, found.sentence
    again = up(labs[1], setup.mended(remedies))
    assert again.gateway(first).initiate(child, WITHIN)


# -- a SEIL and strongSwan ------------------------------------------------------------------------

SEIL_CASES: dict[str, tuple[Files, Cause]] = {
    name: (router, cause)
    for name, router, cause in (
        ("group", seil_file(*MODP_1024), Cause.PROPOSAL),
        ("integrity", seil_file(*HMAC_MD5), Cause.PROPOSAL),
        ("proxy-id", seil_file(without="proxy-id"), Cause.SELECTORS),
        ("secret", seil_file(preshared_key=OTHER_SECRET), Cause.SECRET),
        ("identity", seil_file(*NAMED), Cause.IDENTITY),
        ("mode", seil_file(AGGRESSIVE), Cause.EXCHANGE_MODE),
    )
}


@pytest.mark.parametrize("node", ["seil", "sun"])
@pytest.mark.parametrize("told_by", FRONT_ENDS)
@pytest.mark.parametrize("case", SEIL_CASES.values(), ids=SEIL_CASES)
def test_a_seil_and_strongswan_come_up_once_one_file_is_as_told(
    lab: Lab,
    another_lab: Lab,
    seil: Peer,
    sun: Peer,
    case: tuple[Files, Cause],
    told_by: str,
    node: str,
) -> None:
    router, cause = case
    setup = Setup({"seil": router, "sun": swan_files(told_by)})
    come_up(lab, another_lab, seil, sun, (setup, cause), node, told_by)


def come_up(
    lab: Lab,
    another_lab: Lab,
    seil: Peer,
    sun: Peer,
    case: tuple[Setup, Cause],
    node: str,
    front_end: str = FRONT_ENDS[0],
) -> None:
    """As `comes_up_as_told`, for a SEIL that begins and strongSwan."""

    def up(where: Lab, setup: Setup) -> Net:
        return where.up(
            SEIL,
            sun=sun,
            seil=seil,
            connection=AGREEMENT,
            dialect={"seil": "seil", "sun": front_end},
            native=dict(setup.files),
            options={"sun": setup.options.get("sun", {})},
        )

    setup, cause = case
    comes_up_as_told((lab, another_lab), setup, up, TUNNEL, "seil", cause, node)


def test_where_both_want_aggressive_mode_only_the_setting_is_to_be_changed(
    lab: Lab, another_lab: Lab, seil: Peer, sun: Peer
) -> None:
    files = {"seil": seil_file(AGGRESSIVE), "sun": swan_files(aggressive="yes")}
    come_up(lab, another_lab, seil, sun, (Setup(files), Cause.EXCHANGE_MODE), "sun")


# -- lifetimes ------------------------------------------------------------------------------------

V1 = NET_NET.with_ike(version=1, proposals=("aes256-sha256-modp1536",)).with_child(
    proposals=("aes256-sha256",)
)


def exact(text: str, which: str, seconds: int) -> str:
    """ikelabd's file with a lifetime that it insists on, of a connection or of its child."""
    (header,) = (line for line in text.splitlines() if line.startswith("[") and (
        ".child." in line) is (which == "child"))  # fmt: skip
    before, _, behind = text.partition(header)
    changed = re.sub(r"(?m)^life = \d+$", f'life = {seconds}\ncheck = "exact"', behind, count=1)
    return before + header + changed


@pytest.mark.parametrize("node", ["moon", "sun"])
@pytest.mark.parametrize("which", ["connection", "child"])
def test_strongswan_and_ikelabd_come_up_once_a_lifetime_is_as_told(
    lab: Lab, another_lab: Lab, pytestconfig: pytest.Config, which: str, node: str
) -> None:
    moon, sun = (pytestconfig.stash[PEERS][name] for name in (DEFAULT_PEER, "ikelabd"))
    strict = native_file(V1.sides["sun"], lab.data_plane)
    strict = replace(strict, text=exact(strict.text, which, 777))
    setup = Setup({"moon": tuple(swanctl_conf(V1.sides["moon"])), "sun": (strict,)})

    def up(where: Lab, setup: Setup) -> Net:
        return where.up(
            MOON_SUN,
            moon=moon,
            sun=sun,
            connection=V1,
            dialect={"moon": "swanctl.conf", "sun": "native"},
            native=dict(setup.files),
        )

    labs = (lab, another_lab)
    comes_up_as_told(labs, setup, up, "net-net", "moon", Cause.LIFETIME, node)
