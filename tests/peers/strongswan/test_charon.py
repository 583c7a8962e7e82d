# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real charon does and tells: one life of SAs for each version and dialect, and its end."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.capture.frames import Esp, Isakmp, dissect
from harness.lab.background import Background
from harness.lab.lab import Roots
from harness.network.spawner import Spawner
from harness.peers.contract import (
    ChildDown,
    ChildRekeyed,
    ChildSa,
    ChildUp,
    Exited,
    IkeDown,
    IkeRekeyed,
    IkeSa,
    IkeUp,
    NegotiationFailed,
    PeerError,
    PeerEvent,
)
from harness.peers.strongswan.charon import Charon
from harness.peers.strongswan.settings import VICI_SOCKET
from harness.peers.strongswan.vici import Vici
from tests.peers.strongswan.charons import DIALECTS, PEERS, Pair, pair

pytestmark = pytest.mark.needs("tun")

OTHER = {"5.9.8": "6.0.1", "6.0.1": "5.9.8"}
INFORMATIONAL = 37
KILLED = -9


@dataclass(frozen=True)
class Life:
    """What both ends told while SAs came and went, and what they listed in between.

    `after_stop` is how many IKE messages of a kind moon sent once it was told to end.
    """

    version: str
    said_version: str
    moon: list[Any]
    sun: list[Any]
    when_up: dict[str, IkeSa]
    when_stopped: list[IkeSa]
    after_stop: list[int]

    def only(self, node: str, kind: type) -> list[Any]:
        return [event for event in getattr(self, node) if isinstance(event, kind)]


@pytest.fixture(scope="module", params=[(v, d) for v in PEERS for d in DIALECTS], ids="-".join)
def life(
    request: pytest.FixtureRequest,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path_factory: pytest.TempPathFactory,
) -> Life:
    version, dialect = request.param
    logs = tmp_path_factory.mktemp("life")

    async def live() -> Life:
        ends = {"moon": version, "sun": OTHER[version]}
        async with pair(spawner, roots, logs, dialect=dialect, **ends) as both:
            return await _lived(both, version)

    return background.run(live())


async def _lived(both: Pair, version: str) -> Life:
    """Every verb of the driver once, each waited for at both ends."""

    async def both_tell(kind: type, since: dict[str, int]) -> None:
        for node, position in since.items():
            await both.told(node, kind, position)

    def now() -> dict[str, int]:
        return {node: len(journal.entries) for node, journal in both.journals.items()}

    socket = both.network.node("moon").root / VICI_SOCKET.lstrip("/")
    said = await Vici(socket).request("version")
    mark = now()
    await both.moon.initiate("net", 5)
    await both_tell(ChildUp, mark)
    when_up = {"moon": (await both.moon.sas())[0], "sun": (await both.sun.sas())[0]}
    mark = now()
    await both.moon.rekey_child("net")
    await both_tell(ChildRekeyed, mark)
    await both.moon.rekey_ike("net")
    await both_tell(IkeRekeyed, mark)
    await both.moon.terminate_child("net", 5)
    await both_tell(ChildDown, mark)
    mark = now()
    await both.moon.initiate("net", 5)
    await both_tell(ChildUp, mark)
    await both.moon.terminate_ike("net", 5)
    await both_tell(IkeDown, mark)
    mark = now()
    await both.moon.initiate("net", 5)
    await both_tell(ChildUp, mark)
    wan = both.network.wire("wan")
    frames = len(wan.frames)
    await both.moon.stop()
    await both_tell(IkeDown, mark)
    sent = (dissect(f.data).carried for f in wan.frames[frames:] if f.sender == "moon")
    return Life(
        version,
        str(said["version"]),
        [entry.event for entry in both.journals["moon"].entries],
        [entry.event for entry in both.journals["sun"].entries],
        when_up,
        [*await both.moon.sas(), *await both.sun.sas()],
        [header.exchange_type for header in sent if isinstance(header, Isakmp)],
    )


def test_the_daemon_is_the_version_that_the_peers_name_says(life: Life) -> None:
    assert life.said_version == life.version


def test_both_ends_tell_of_an_ike_sa_and_its_child_by_the_same_spis(life: Life) -> None:
    ours, theirs = life.only("moon", IkeUp)[0].ike, life.only("sun", IkeUp)[0].ike
    assert (ours.initiator_spi, ours.responder_spi) == (theirs.initiator_spi, theirs.responder_spi)
    assert (ours.name, ours.version, ours.state) == ("net", 2, "ESTABLISHED")
    ours, theirs = life.only("moon", ChildUp)[0].child, life.only("sun", ChildUp)[0].child
    assert ours.mirrored() == theirs
    assert (ours.name, ours.state) == ("net", "INSTALLED")
    assert 0 not in (ours.inbound, ours.outbound, ours.reqid)


def test_what_is_listed_is_what_was_told(life: Life) -> None:
    for node in ("moon", "sun"):
        (child,) = life.when_up[node].children
        assert child == life.only(node, ChildUp)[0].child
        assert life.when_up[node].initiator_spi == life.only(node, IkeUp)[0].ike.initiator_spi


def test_a_rekeying_is_told_once_at_each_end_with_the_old_and_the_new_sa(life: Life) -> None:
    (ours,), (theirs,) = life.only("moon", ChildRekeyed), life.only("sun", ChildRekeyed)
    assert ours.old == life.only("moon", ChildUp)[0].child
    assert (ours.old.mirrored(), ours.new.mirrored()) == (theirs.old, theirs.new)
    assert ours.old.reqid == ours.new.reqid
    assert len({ours.old.inbound, ours.old.outbound, ours.new.inbound, ours.new.outbound}) == 4
    # It is no CHILD_SA that came up: that would be told as one.
    assert ours.new not in [up.child for up in life.only("moon", ChildUp)]


def test_a_rekeyed_ike_sa_is_told_with_both_and_keeps_its_child(life: Life) -> None:
    (ours,), (theirs,) = life.only("moon", IkeRekeyed), life.only("sun", IkeRekeyed)
    assert ours.old.initiator_spi == theirs.old.initiator_spi
    assert ours.new.initiator_spi == theirs.new.initiator_spi != ours.old.initiator_spi
    child: ChildSa = life.only("moon", ChildDown)[0].child
    assert child == life.only("moon", ChildRekeyed)[0].new
    assert child.ike == ours.new.unique != ours.old.unique


def test_a_deleted_child_is_told_at_both_ends_and_the_ike_sa_stays(life: Life) -> None:
    for node in ("moon", "sun"):
        kinds = [type(event) for event in getattr(life, node)]
        down = kinds.index(ChildDown)
        assert IkeDown not in kinds[:down]
        assert kinds[down + 1] is ChildUp


def test_a_deleted_ike_sa_is_told_at_both_ends_with_its_children(life: Life) -> None:
    for node in ("moon", "sun"):
        first = life.only(node, IkeDown)[0].ike
        assert first.unique == life.only(node, IkeRekeyed)[0].new.unique
        gone = [down.child for down in life.only(node, ChildDown)]
        assert life.only(node, ChildUp)[1].child in gone


def test_a_daemon_that_is_stopped_deletes_its_sas_and_ends_well(life: Life) -> None:
    assert life.only("moon", Exited) == [Exited(0)]
    assert isinstance(life.moon[-1], Exited)
    assert INFORMATIONAL in life.after_stop
    assert life.when_stopped == []
    assert life.only("sun", Exited) == []
    assert len(life.only("sun", IkeDown)) == 2


@pytest.mark.parametrize("dialect", ["vici", "ipsec.conf"])
@pytest.mark.parametrize("version", PEERS)
def test_a_daemon_that_crashes_says_nothing_and_its_peer_knows_nothing(
    version: str,
    dialect: str,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    async def crash() -> None:
        async with pair(spawner, roots, tmp_path, moon=version, dialect=dialect) as both:
            await both.moon.initiate("net", 5)
            await both.told("sun", ChildUp)
            wan = both.network.wire("wan")
            frames = len(wan.frames)
            await both.moon.crash()
            assert await both.told("moon", Exited) == Exited(KILLED)
            assert await both.moon.sas() == ()
            (ike,) = await both.sun.sas()
            assert len(ike.children) == 1
            sent = [dissect(frame.data).carried for frame in wan.frames[frames:]]
            assert not [one for one in sent if isinstance(one, Isakmp | Esp)]
            # A starter would start another one.
            listing = ["/bin/sh", "-c", "cat /proc/[0-9]*/comm"]
            running = await both.network.node("moon").run(listing, check=False)
            assert b"sh\n" in running.stdout
            assert not {"charon", "starter"} & set(running.stdout.decode().split())
            with pytest.raises(PeerError, match="charon on moon: "):
                await both.moon.rekey_child("net")

    background.run(crash())


def test_who_listens_late_is_told_once_of_what_is_up(
    background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    async def body() -> None:
        async with pair(spawner, roots, tmp_path) as both:
            await both.moon.initiate("net", 5)
            late: list[PeerEvent] = []
            node = both.network.node("moon")
            other = await node.spawn(["/bin/sleep", "infinity"])
            vici = Vici(node.root / VICI_SOCKET.lstrip("/"))
            charon = Charon(node, other, vici, late.append)
            await charon.watch()
            told = [entry.event for entry in both.journals["moon"].entries]
            assert late == [event for event in told if isinstance(event, IkeUp | ChildUp)]
            assert [type(event) for event in late] == [IkeUp, ChildUp]
            # From then on both are told the same.
            await both.moon.rekey_child("net")
            await both.told("moon", ChildRekeyed)
            await both.moon.stop()
            await charon.stop()
            kinds = [type(event) for event in late]
            assert kinds[:3] == [IkeUp, ChildUp, ChildRekeyed]
            assert kinds.count(ChildUp) == 1

    background.run(body())


def test_pairs_at_once_on_one_machine_do_not_hear_of_each_other(
    background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    async def one(folder: Path) -> tuple[set[int], set[int]]:
        async with pair(spawner, roots, folder) as both:
            await both.moon.initiate("net", 5)
            await both.told("sun", ChildUp)
            (ike,) = await both.moon.sas()
            told = {entry.event.child.inbound for entry in both.journals["moon"].of(ChildUp)}
            return {child.inbound for child in ike.children}, told

    async def all_of_them() -> list[tuple[set[int], set[int]]]:
        return await asyncio.gather(*(one(tmp_path / str(number)) for number in range(3)))

    found = background.run(all_of_them())
    for listed, told in found:
        assert listed == told
        assert len(listed) == 1
    assert len(set().union(*(listed for listed, _ in found))) == 3


def test_what_cannot_be_done_is_one_sentence_with_charons_own_words(
    background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    async def body() -> None:
        async with pair(spawner, roots, tmp_path) as both:
            with pytest.raises(NegotiationFailed, match=r"moon: CHILD_SA config 'x' not found$"):
                await both.moon.initiate("x", 5)
            with pytest.raises(NegotiationFailed, match="moon: no matching SAs to terminate"):
                await both.moon.terminate_child("net", 5)
            with pytest.raises(PeerError, match=r"moon: .*no matching"):
                await both.moon.rekey_child("net")
            await both.network.wire("wan").cut()
            with pytest.raises(NegotiationFailed, match=r"moon: .*not established after 500ms"):
                await both.moon.initiate("net", 0.5)

    background.run(body())
