# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.capture.exchanges import Rekey
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Notify
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.network.nat import Napt
from harness.peers.connection import Certificate, PreSharedKey
from harness.peers.contract import Configuration, Peer
from scenarios.agreements import AUTHORITY
from scenarios.ikev2 import test_cookie as cookie
from scenarios.ikev2 import test_simultaneous_rekey as simultaneous
from scenarios.ikev2.test_agreement import test_childless as childless
from scenarios.ikev2.test_agreement import test_esn as esn
from scenarios.ikev2.test_agreement import test_invalid_ke_retry as invalid_ke_retry
from scenarios.ikev2.test_agreement import test_ts_narrowing as ts_narrowing
from scenarios.ikev2.test_certificates import test_certificates_chain as chain
from scenarios.ikev2.test_certificates import test_certificates_ecdsa as ecdsa
from scenarios.ikev2.test_certificates import test_certificates_expired as expired
from scenarios.ikev2.test_certificates import test_certificates_rsa as rsa
from scenarios.ikev2.test_certificates import test_certificates_wrong_ca as wrong_ca
from scenarios.ikev2.test_initial_contact import test_initial_contact as initial_contact
from scenarios.ikev2.test_loss import test_fragmentation as fragmentation
from scenarios.ikev2.test_loss import test_retransmission as retransmission
from scenarios.ikev2.test_rekey import test_child_rekey as child_rekey
from scenarios.ikev2.test_rekey import test_ike_rekey as ike_rekey
from scenarios.nat.test_main_mode import test_nat_in_path_ikev1 as nat_in_path_ikev1
from tests.sabotage.controls import turns_red, with_side
from tests.sabotage.forged import forge, with_deleted

Scenario = Callable[..., None]


def test_narrowing_turns_red_when_there_is_nothing_to_narrow(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def alike(node: str, configuration: Configuration) -> Configuration:
        side = configuration.side
        assert side is not None
        ends = {end.node: end for end in (side.local, side.remote)}
        wide = replace(ends["sun"], subnets=("10.2.0.0/16",))
        changed = {"local": wide} if node == "sun" else {"remote": wide}
        return replace(configuration, side=replace(side, **changed))

    lab.rewrite = alike
    turns_red(lab, ts_narrowing, moon, sun, because=r"10\.2\.255\.255.*10\.3\.255\.255")


def test_invalid_ke_retry_turns_red_when_the_first_group_is_right(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.rewrite = with_side(ike={"proposals": ("aes128-sha256-ecp256",)})
    turns_red(lab, invalid_ke_retry, moon, sun, because=r"IkeSaInit\(error='INVALID_KE_PAYLOAD'\)")


def test_childless_turns_red_when_ike_auth_makes_the_child(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = with_side(ike={"childless": False})
    turns_red(lab, childless, moon, sun, because="CreateChild")


@pytest.mark.needs("esp")
def test_esn_turns_red_when_sequence_numbers_have_32_bits(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = with_side(child={"proposals": ("aes128gcm16-noesn",)})
    turns_red(lab, esn, moon, sun, because=r"assert 1 in \[0\]")


@pytest.mark.parametrize("scenario", [child_rekey, ike_rekey])
def test_a_rekeying_turns_red_when_the_delete_is_of_another(
    lab: Lab, moon: Peer, sun: Peer, scenario: Scenario
) -> None:
    another = with_deleted(bytes.fromhex("c0ffee01"), protocol=3)
    lab.disturb = lambda net: forge(net, ExchangeType.INFORMATIONAL, "moon", another)
    turns_red(lab, scenario, moon, sun, because=f"{0xC0FFEE01}|still there|did not come")


@pytest.mark.parametrize("scenario", [child_rekey, ike_rekey])
def test_a_rekeying_turns_red_when_a_packet_is_lost(
    lab: Lab, moon: Peer, sun: Peer, scenario: Scenario
) -> None:
    def drop_one(net: Net) -> None:
        net.wire("wan").drop(is_esp, sender="moon", nth=8)

    lab.disturb = drop_one
    turns_red(lab, scenario, moon, sun, because=r"assert 1 == 0[^$]*lost")


def test_retransmission_turns_red_when_a_repetition_is_another_message(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def add(payloads: tuple[Payload, ...]) -> tuple[Payload, ...]:
        return (*payloads, Notify(40_999))

    lab.disturb = lambda net: forge(net, ExchangeType.INFORMATIONAL, "moon", add, nth=2)
    turns_red(lab, retransmission, moon, sun, because=r"assert \d+ == \d+")


def test_fragmentation_turns_red_when_fragments_may_be_large(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.rewrite = with_side(ike={"fragment_size": 1400})
    turns_red(lab, fragmentation, moon, sun, because="assert")


def test_initial_contact_turns_red_when_the_notify_is_missing(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def without(payloads: tuple[Payload, ...]) -> list[Payload]:
        kind = NotifyType.INITIAL_CONTACT
        return [p for p in payloads if not (isinstance(p, Notify) and p.notify_type == kind)]

    lab.disturb = lambda net: forge(net, ExchangeType.IKE_AUTH, "moon", without, nth=2)
    turns_red(lab, initial_contact, moon, sun, because="was not seen|did not come|still there")


@pytest.mark.parametrize("scenario", [wrong_ca, expired])
def test_a_refused_certificate_turns_red_when_it_is_in_order(
    lab: Lab, moon: Peer, sun: Peer, scenario: Scenario
) -> None:
    lab.rewrite = certified
    turns_red(lab, scenario, moon, sun, because="came up, though")


def test_a_chain_turns_red_when_there_is_none(lab: Lab, moon: Peer, sun: Peer) -> None:
    lab.rewrite = certified
    turns_red(lab, chain, moon, sun, because="assert 1 == 2")


@pytest.mark.parametrize("scenario", [ecdsa, rsa])
def test_certificates_turn_red_when_none_is_sent(
    lab: Lab, moon: Peer, sun: Peer, scenario: Scenario
) -> None:
    def with_secret(node: str, configuration: Configuration) -> Configuration:
        assert configuration.side is not None
        side = replace(configuration.side, authentication=PreSharedKey("one secret for both"))
        return replace(configuration, side=side)

    lab.rewrite = with_secret
    turns_red(lab, scenario, moon, sun, because="assert 0 == 1")


def test_a_nat_turns_red_when_it_keeps_every_port(
    lab: Lab, moon: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate = Napt.translate

    async def plain(router: Napt, ports: tuple[int, int] = (500, 4500)) -> None:
        await translate(router, (500, 4500))

    monkeypatch.setattr(Napt, "translate", plain)
    turns_red(lab, nat_in_path_ikev1, moon, sun, because="assert 30000 <=")


def certified(node: str, configuration: Configuration) -> Configuration:
    """Every node has a certificate of the one authority, in order."""
    side = configuration.side
    assert side is not None
    own: Certificate = AUTHORITY.certify(side.local.identity)
    return replace(configuration, side=replace(side, authentication=own))


def test_cookie_turns_red_when_hardly_anybody_floods(
    lab: Lab, moon: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cookie, "FLOOD", 1)
    turns_red(lab, cookie.test_cookie, moon, sun, because="COOKIE")


def test_simultaneous_rekeying_turns_red_when_the_highest_nonce_loses(
    lab: Lab, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = simultaneous.lowest_nonce

    def inverted(rekey: Rekey) -> bytes:
        return bytes(255 - octet for octet in lowest(rekey))

    monkeypatch.setattr(simultaneous, "lowest_nonce", inverted)
    turns_red(lab, simultaneous.test_simultaneous_rekey, sun, because=r"assert \{\d+, \d+\} == ")
