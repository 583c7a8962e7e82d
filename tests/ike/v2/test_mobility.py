# SPDX-License-Identifier: GPL-2.0-or-later
"""MOBIKE between two endpoints: who moves, who follows, and who is not believed (RFC 4555)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.ike.address import Address, Datagram, Path
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import every
from harness.ike.payloads_v2 import Notify
from harness.ike.script import with_payloads
from harness.ike.v2.events import (
    IkeSaClosed,
    NotifyReceived,
    PathChanged,
    PeerAlive,
    Reason,
    ScriptedResponse,
)
from harness.ike.v2.message import Plain
from harness.ike.v2.nat_detection import detection_notifies
from harness.ike.v2.script import Change, Script
from tests.ike.v2.pair import MOON, MOON_NET, SUN, SUN_NET, Pair

NEW = Address("192.0.2.77", 4500)
NEWER = Address("192.0.2.78", 4500)
OUTSIDE = Address("203.0.113.1", 4500)


class Notes:
    """The notifies of every INFORMATIONAL request that an end sends."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.script = Script()
        requests = self.script.sent(exchange=ExchangeType.INFORMATIONAL, response=False, times=99)
        requests.replace(self._note)

    def _note(self, plain: Plain) -> Plain:
        notifies = every(plain.payloads, Notify)
        self.sent.append([NotifyType(one.notify_type).name for one in notifies])
        return plain


def moved(pair: Pair, to: Address = NEW, end: str = "moon") -> Pair:
    one = getattr(pair, end)
    one.endpoint.commands.change_address(one.ike, to, pair.now)
    return pair


def translated(datagram: Datagram) -> Datagram:
    """A NAT in front of NEW."""
    if datagram.source.host == NEW.host:
        return replace(datagram, source=OUTSIDE)
    if datagram.destination.host == OUTSIDE.host:
        return replace(datagram, destination=NEW)
    return datagram


def without(kind: int) -> Change:
    def change(plain: Plain) -> Plain:
        kept = tuple(
            one
            for one in plain.payloads
            if not (isinstance(one, Notify) and one.notify_type == kind)
        )
        return plain.forged(payloads=kept)

    return change


def test_an_initiator_that_moves_updates_its_sas_and_is_asked_whether_it_is_there() -> None:
    moon, sun = Notes(), Notes()
    pair = Pair(seams=(moon.script, sun.script)).up()
    before = pair.moon.ike, pair.moon.child, pair.sun.child
    moved(pair).settle()
    assert moon.sent == [
        [
            "UPDATE_SA_ADDRESSES",
            "NAT_DETECTION_SOURCE_IP",
            "NAT_DETECTION_DESTINATION_IP",
            "COOKIE2",
        ]
    ]
    assert sun.sent == [["COOKIE2"]]
    (own,) = pair.moon.events(PathChanged)
    (followed,) = pair.sun.events(PathChanged)
    assert (own.path.local, followed.path.remote) == (NEW, NEW)
    assert (own.encapsulated, followed.encapsulated) == (False, False)
    assert (pair.moon.ike, pair.moon.child, pair.sun.child) == before
    pair.sun.endpoint.commands.check_liveness(pair.sun.ike, 0.0)
    pair.settle()
    assert pair.sun.events(PeerAlive)
    pair.agree()


def test_esp_goes_to_a_new_address_only_once_the_peer_has_answered_from_there() -> None:
    pair = moved(Pair().up())
    pair.deliver(pair.hold("moon"))
    pair.deliver(pair.hold("sun", response=True))
    question = pair.hold("sun", response=False)
    assert question.datagram.destination == NEW
    assert not pair.sun.events(PathChanged)
    pair.deliver(question)
    pair.settle()
    assert len(pair.sun.events(PathChanged)) == 1


@pytest.mark.parametrize(
    "change", [without(NotifyType.COOKIE2), with_payloads(Notify(NotifyType.COOKIE2, bytes(16)))]
)
def test_an_answer_without_the_cookie_that_was_sent_closes_the_ike_sa(
    change: Callable[[Plain], Plain],
) -> None:
    first_dropped = without(NotifyType.COOKIE2)
    script = Script()
    script.sent(exchange=ExchangeType.INFORMATIONAL, response=True).replace(
        lambda plain: change(first_dropped(plain))
    )
    pair = moved(Pair(seams=(script, None)).up())
    pair.settle()
    assert [one.reason for one in pair.sun.events(IkeSaClosed)] == [Reason.NOT_RETURNED]
    assert not pair.sun.events(PathChanged)
    assert not pair.sun.children()


def test_an_initiator_whose_cookie_is_not_returned_closes_the_ike_sa() -> None:
    script = Script()
    script.sent(exchange=ExchangeType.INFORMATIONAL, response=True).replace(
        without(NotifyType.COOKIE2)
    )
    pair = moved(Pair(seams=(None, script)).up())
    pair.settle()
    assert [one.reason for one in pair.moon.events(IkeSaClosed)] == [Reason.NOT_RETURNED]


def test_a_move_behind_a_nat_puts_esp_into_udp_and_one_back_takes_it_out() -> None:
    pair = Pair().up()
    pair.translate = translated
    moved(pair).settle()
    assert [one.encapsulated for one in pair.moon.events(PathChanged)] == [False, True]
    (followed,) = pair.sun.events(PathChanged)
    assert (followed.path.remote, followed.encapsulated) == (OUTSIDE, True)
    moved(pair, NEWER).settle()
    assert [one.encapsulated for one in pair.moon.events(PathChanged)][2:] == [True, False]
    assert not pair.sun.events(PathChanged)[1].encapsulated
    pair.agree()


def test_who_moves_again_before_the_answer_updates_again_and_ends_at_the_last_address() -> None:
    moon = Notes()
    pair = moved(Pair(seams=(moon.script, None)).up())
    first = pair.hold("moon")
    moved(pair, NEWER)
    pair.deliver(first)
    pair.settle()
    assert [one[0] for one in moon.sent] == ["UPDATE_SA_ADDRESSES", "UPDATE_SA_ADDRESSES"]
    assert pair.sun.events(PathChanged)[-1].path.remote == NEWER
    assert pair.moon.events(PathChanged)[-1].path.local == NEWER
    pair.agree()


def test_a_request_without_an_answer_is_repeated_from_the_new_address() -> None:
    pair = Pair().up()
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, pair.now)
    pair.drop("moon")
    moved(pair)
    pair.pass_deadline()
    (again,) = pair.collect()
    assert again.datagram.source == NEW
    pair.settle()
    assert pair.sun.events(PathChanged)[-1].path.remote == NEW


def test_a_responder_that_moves_says_so_and_the_initiator_updates_the_sas() -> None:
    moon, sun = Notes(), Notes()
    pair = Pair(seams=(moon.script, sun.script)).up()
    moved(pair, end="sun").settle()
    assert sun.sent == [["NO_ADDITIONAL_ADDRESSES"], ["COOKIE2"]]
    assert [one[0] for one in moon.sent] == ["UPDATE_SA_ADDRESSES"]
    assert pair.moon.events(PathChanged)[-1].path.remote == NEW
    assert {one.path.local for one in pair.sun.events(PathChanged)} == {NEW}
    assert not pair.moon.events(NotifyReceived)
    pair.agree()


def test_a_responder_that_moves_uses_its_address_once_the_initiator_knows_it() -> None:
    script = Script()
    script.sent(notify=NotifyType.UPDATE_SA_ADDRESSES, times=9).drop()
    pair = moved(Pair(seams=(script, None)).up(), end="sun")
    assert not pair.sun.events(PathChanged)
    pair.settle()
    assert [one.path.local for one in pair.sun.events(PathChanged)] == [NEW]


def behind(outside: Address) -> Callable[[Datagram], Datagram]:
    """A NAT in front of moon, which is seen as `outside`."""

    def translate(datagram: Datagram) -> Datagram:
        if datagram.source.host == MOON.host:
            return replace(datagram, source=outside.on_port(outside.port + datagram.source.port))
        inside = MOON.on_port(datagram.destination.port - outside.port)
        return replace(datagram, destination=inside)

    return translate


def test_a_nat_that_maps_anew_is_found_out_by_whoever_is_behind_it() -> None:
    notes = Notes()
    pair = Pair((replace(MOON_NET, dpd_after=10.0),), seams=(notes.script, None))
    pair.translate = behind(OUTSIDE.on_port(10_000))
    pair.up()
    for _ in range(4):
        pair.pass_deadline()
        pair.settle()
    # The first of them learns how moon is seen, and then there is nothing to update.
    assert [one[0] for one in notes.sent][:2] == ["UPDATE_SA_ADDRESSES", "NAT_DETECTION_SOURCE_IP"]
    assert notes.sent.count(notes.sent[0]) == 1
    pair.translate = behind(Address("203.0.113.9", 20_000))
    while notes.sent.count(notes.sent[0]) == 1:
        pair.pass_deadline()
        pair.settle()
    followed = pair.sun.events(PathChanged)[-1]
    assert followed.path.remote == Address("203.0.113.9", 24_500)
    assert followed.encapsulated
    pair.agree()


def test_nat_detection_in_any_request_is_answered_with_ones_own() -> None:
    pair = Pair().up()
    sa = pair.moon.endpoint.ike_sa(pair.moon.ike)
    assert sa is not None
    asked = detection_notifies(sa.spi_i, sa.spi_r, sa.path)
    pair.moon.endpoint.commands.exchange(sa.spi, ExchangeType.INFORMATIONAL, asked, pair.now)
    pair.settle()
    (answered,) = pair.moon.events(ScriptedResponse)
    assert answered.payloads == detection_notifies(
        sa.spi_i, sa.spi_r, Path(sa.path.remote, sa.path.local)
    )
    assert not pair.sun.events(PathChanged)


def test_an_address_that_it_has_already_changes_nothing() -> None:
    pair = Pair().up()
    moved(pair, SUN.on_port(4500), end="sun")
    assert not pair.collect()


def test_where_no_nat_is_allowed_one_is_refused_and_nothing_moves() -> None:
    def forbid(plain: Plain) -> Plain:
        data = NEW.packed + SUN.packed + (4500).to_bytes(2, "big") * 2
        return with_payloads(Notify(NotifyType.NO_NATS_ALLOWED, data))(plain)

    script = Script()
    script.sent(notify=NotifyType.UPDATE_SA_ADDRESSES, times=2).replace(forbid)
    pair = Pair(seams=(script, None)).up()
    pair.translate = translated
    moved(pair).settle()
    (refused,) = pair.moon.events(NotifyReceived)
    assert refused.notify == NotifyType.UNEXPECTED_NAT_DETECTED
    assert not pair.sun.events(PathChanged)
    pair.translate = lambda datagram: datagram
    pair.moon.endpoint.commands.change_address(pair.moon.ike, NEWER, pair.now)
    moved(pair).settle()
    assert pair.sun.events(PathChanged)[-1].path.remote == NEW


def test_who_does_not_do_mobike_stays_where_it_is() -> None:
    pair = Pair(sun=(replace(SUN_NET, mobike=False),)).up()
    with pytest.raises(LookupError, match="MOBIKE"):
        moved(pair)
    payloads = (Notify(NotifyType.UPDATE_SA_ADDRESSES),)
    said = pair.moon.endpoint.commands.exchange
    said(pair.moon.ike, ExchangeType.INFORMATIONAL, payloads, pair.now)
    pair.settle()
    assert not pair.sun.events(PathChanged)


@pytest.mark.parametrize("end", ["moon", "sun"])
def test_an_ike_sa_that_either_end_has_rekeyed_moves_as_before(end: str) -> None:
    moon = Notes()
    pair = Pair(seams=(moon.script, None)).up()
    rekeying = getattr(pair, end)
    rekeying.endpoint.commands.rekey_ike(rekeying.ike, pair.now)
    pair.settle()
    moved(pair).settle()
    assert [one[:1] for one in moon.sent if one] == [["UPDATE_SA_ADDRESSES"]]
    assert pair.sun.events(PathChanged)[-1].path.remote == NEW
    pair.agree()
