# SPDX-License-Identifier: GPL-2.0-or-later
"""A new IKE SA from scratch in the place of an old one (RFC 7296 2.8.3)."""

from dataclasses import replace

from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import every
from harness.ike.payloads_v2 import Notify
from harness.ike.v2.connection import ChildConfig, Settings
from harness.ike.v2.events import (
    ChildSaFailed,
    ChildSaInstalled,
    ChildSaRemoved,
    IkeSaClosed,
    IkeSaEstablished,
    InitiationFailed,
    Reason,
)
from harness.ike.v2.message import Plain
from harness.ike.v2.script import Script
from tests.ike.v2.pair import LEFT, MOON_NET, NET, NET_MIRRORED, RIGHT, SUN_NET, Pair

MOON = replace(MOON_NET, reauthenticate_after=10.0)


def second(config: ChildConfig) -> ChildConfig:
    """The same child under another name."""
    return replace(config, name="second")


def until(pair: Pair, instant: float) -> Pair:
    """Let time pass, as far as there is something to do by then."""
    while (due := _due(pair)) is not None and due <= instant:
        pair.pass_deadline()
        pair.settle()
    return pair


def _due(pair: Pair) -> float | None:
    pair.collect()
    instants = [end.endpoint.deadline() for end in (pair.moon, pair.sun)]
    return min((one for one in instants if one is not None), default=None)


def test_the_old_ike_sa_is_closed_once_the_new_one_carries_what_it_did() -> None:
    pair = Pair((MOON,)).up()
    old = pair.moon.ike
    until(pair, 10.0)
    assert pair.moon.ike != old
    pair.agree()
    events = [
        type(one)
        for one in pair.moon.seen
        if isinstance(one, IkeSaEstablished | ChildSaInstalled | ChildSaRemoved | IkeSaClosed)
    ]
    assert events == [
        IkeSaEstablished,
        ChildSaInstalled,
        IkeSaEstablished,
        ChildSaInstalled,
        ChildSaRemoved,
        IkeSaClosed,
    ]
    assert [one.rekeyed for one in pair.moon.events(IkeSaEstablished)] == [None, None]
    assert [one.rekeyed for one in pair.moon.events(ChildSaInstalled)] == [None, None]
    assert [one.reason for one in pair.moon.events(IkeSaClosed)] == [Reason.REAUTHENTICATED]
    assert [one.reason for one in pair.sun.events(IkeSaClosed)] == [Reason.DELETED_BY_PEER]


def test_it_is_done_again_after_as_long() -> None:
    pair = until(Pair((MOON,)).up(), 35.0)
    assert len(pair.moon.events(IkeSaEstablished)) == 4
    pair.agree()


def test_neither_a_rekeying_nor_a_first_contact_is_said() -> None:
    said: list[set[int]] = []

    def note(plain: Plain) -> Plain:
        said.append({one.notify_type for one in every(plain.payloads, Notify)})
        return plain

    script = Script()
    script.sent(exchange=ExchangeType.IKE_AUTH, times=2).replace(note)
    until(Pair((MOON,), seams=(script, None)).up(), 10.0)
    first, again = said
    assert NotifyType.INITIAL_CONTACT in first
    assert not {NotifyType.INITIAL_CONTACT, NotifyType.REKEY_SA} & again


def test_every_child_has_its_like_before_the_old_one_ends() -> None:
    moon = replace(MOON, children=(NET, second(NET)))
    sun = replace(SUN_NET, children=(NET_MIRRORED, second(NET_MIRRORED)))
    pair = Pair((moon,), (sun,)).up()
    pair.moon.endpoint.commands.create_child(pair.moon.ike, "second", pair.now)
    pair.settle()
    until(pair, 10.0)
    pair.agree()
    assert len(pair.moon.children()) == 2
    kinds = [type(one) for one in pair.moon.seen]
    last_made = len(kinds) - 1 - kinds[::-1].index(ChildSaInstalled)
    assert last_made < kinds.index(ChildSaRemoved)


def test_a_childless_ike_sa_takes_over_as_well() -> None:
    childless = replace(MOON, childless=True)
    pair = Pair((childless,)).up()
    pair.moon.endpoint.commands.create_child(pair.moon.ike, "net", pair.now)
    pair.settle()
    until(pair, 10.0)
    pair.agree()
    assert len(pair.moon.children()) == 1
    assert pair.moon.events(IkeSaClosed)


def test_a_rekeying_does_not_put_it_off() -> None:
    pair = until(Pair((replace(MOON, rekey_after=6.0),)).up(), 10.0)
    rekeyed = [one.rekeyed is not None for one in pair.moon.events(IkeSaEstablished)]
    assert rekeyed == [False, True, False]
    pair.agree()


def test_whoever_did_not_make_the_ike_sa_leaves_it_to_the_other() -> None:
    sun = replace(SUN_NET, reauthenticate_after=5.0)
    pair = until(Pair(sun=(sun,)).up(), 60.0)
    assert len(pair.sun.events(IkeSaEstablished)) == 1


def test_one_that_fails_leaves_the_old_ike_sa_and_is_tried_again() -> None:
    pair = Pair((MOON,), settings=Settings(half_open_lifetime=30.0)).up()
    old = pair.moon.ike
    pair.sun.endpoint.connections = ()
    until(pair, 39.0)
    assert [one.reason for one in pair.moon.events(InitiationFailed)] == [Reason.NO_PROPOSAL_CHOSEN]
    assert pair.moon.ike == old
    pair.sun.endpoint.connections = (SUN_NET,)
    until(pair, 41.0)
    assert pair.moon.ike != old
    pair.agree()


def test_one_without_the_child_that_it_was_to_take_over_is_closed_itself() -> None:
    pair = Pair((MOON,)).up()
    old = pair.moon.ike, pair.moon.child
    narrower = replace(NET_MIRRORED, local=(LEFT,), remote=(RIGHT,))
    pair.sun.endpoint.connections = (replace(SUN_NET, children=(narrower,)),)
    until(pair, 11.0)
    assert [one.reason for one in pair.moon.events(ChildSaFailed)] == [Reason.TS_UNACCEPTABLE]
    assert (pair.moon.ike, pair.moon.child) == old
    pair.agree()


def test_an_old_ike_sa_that_has_ended_meanwhile_is_no_hindrance() -> None:
    pair = Pair((MOON,)).up()
    while _due(pair) != 10.0:
        pair.pass_deadline()
        pair.settle()
    pair.pass_deadline()
    request = pair.hold("moon")
    pair.sun.endpoint.commands.delete_ike(pair.sun.ike, pair.now)
    pair.settle()
    pair.deliver(request)
    pair.settle()
    pair.agree()
    assert len(pair.moon.children()) == 1
