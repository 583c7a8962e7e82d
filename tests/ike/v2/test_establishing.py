# SPDX-License-Identifier: GPL-2.0-or-later
"""From nothing to an IKE SA with its first CHILD_SA, and every way in which that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from harness.ike.address import Address, Datagram
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.retransmission import Retransmission
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v2.connection import Connection, Identity, Settings, SharedKey
from harness.ike.v2.events import (
    ChildSaFailed,
    ChildSaInstalled,
    CookieDemanded,
    IkeKeysDerived,
    IkeSaClosed,
    IkeSaEstablished,
    InitiationFailed,
    PathChanged,
    PeerAlive,
    Reason,
    Refused,
    Retransmitted,
)
from harness.ike.v2.suites import ChildProposal, IkeProposal
from tests.ike.v2.pair import (
    CBC,
    ECP_256,
    ESP,
    GCM,
    HMAC_SHA256,
    IKE,
    LEFT,
    MODP_2048,
    MOON,
    MOON_NET,
    NET,
    NET_MIRRORED,
    SHA256,
    SUN,
    SUN_NET,
    X25519,
    End,
    Pair,
)

CLASSIC = IkeProposal((CBC,), (prf("HMAC_SHA1"),), (MODP_2048,), (integrity("HMAC_SHA1_96"),))


def with_proposals(*proposals: IkeProposal) -> tuple[Connection, Connection]:
    return replace(MOON_NET, proposals=proposals), replace(SUN_NET, proposals=proposals)


def both(change: Callable[[Connection], Connection]) -> Pair:
    return Pair((change(MOON_NET),), (change(SUN_NET),))


@pytest.mark.parametrize(
    "proposal",
    [
        IKE,
        CLASSIC,
        IkeProposal((encryption("CHACHA20_POLY1305"),), (SHA256,), (ECP_256,)),
        IkeProposal((encryption("AES_CCM_8_256"),), (prf("HMAC_SHA2_512"),), (X25519,)),
        IkeProposal((encryption("AES_CTR_128"),), (prf("AES128_CMAC"),), (X25519,), (HMAC_SHA256,)),
        IkeProposal((GCM,), (prf("AES128_XCBC"),), (key_exchange("X448"),)),
    ],
    ids=lambda one: one.encryptions[0].name,
)
def test_every_kind_of_algorithm_brings_an_ike_sa_up(proposal: IkeProposal) -> None:
    mine, yours = with_proposals(proposal)
    pair = Pair((mine,), (yours,)).up()
    pair.agree()
    (event,) = pair.sun.events(IkeKeysDerived)
    assert event.suite.encryption == proposal.encryptions[0]
    assert event.secrets == pair.moon.events(IkeKeysDerived)[0].secrets


def test_the_responders_first_alternative_that_is_offered_wins() -> None:
    mine, _ = with_proposals(CLASSIC, IKE)
    _, yours = with_proposals(IKE, CLASSIC)
    pair = Pair((mine,), (yours,)).up()
    assert pair.sun.events(IkeKeysDerived)[0].suite.encryption == GCM
    pair.agree()


def test_another_group_costs_one_more_round_trip() -> None:
    mine, _ = with_proposals(replace(IKE, groups=(ECP_256, X25519)))
    pair = Pair((mine,), (SUN_NET,))
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.deliver()
    pair.deliver()
    (again,) = pair.collect()
    assert again.message.exchange == ExchangeType.IKE_SA_INIT
    pair.settle()
    pair.agree()


def test_no_common_algorithm_is_said() -> None:
    mine, _ = with_proposals(CLASSIC)
    pair = Pair((mine,), (SUN_NET,)).up()
    (failed,) = pair.moon.events(InitiationFailed)
    assert failed.reason is Reason.NO_PROPOSAL_CHOSEN
    assert not pair.sun.endpoint.all_sas()


def test_a_group_that_was_not_offered_is_not_followed() -> None:
    _, yours = with_proposals(replace(IKE, groups=(ECP_256,)))
    pair = Pair((MOON_NET,), (yours,)).up()
    assert [one.reason for one in pair.moon.events(InitiationFailed)] == [Reason.NO_PROPOSAL_CHOSEN]


@pytest.mark.parametrize("responder", [True, False])
def test_a_wrong_key_fails_at_both_ends(responder: bool) -> None:
    wrong = SharedKey(b"another key of no value")
    yours = replace(SUN_NET, remote_auth=wrong) if responder else replace(SUN_NET, local_auth=wrong)
    pair = Pair((MOON_NET,), (yours,)).up()
    pair.rest()
    (failed,) = pair.moon.events(InitiationFailed)
    assert failed.reason is Reason.AUTHENTICATION_FAILED
    assert not pair.moon.ike_sas()
    assert not pair.sun.ike_sas()
    assert not pair.sun.children()


def test_an_identity_that_nobody_expects_fails() -> None:
    pair = Pair((replace(MOON_NET, local_id=Identity.of("mars.example")),)).up()
    (failed,) = pair.sun.events(InitiationFailed)
    assert "mars.example" in failed.detail


def test_the_connection_is_chosen_by_identity() -> None:
    other = replace(
        SUN_NET,
        name="other",
        remote_id=Identity.of("mars.example"),
        remote_auth=SharedKey(b"mars"),
    )
    pair = Pair(sun=(other, SUN_NET)).up()
    assert pair.sun.events(IkeSaEstablished)[0].connection == "gw"
    pair.agree()


def test_a_cookie_is_asked_for_when_many_are_half_open() -> None:
    pair = Pair(settings=Settings(cookie_threshold=0)).up()
    pair.agree()
    assert pair.moon.events(CookieDemanded)


def test_a_peer_makes_no_more_ike_sas_than_the_limit() -> None:
    pair = Pair(settings=Settings(most_ike_sas=1)).up()
    pair.moon.endpoint.commands.initiate("gw", pair.now)
    pair.settle()
    assert pair.sun.events(Refused)[0].why == "There are too many IKE SAs."
    assert len(pair.sun.endpoint.all_sas()) == 1


def test_a_peer_makes_no_more_child_sas_than_the_limit() -> None:
    pair = Pair(settings=Settings(most_children=1)).up()
    pair.moon.endpoint.commands.create_child(pair.moon.ike, "net", pair.now)
    pair.settle()
    (failed,) = pair.moon.events(ChildSaFailed)
    assert failed.notify == NotifyType.NO_ADDITIONAL_SAS
    pair.agree()


def test_a_flood_leaves_an_established_sa_alone_and_little_memory_used() -> None:
    pair = Pair(settings=Settings(cookie_threshold=10, half_open_limit=20)).up()
    flood = Pair(seed=99)
    for number in range(500):
        flood.moon.endpoint.commands.initiate("gw", 0.0)
        (letter,) = flood.collect()
        flood.queue.clear()
        source = Address(f"198.51.{number // 250}.{number % 250}")
        pair.sun.endpoint.receive(letter.datagram.data, source, pair.now)
        pair.sun.endpoint.datagrams()
    assert len(pair.sun.endpoint.all_sas()) <= 11
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, pair.now)
    pair.settle()
    assert pair.moon.events(PeerAlive)
    pair.rest()
    assert len(pair.sun.endpoint.all_sas()) == 1


def test_a_repeated_first_request_gets_the_same_response() -> None:
    pair = Pair()
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    request = pair.collect()[0]
    pair.deliver()
    first = pair.hold("sun")
    pair.deliver(request)
    second = pair.hold("sun")
    assert first.datagram == second.datagram
    assert len(pair.sun.endpoint.all_sas()) == 1


@pytest.mark.parametrize("position", range(4))
def test_each_message_may_be_lost_once(position: int) -> None:
    pair = Pair()
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    for _ in range(position):
        pair.deliver()
    pair.collect()
    pair.queue.clear()
    pair.rest(within=10)
    pair.agree()
    assert pair.moon.child
    assert len(pair.moon.events(Retransmitted)) == 1


def test_a_silent_peer_is_given_up_after_the_last_repetition() -> None:
    settings = Settings(retransmission=Retransmission(first=1.0, factor=2.0, tries=3))
    pair = Pair(settings=settings)
    pair.translate = lambda datagram: None
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.rest()
    (failed,) = pair.moon.events(InitiationFailed)
    assert failed.reason is Reason.TIMEOUT
    assert len(pair.moon.events(Retransmitted)) == 3
    assert not pair.moon.endpoint.all_sas()


def test_a_half_open_sa_is_forgotten() -> None:
    pair = Pair()
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.deliver()
    pair.queue.clear()
    pair.translate = lambda datagram: None
    pair.rest()
    assert not pair.sun.endpoint.all_sas()


def test_a_second_initial_contact_ends_the_first_sa() -> None:
    pair = Pair().up()
    old = pair.sun.ike
    reborn = Pair(seed=7)
    pair.moon = reborn.moon
    pair.up()
    assert [(one.ike, one.reason) for one in pair.sun.events(IkeSaClosed)] == [
        (old, Reason.INITIAL_CONTACT)
    ]
    pair.agree()


def test_without_a_child_the_ike_sa_comes_up_alone() -> None:
    pair = both(lambda one: replace(one, childless=True)).up()
    pair.agree()
    assert not pair.moon.children()
    pair.moon.endpoint.commands.create_child(pair.moon.ike, "net", 0.0)
    pair.settle()
    pair.agree()
    assert pair.moon.child


def test_childless_makes_the_child_at_once_where_the_peer_cannot_do_without() -> None:
    pair = Pair((replace(MOON_NET, childless=True),), settings=Settings(childless=False)).up()
    assert pair.moon.child


def test_the_responder_narrows_to_what_it_allows() -> None:
    part = TrafficSelector.of(ip_network("10.2.3.0/24"), protocol=6, start_port=80, end_port=90)
    yours = replace(SUN_NET, children=(replace(NET_MIRRORED, local=(part,)),))
    pair = Pair((MOON_NET,), (yours,)).up()
    pair.agree()
    assert pair.moon.child.remote == (part,)
    assert pair.moon.child.local == (LEFT,)


def test_an_initiator_may_refuse_less_than_it_asked_for() -> None:
    part = TrafficSelector.of(ip_network("10.2.3.0/24"))
    mine = replace(MOON_NET, children=(replace(NET, narrow=False),))
    yours = replace(SUN_NET, children=(replace(NET_MIRRORED, local=(part,)),))
    pair = Pair((mine,), (yours,)).up()
    pair.agree()
    assert not pair.sun.children()
    assert [one.reason for one in pair.moon.events(ChildSaFailed)] == [Reason.TS_UNACCEPTABLE]


def test_without_common_traffic_only_the_ike_sa_comes_up() -> None:
    other = TrafficSelector.of(ip_network("10.9.0.0/16"))
    yours = replace(SUN_NET, children=(replace(NET_MIRRORED, local=(other,)),))
    pair = Pair((MOON_NET,), (yours,)).up()
    pair.agree()
    (failed,) = pair.moon.events(ChildSaFailed)
    assert failed.notify == NotifyType.TS_UNACCEPTABLE


def test_without_common_child_algorithms_only_the_ike_sa_comes_up() -> None:
    esp = ChildProposal((CBC,), (HMAC_SHA256,))
    yours = replace(SUN_NET, children=(replace(NET_MIRRORED, proposals=(esp,)),))
    pair = Pair((MOON_NET,), (yours,)).up()
    pair.agree()
    assert [one.reason for one in pair.moon.events(ChildSaFailed)] == [Reason.NO_PROPOSAL_CHOSEN]


def test_esn_is_used_where_both_can() -> None:
    esp = replace(ESP, esn=(True, False))
    pair = both(
        lambda one: replace(one, children=(replace(one.children[0], proposals=(esp,)),))
    ).up()
    assert pair.moon.child.suite.esn
    pair.agree()


@pytest.mark.parametrize("responder", [True, False])
def test_transport_mode_needs_both_ends(responder: bool) -> None:
    mine = replace(MOON_NET, children=(replace(NET, local=(), remote=(), transport=True),))
    child = replace(NET_MIRRORED, local=(), remote=(), transport=responder)
    pair = Pair((mine,), (replace(SUN_NET, children=(child,)),)).up()
    assert pair.moon.child.transport is pair.sun.child.transport is responder
    assert pair.moon.child.local[0].start_address == pair.moon.child.local[0].end_address
    pair.agree()


class Napt:
    """A NAT in front of moon that gives every address and port another one."""

    def __init__(self) -> None:
        self.outside = Address("203.0.113.1", 40_000)
        self.mapped: dict[int, Address] = {}

    def __call__(self, datagram: Datagram) -> Datagram:
        if datagram.source.host == MOON.host:
            port = datagram.source.port
            self.mapped.setdefault(port, Address(self.outside.host, self.outside.port + port))
            return replace(datagram, source=self.mapped[port])
        inside = {address: port for port, address in self.mapped.items()}
        return replace(datagram, destination=MOON.on_port(inside[datagram.destination]))


def test_behind_a_nat_both_ends_move_to_port_4500_and_encapsulate() -> None:
    pair = Pair()
    pair.translate = Napt()
    pair.up()
    (mine,), (yours,) = pair.moon.events(IkeSaEstablished), pair.sun.events(IkeSaEstablished)
    assert mine.nat.local
    assert not mine.nat.remote
    assert yours.nat.remote
    assert mine.path.local.port == mine.path.remote.port == 4500
    assert yours.path.remote == Address("203.0.113.1", 44_500)
    assert pair.moon.child.encapsulated
    assert pair.sun.child.encapsulated
    pair.agree()
    pair.sun.endpoint.commands.rekey_ike(pair.sun.ike, 0.0)
    pair.settle()
    pair.agree()


def test_transport_mode_behind_a_nat_is_for_the_addresses_that_each_end_sees() -> None:
    mine = replace(MOON_NET, children=(replace(NET, local=(), remote=(), transport=True),))
    theirs = replace(NET_MIRRORED, local=(), remote=(), transport=True)
    pair = Pair((mine,), (replace(SUN_NET, children=(theirs,)),))
    pair.translate = Napt()
    pair.up()
    # Whoever rekeys: each end takes the other's address for what it is here (RFC 7296 2.23.1).
    for end in (pair.moon, pair.sun, pair.moon):
        assert traffic(pair.moon) == (MOON.host, SUN.host)
        assert traffic(pair.sun) == (SUN.host, "203.0.113.1")
        assert pair.moon.child.transport
        assert pair.sun.child.transport
        before = end.child.inbound_spi
        end.endpoint.commands.rekey_child(end.ike, before, pair.now)
        pair.rest(within=10)
        assert end.child.inbound_spi != before


def test_a_tunnel_behind_a_nat_is_for_the_addresses_that_were_asked_for() -> None:
    mine = replace(MOON_NET, children=(replace(NET, local=(), remote=()),))
    theirs = replace(NET_MIRRORED, local=(), remote=())
    pair = Pair((mine,), (replace(SUN_NET, children=(theirs,)),))
    pair.translate = Napt()
    pair.up()
    assert [one.reason for one in pair.moon.events(ChildSaFailed)] == [Reason.TS_UNACCEPTABLE]


def traffic(end: End) -> tuple[str, str]:
    """The addresses of the only CHILD_SA of an end, its own first."""
    (local,), (remote,) = end.child.local, end.child.remote
    return str(local.start_address), str(remote.start_address)


def test_an_end_behind_a_nat_keeps_its_mapping_alive() -> None:
    pair = Pair()
    pair.translate = Napt()
    pair.up()
    pair.pass_deadline()
    (letter,) = pair.collect()
    assert pair.now == 20
    assert (letter.sender, letter.datagram.data) == ("moon", b"\xff")
    pair.settle()
    pair.agree()


def test_a_nat_that_forgets_its_mapping_is_followed() -> None:
    pair = Pair((replace(MOON_NET, mobike=False),))
    pair.translate = Napt()
    pair.up()
    napt = Napt()
    napt.outside = Address("203.0.113.1", 50_000)
    pair.translate = napt
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, 0.0)
    pair.settle()
    (event,) = pair.sun.events(PathChanged)
    assert event.path.remote == Address("203.0.113.1", 54_500)
    assert pair.moon.events(PeerAlive)


def test_without_a_nat_esp_stays_bare() -> None:
    pair = Pair().up()
    assert not pair.moon.child.encapsulated


def test_encapsulation_can_be_forced() -> None:
    pair = Pair((replace(MOON_NET, force_encapsulation=True),)).up()
    assert pair.moon.child.encapsulated
    assert pair.sun.child.encapsulated


def test_silence_is_broken_by_a_liveness_check_and_a_dead_peer_given_up() -> None:
    pair = Pair((replace(MOON_NET, dpd_after=10.0),)).up()
    while pair.now < 35 and pair.pass_deadline():
        pair.settle()
    assert len(pair.moon.events(PeerAlive)) == 4
    pair.translate = lambda datagram: None
    pair.rest()
    assert [one.reason for one in pair.moon.events(IkeSaClosed)] == [Reason.TIMEOUT]
    assert not pair.moon.children()


def test_lifetimes_rekey_and_expire_by_themselves() -> None:
    child = replace(NET, rekey_after=10.0, lifetime=15.0)
    pair = Pair((replace(MOON_NET, children=(child,), rekey_after=25.0),)).up()
    while pair.now < 60 and pair.pass_deadline():
        pair.settle()
    pair.agree()
    assert pair.moon.child
    assert len(pair.moon.events(ChildSaInstalled)) == 1 + 6
    assert len(pair.moon.events(IkeSaEstablished)) == 3


def test_an_unknown_spi_is_answered_a_few_times_and_no_more() -> None:
    pair, gone = Pair().up(), Pair(seed=5).up()
    gone.moon.endpoint.commands.check_liveness(gone.moon.ike, 0.0)
    (letter,) = gone.collect()
    answers = 0
    for _ in range(100):
        pair.sun.endpoint.receive(
            letter.datagram.data, letter.datagram.source, 0.0, letter.datagram.destination
        )
        answers += len(pair.sun.endpoint.datagrams())
    assert answers == Settings().unknown_spi_answers_per_second
    pair.collect()
    assert len(pair.sun.events(Refused)) == 100


def test_secrets_are_in_no_repr() -> None:
    pair = Pair().up()
    (event,) = pair.moon.events(IkeKeysDerived)
    (installed,) = pair.moon.events(ChildSaInstalled)
    secrets = (event.secrets.d, event.secrets.ei, installed.child.inbound.encryption)
    shown = repr((event, installed, MOON_NET))
    assert not any(repr(secret) in shown or secret.hex() in shown for secret in secrets)
    assert "example key" not in shown


def test_the_same_seed_gives_the_same_datagrams() -> None:
    first, second = Pair(seed=11), Pair(seed=11)
    for pair in (first, second):
        pair.moon.endpoint.commands.initiate("gw", 0.0)
        pair.deliver()
        pair.deliver()
    assert first.collect()[0].datagram == second.collect()[0].datagram
