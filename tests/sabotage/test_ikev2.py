# SPDX-License-Identifier: GPL-2.0-or-later
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.capture import gathering
from harness.capture.secrets import Reading
from harness.capture.strongswan_log import read_log
from harness.ike.constants_v2 import ExchangeType, NotifyType, ProtocolId
from harness.ike.payloads_v2 import Notify
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.network.wires import CarriedWire
from harness.peers.connection import PreSharedKey
from harness.peers.contract import Configuration, Peer
from scenarios.ikev2.test_acquire import test_acquire as acquire
from scenarios.ikev2.test_deletion import test_delete_child as delete_child
from scenarios.ikev2.test_deletion import test_delete_ike as delete_ike
from scenarios.ikev2.test_dpd import test_dpd_dead_peer as dpd_dead_peer
from scenarios.ikev2.test_mismatch import test_auth_failure as auth_failure
from scenarios.ikev2.test_mismatch import test_proposal_mismatch_child as child_mismatch
from scenarios.ikev2.test_mismatch import test_proposal_mismatch_ike as ike_mismatch
from scenarios.ikev2.test_mismatch import test_ts_mismatch as ts_mismatch
from scenarios.ikev2.test_net2net_rekey import test_net2net_rekey as net2net_rekey
from scenarios.ikev2.test_net2net_rekey import test_net2net_rekey_native as net2net_rekey_native
from scenarios.ikev2.test_net2net_rekey import test_net2net_rekey_psk as net2net_rekey_psk
from scenarios.ikev2.test_rekey_fuzz import MARGIN
from scenarios.ikev2.test_rekey_fuzz import test_rekey_fuzz as rekey_fuzz
from scenarios.ikev2.test_simultaneous_rekey import test_simultaneous_rekey as simultaneous_rekey
from scenarios.ikev2.test_transport import test_transport_host2host as transport_host2host
from tests.sabotage.controls import (
    STRAY_SA,
    in_clear,
    turns_red,
    with_options,
    with_side,
)
from tests.sabotage.forged import forge, with_deleted, with_notify

needs_esp = pytest.mark.needs("esp")

ANOTHER_SPI = 0xC0FFEE01


@needs_esp
def test_net2net_rekey_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = in_clear
    turns_red(lab, net2net_rekey, moon, sun, because="clear: 1 frames on wan are in clear")


@needs_esp
@pytest.mark.parametrize(
    ("rekeyed", "network"),
    [(net2net_rekey_psk, 1), (net2net_rekey_native, 1), (net2net_rekey_native, 2)],
    ids=["psk", "ipsec.conf", "swanctl.conf"],
)
def test_net2net_rekey_turns_red_when_the_switch_drops_a_packet(
    lab: Lab, moon: Peer, sun: Peer, rekeyed: Callable[..., None], network: int
) -> None:
    numbers = itertools.count(1)

    def drop_one(net: Net) -> None:
        if next(numbers) == network:
            net.wire("wan").drop(is_esp, sender="moon", nth=40)

    lab.disturb = drop_one
    turns_red(lab, rekeyed, moon, sun, because=r"assert 1 == 0[^$]*lost")


@needs_esp
def test_net2net_rekey_turns_red_when_the_old_sa_is_kept(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = with_options("moon", charon__delete_rekeyed_delay=9)
    turns_red(
        lab, net2net_rekey_psk, moon, sun, because="moon: .* was not both rekeyed and deleted"
    )


@needs_esp
def test_net2net_rekey_turns_red_when_the_peers_reauthenticate_instead(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.rewrite = with_side(ike={"reauth": 3, "rekey": 0, "overrun": 1})
    turns_red(lab, net2net_rekey_psk, moon, sun, because="soft EXPIRE|IKE_SA_INIT|rekeying of")


@needs_esp
def test_net2net_rekey_turns_red_when_the_delete_names_another_spi(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def delete_another(net: Net) -> None:
        another = with_deleted(ANOTHER_SPI.to_bytes(4, "big"), protocol=ProtocolId.ESP)
        forge(net, ExchangeType.INFORMATIONAL, "moon", another)

    lab.disturb = delete_another
    turns_red(lab, net2net_rekey_psk, moon, sun, because=str(ANOTHER_SPI))


@needs_esp
def test_net2net_rekey_turns_red_when_the_keys_that_were_told_are_wrong(
    lab: Lab, moon: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_key(path: Path) -> Reading:
        told = read_log(path).secrets
        wrong = tuple(replace(one, ar=bytes(len(one.ar))) for one in told.ike_v2)
        return Reading(replace(told, ike_v2=wrong))

    monkeypatch.setattr(gathering, "READERS", {"charon-keys.log": another_key})
    turns_red(lab, net2net_rekey_psk, moon, sun, because="bad ICV|no answer")


@needs_esp
@pytest.mark.parametrize("jitter", [MARGIN // 2, MARGIN])
def test_rekey_fuzz_turns_red_without_fuzz(lab: Lab, moon: Peer, sun: Peer, jitter: int) -> None:
    lab.rewrite = with_jitter(jitter, instead=0)
    turns_red(lab, rekey_fuzz, moon, sun, because=rf"assert \(40 - 40\) > \({jitter} / 3\)")


@needs_esp
def test_rekey_fuzz_turns_red_with_fuzz_where_none_was_asked_for(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.rewrite = with_jitter(0, instead=MARGIN)
    turns_red(lab, rekey_fuzz, moon, sun, because=r"assert \{.*\} == \{40\}")


def with_jitter(asked: int, instead: int) -> Callable[[str, Configuration], Configuration]:
    """A rewrite of the networks alone that are to have that jitter."""
    other = with_side(child={"jitter": instead})

    def rewrite(node: str, configuration: Configuration) -> Configuration:
        side = configuration.side
        assert side is not None
        return other(node, configuration) if side.child.jitter == asked else configuration

    return rewrite


@needs_esp
def test_transport_turns_red_when_a_second_sa_is_left_over(lab: Lab, moon: Peer, sun: Peer) -> None:
    def leave_one(net: Net) -> None:
        net.host3.ip_xfrm(STRAY_SA.format("10.0.0.1", "10.0.0.3"))

    lab.disturb = leave_one
    turns_red(lab, transport_host2host, moon, sun, because="00005abc|23228")


@needs_esp
def test_transport_turns_red_in_tunnel_mode(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = with_side(child={"mode": "tunnel"})
    turns_red(lab, transport_host2host, moon, sun, because="'tunnel'")


@needs_esp
def test_delete_child_turns_red_when_an_sa_stays(lab: Lab, moon: Peer, sun: Peer) -> None:
    def leave_one(net: Net) -> None:
        net.sun.ip_xfrm(STRAY_SA.format("192.168.0.1", "192.168.0.2"))

    lab.disturb = leave_one
    turns_red(lab, delete_child, moon, sun, because="assert 1 == 0")


def test_delete_child_turns_red_when_the_delete_names_another_spi(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def delete_another(net: Net) -> None:
        another = with_deleted(ANOTHER_SPI.to_bytes(4, "big"), protocol=ProtocolId.ESP)
        forge(net, ExchangeType.INFORMATIONAL, "moon", another)

    lab.disturb = delete_another
    turns_red(lab, delete_child, moon, sun, because=str(ANOTHER_SPI))


def test_delete_ike_turns_red_when_a_child_is_deleted_instead(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def delete_a_child(net: Net) -> None:
        child = with_deleted(ANOTHER_SPI.to_bytes(4, "big"), protocol=ProtocolId.ESP)
        forge(net, ExchangeType.INFORMATIONAL, "moon", child)

    lab.disturb = delete_a_child
    turns_red(lab, delete_ike, moon, sun, because=r"Delete\(.* == DeleteIke")


def test_delete_ike_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = in_clear
    turns_red(lab, delete_ike, moon, sun, because="clear: 1 frames on wan are in clear")


def test_ike_mismatch_turns_red_when_the_proposals_match(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = with_side(ike={"proposals": ("aes128-sha256-x25519",)})
    turns_red(lab, ike_mismatch, moon, sun, because="came up, though")


def test_ike_mismatch_turns_red_when_another_notify_refuses(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = refused_with_another(ExchangeType.IKE_SA_INIT)
    because = r"IkeSaInit\(error='INVALID_SYNTAX'\)"
    turns_red(lab, ike_mismatch, moon, sun, because=because)


def test_child_mismatch_turns_red_when_another_notify_refuses(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = refused_with_another(ExchangeType.IKE_AUTH)
    turns_red(lab, child_mismatch, moon, sun, because=r"error='INVALID_SYNTAX'")


def test_ts_mismatch_turns_red_when_the_selectors_match(lab: Lab, moon: Peer, sun: Peer) -> None:
    def same_subnets(node: str, configuration: Configuration) -> Configuration:
        side = configuration.side
        assert side is not None
        if node != "moon":
            return configuration
        remote = replace(side.remote, subnets=("10.2.0.0/16",))
        return replace(configuration, side=replace(side, remote=remote))

    lab.rewrite = same_subnets
    turns_red(lab, ts_mismatch, moon, sun, because="came up, though")


def test_ts_mismatch_turns_red_when_it_is_the_secret_that_does_not_match(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def other_secret(node: str, configuration: Configuration) -> Configuration:
        if node != "moon":
            return configuration
        assert configuration.side is not None
        side = replace(configuration.side, authentication=PreSharedKey("moon's own secret"))
        return replace(configuration, side=side)

    lab.rewrite = other_secret
    turns_red(lab, ts_mismatch, moon, sun, because="AUTHENTICATION_FAILED")


def test_auth_failure_turns_red_when_another_notify_refuses(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = refused_with_another(ExchangeType.IKE_AUTH)
    turns_red(lab, auth_failure, moon, sun, because=r"error='INVALID_SYNTAX'")


def refused_with_another(exchange: ExchangeType) -> Callable[[Net], None]:
    """A disturbance: sun's refusal arrives with a notify of another type."""
    return lambda net: forge(net, exchange, "sun", with_notify(NotifyType.INVALID_SYNTAX))


def test_child_mismatch_turns_red_when_the_proposals_match(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = with_side(child={"proposals": ("aes128-sha256",)})
    turns_red(lab, child_mismatch, moon, sun, because="came up, though")


def test_auth_failure_turns_red_when_both_know_the_secret(lab: Lab, moon: Peer, sun: Peer) -> None:
    def same_secret(node: str, configuration: Configuration) -> Configuration:
        assert configuration.side is not None
        side = replace(configuration.side, authentication=PreSharedKey("one secret for both"))
        return replace(configuration, side=side)

    lab.rewrite = same_secret
    turns_red(lab, auth_failure, moon, sun, because="came up, though")


def test_dpd_turns_red_when_the_peer_is_alive(
    lab: Lab, moon: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_nothing(wire: CarriedWire) -> None:
        """Leave the wire whole."""

    monkeypatch.setattr(CarriedWire, "cut", cut_nothing)
    turns_red(lab, dpd_dead_peer, moon, sun, because="moon: end of IKE SA .* did not come")


def test_dpd_turns_red_when_the_question_is_not_empty(lab: Lab, moon: Peer, sun: Peer) -> None:
    def ask_more(net: Net) -> None:
        more = Notify(NotifyType.INITIAL_CONTACT)
        forge(net, ExchangeType.INFORMATIONAL, "moon", lambda payloads: (*payloads, more))

    lab.disturb = ask_more
    because = r"Informational\(notifies=\('INITIAL_CONTACT',\)"
    turns_red(lab, dpd_dead_peer, moon, sun, because=because)


@needs_esp
def test_simultaneous_rekey_turns_red_when_the_switch_drops_a_packet(lab: Lab, sun: Peer) -> None:
    def drop_one(net: Net) -> None:
        net.wire("wan").drop(is_esp, sender="sun", nth=15)

    lab.disturb = drop_one
    turns_red(lab, simultaneous_rekey, sun, because=r"assert 1 == 0[^$]*lost")


def test_acquire_turns_red_when_a_packet_crosses_in_clear(lab: Lab, sun: Peer) -> None:
    lab.disturb = in_clear
    turns_red(lab, acquire, sun, because="clear: 1 frames on wan are in clear")
