# SPDX-License-Identifier: GPL-2.0-or-later
"""Names, identities and secrets with odd characters, as a real charon takes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.lab.background import Background
from harness.lab.lab import Roots
from harness.network.spawner import Spawner
from harness.peers.connection import Connection, PreSharedKey
from harness.peers.contract import ChildUp, ConfigurationRefused
from tests.peers.strongswan.charons import DIALECTS, MOON, NET, SUN, called, pair

pytestmark = pytest.mark.needs("tun")

NAMES = ["net net", "net.net", "net{1}", 'a"b', "a'b#1", "a=b", "-a", "x" * 200]
SECRETS = ['with "quotes", # and \\ and {x}', "0x1234", "0sQUJD", "ünï", "a\nb", " at its ends "]
IDENTITIES = ["C=CH, O=a b, CN=moon", 'CN=say "hi" # now', "moon@example.org", "10.9.9.9", "@#12ab"]


def identified(connection: Connection, identity: str) -> Connection:
    """The connection with another identity for moon, at both ends."""
    moon, sun = connection.sides["moon"], connection.sides["sun"]
    named = replace(MOON, identity=identity)
    sides = {
        "moon": replace(moon, local=named, remote=SUN),
        "sun": replace(sun, local=SUN, remote=named),
    }
    return replace(connection, sides=sides)


CONNECTIONS = {
    **{f"the secret {text!r}": NET.authenticated_by(PreSharedKey(text)) for text in SECRETS},
    **{f"the identity {text!r}": identified(NET, text) for text in IDENTITIES},
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", CONNECTIONS)
def test_both_ends_agree_on(
    case: str,
    dialect: str,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    async def body() -> None:
        connection = CONNECTIONS[case]
        # The other end hears of it over VICI, which takes everything as it is.
        async with pair(
            spawner, roots, tmp_path, dialect=dialect, connection=connection, moon="5.9.8"
        ) as both:
            await both.moon.initiate("net", 5)

    background.run(body())


@pytest.mark.parametrize("name", NAMES)
def test_over_vici_a_connection_may_be_called(
    name: str, background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    async def body() -> None:
        async with pair(spawner, roots, tmp_path, connection=called(NET, name)) as both:
            await both.moon.initiate(name, 5)
            told = await both.told("sun", ChildUp)
            assert isinstance(told, ChildUp)
            assert told.child.name == name
            (ike,) = await both.moon.sas()
            assert (ike.name, ike.children[0].name) == (name, name)
            await both.moon.terminate_ike(name, 5)

    background.run(body())


@pytest.mark.parametrize("dialect", ["swanctl.conf", "ipsec.conf"])
@pytest.mark.parametrize("name", [*NAMES[:-2], "include", ""])
def test_a_name_that_a_file_cannot_have_is_refused_before_anything_is_written(
    name: str,
    dialect: str,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with pair(spawner, roots, tmp_path, dialect=dialect, connection=called(NET, name)):
            pytest.fail("it was taken")

    with pytest.raises(ConfigurationRefused) as refused:
        background.run(body())
    assert str(refused.value) == (
        f"the name {name!r} cannot be written in {dialect}: take up to 63 letters, digits,"
        " '-' and '_', or the dialect vici"
    )


def test_a_name_that_not_even_vici_takes_is_charons_own_complaint(
    background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    async def body() -> None:
        async with pair(spawner, roots, tmp_path, connection=called(NET, "nät")):
            pytest.fail("it was taken")

    with pytest.raises(ConfigurationRefused, match="charon refused connection 'nät': parsing requ"):
        background.run(body())
