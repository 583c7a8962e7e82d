# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.capture.frames import Isakmp, dissect
from harness.capture.recording import Frame
from harness.ike.constants_v1 import ExchangeType
from harness.lab.gateway import Gateway
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.router import Router
from harness.lab.wire import WireView, is_esp
from harness.network.nat import PORTS
from harness.peers.contract import Configuration, NativeFile, Peer
from scenarios.ikev1_seil.agreements import SECRET
from scenarios.ikev1_seil.test_aggressive import I_DO_NOT_CARE
from scenarios.ikev1_seil.test_aggressive import test_aggressive_forced as aggressive_forced
from scenarios.ikev1_seil.test_aggressive import test_aggressive_refused as aggressive_refused
from scenarios.ikev1_seil.test_crash import test_crash_of_the_seil as crash_of_the_seil
from scenarios.ikev1_seil.test_crash import test_initial_contact_after_crash as initial_contact
from scenarios.ikev1_seil.test_deletion import test_delete_on_shutdown as delete_on_shutdown
from scenarios.ikev1_seil.test_deletion import test_delete_on_stop as delete_on_stop
from scenarios.ikev1_seil.test_dpd import test_dpd as dpd
from scenarios.ikev1_seil.test_lifetimes import test_phase1_lifetime_60 as phase1_lifetime
from scenarios.ikev1_seil.test_lifetimes import test_phase2_lifetime_60 as phase2_lifetime
from scenarios.ikev1_seil.test_lifetimes import test_phase2_lifetime_bytes as phase2_bytes
from scenarios.ikev1_seil.test_main_mode import test_both_passive as both_passive
from scenarios.ikev1_seil.test_main_mode import test_main_mode_minimal as main_mode_minimal
from scenarios.ikev1_seil.test_main_mode import test_main_mode_minimal_over_vici as over_vici
from scenarios.ikev1_seil.test_main_mode import test_responder_only as responder_only
from scenarios.ikev1_seil.test_main_mode import test_responder_only_with_auto_start as auto_start
from scenarios.ikev1_seil.test_nat import test_nat_force_encapsulation as force_encapsulation
from scenarios.ikev1_seil.test_nat import test_nat_keepalive as nat_keepalive
from scenarios.ikev1_seil.test_nat import test_nat_on_both_sides as nat_on_both_sides
from scenarios.ikev1_seil.test_nat import test_nat_remapped as nat_remapped
from scenarios.ikev1_seil.test_nat import test_nat_traversal as nat_traversal
from scenarios.ikev1_seil.test_phase1 import test_identification as identification
from scenarios.ikev1_seil.test_phase1 import test_identification_of_the_peer as of_the_peer
from scenarios.ikev1_seil.test_phase1 import test_phase1_mismatch as phase1_mismatch
from scenarios.ikev1_seil.test_phase1 import test_phase1_mismatch_mended as phase1_mended
from scenarios.ikev1_seil.test_phase1 import test_phase1_proposal_count as proposal_count
from scenarios.ikev1_seil.test_phase2 import test_phase2_mismatch as phase2_mismatch
from scenarios.ikev1_seil.test_phase2 import test_phase2_mismatch_mended as phase2_mended
from scenarios.ikev1_seil.test_phase2 import test_proxy_id_mismatch as proxy_id_mismatch
from scenarios.ikev1_seil.test_rsasig import test_main_mode_rsasig as rsasig
from scenarios.ikev1_seil.test_rsasig import test_main_mode_rsasig_30_seconds as rsasig_30
from scenarios.ikev1_seil.test_scan import test_phase1_scan as phase1_scan
from tests.capture.packets import ip, udp
from tests.sabotage.controls import turns_red, with_options

# Where the failure is that something does not come, only virtual time makes the wait short.
virtual_time = pytest.mark.needs("esp")

NO_UNIQUENESS = ("conn %default", "config setup\n        uniqueids=never\nconn %default")

Rewrite = Callable[[str, Configuration], Configuration]
PLAIN = bytes.fromhex("ffffffffffff 020000000001 0800") + ip(
    udp(b"plain!!!", 40001, 40001), 17, "192.168.1.10", "192.168.2.10"
)


def rewritten(node: str, old: str, new: str) -> Rewrite:
    """A rewrite that puts other words into a node's files; they must be there."""

    def rewrite(name: str, configuration: Configuration) -> Configuration:
        if name != node:
            return configuration
        assert any(old in file.text for file in configuration.files)
        changed = (replace(one, text=one.text.replace(old, new)) for one in configuration.files)
        return replace(configuration, files=tuple(changed))

    return rewrite


def in_both(legacy: tuple[str, str], over_vici: tuple[str, str]) -> pytest.MarkDecorator:
    """Runs a control with the files of either front end: the words in sun's, and the others."""
    pairs = (("ipsec.conf", *legacy), ("swanctl.conf", *over_vici))
    return pytest.mark.parametrize(("files", "old", "new"), pairs, ids=[one[0] for one in pairs])


def with_line(node: str, line: str) -> Rewrite:
    """A rewrite that puts a line behind a node's first file."""

    def rewrite(name: str, configuration: Configuration) -> Configuration:
        if name != node:
            return configuration
        file, *others = configuration.files
        more = NativeFile(file.path, f"{file.text}{line}\n", file.mode)
        return replace(configuration, files=(more, *others))

    return rewrite


def in_clear_from(node: str) -> Callable[[Net], None]:
    """Let one packet from left to right onto the wan in clear."""

    def disturb(net: Net) -> None:
        net.wire("wan").inject(node, PLAIN)

    return disturb


def drops_esp(sender: str, nth: int) -> Callable[[Net], None]:
    """Lose an ESP packet of a node, counted from 1."""

    def disturb(net: Net) -> None:
        net.wire("wan").drop(is_esp, sender=sender, nth=nth)

    return disturb


def lost(sender: str, nth: int) -> Callable[[Net], None]:
    """Lose an Informational exchange of a node, counted from 1, before it arrives."""

    def is_informational(frame: Frame) -> bool:
        header = dissect(frame.data).carried
        return isinstance(header, Isakmp) and header.exchange_type == ExchangeType.INFORMATIONAL

    def disturb(net: Net) -> None:
        net.wire("wan").drop(is_informational, sender=sender, nth=nth)

    return disturb


# Main Mode.


def test_main_mode_minimal_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = in_clear_from("seil")
    turns_red(lab, main_mode_minimal, seil, sun, because="clear: 1 frames on wan are in clear")


def test_main_mode_minimal_turns_red_when_the_switch_drops_a_packet(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = drops_esp("seil", nth=3)
    turns_red(lab, main_mode_minimal, seil, sun, because="1 datagrams were lost")


def test_main_mode_minimal_turns_red_when_the_offer_is_another(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    line = "interface.ipsec0.ike.proposal.phase1.hash.0.algorithm : sha256"
    lab.rewrite = with_line("seil", line)
    turns_red(lab, main_mode_minimal, seil, sun, because=r"\(7, 128, 4\)")


def test_main_mode_over_vici_turns_red_when_the_lifetime_is_another(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.rewrite = with_line("seil", "interface.ipsec0.ike.proposal.phase1.lifetime : 86401")
    turns_red(lab, over_vici, seil, sun, because=r"x01Q\\x81|x81")


def test_responder_only_turns_red_when_the_seil_begins(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = rewritten("seil", "responder-only : enable", "responder-only : disable")
    turns_red(lab, responder_only, seil, sun, because=r"'seil'.* == \{'sun'\}")


@virtual_time
@in_both(("auto=start", "auto=add"), ("start_action = start", "start_action = none"))
def test_auto_start_turns_red_when_nobody_starts(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, auto_start, seil, sun, because="seil: CHILD_SA ipsec0 up did not come")


@virtual_time
@in_both(("auto=add", "auto=start"), ("start_action = none", "start_action = start"))
def test_both_passive_turns_red_when_one_begins(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, both_passive, seil, sun, because="sun sent IKE")


# Phase 1.


def test_proposal_count_turns_red_with_one_encryption_less(lab: Lab, seil: Peer, sun: Peer) -> None:
    line = "interface.ipsec0.ike.proposal.phase1.encryption.3.algorithm : 3des\n"
    lab.rewrite = rewritten("seil", line, "")
    turns_red(lab, proposal_count, seil, sun, because=r"\(5, None, 6\)")


@virtual_time
@in_both(("modp1536", "modp1024"), ("modp1536", "modp1024"))
def test_phase1_mismatch_turns_red_when_the_proposals_match(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, phase1_mismatch, seil, sun, because="INFORMATIONAL from sun")


@virtual_time
def test_phase1_mended_turns_red_when_it_is_not(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = rewritten("sun", "modp1024", "modp1536")
    turns_red(lab, phase1_mended, seil, sun, because="seil: CHILD_SA ipsec0 up did not come")


@virtual_time
@in_both(
    ("auto=add", "rightid=branch.example.org\n        auto=add"),
    ("id = 10.0.0.1", "id = branch.example.org"),
)
def test_identification_turns_red_when_the_identity_is_expected(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, identification, seil, sun, because="INFORMATIONAL from sun")


@virtual_time
def test_identification_of_the_peer_turns_red_when_the_identity_is_expected(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.rewrite = rewritten("sun", "auto=add", "leftid=centre.example.org\n        auto=add")
    turns_red(lab, of_the_peer, seil, sun, because="centre.example.org|QUICK-MODE")


# Phase 2.


@virtual_time
def test_phase2_mismatch_turns_red_when_the_proposals_match(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.rewrite = rewritten("sun", "auto=add", "esp=aes256-md5!\n        auto=add")
    turns_red(lab, phase2_mismatch, seil, sun, because="INFORMATIONAL from sun")


@virtual_time
@in_both(
    ("esp=aes256-md5!", "esp=aes256-sha256!"),
    ("esp_proposals = aes256-md5", "esp_proposals = aes256-sha256"),
)
def test_phase2_mended_turns_red_when_it_is_not(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, phase2_mended, seil, sun, because="seil: CHILD_SA ipsec0 up did not come")


@in_both(
    ("leftsubnet=192.168.2.0/24", "leftsubnet=0.0.0.0/0"),
    ("local_ts = 192.168.2.0/24", "local_ts = 0.0.0.0/0"),
)
def test_proxy_id_mismatch_turns_red_when_both_want_everything(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, proxy_id_mismatch, seil, sun, because=r"x00' != b'.xc0.xa8.x02")


# Ends.


@virtual_time
def test_delete_on_shutdown_turns_red_when_the_isakmp_sa_is_not_deleted(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = lost("seil", 3)
    turns_red(lab, delete_on_shutdown, seil, sun, because="sun: end of IKE SA seil did not come")


@virtual_time
def test_delete_on_stop_turns_red_when_the_isakmp_sa_is_not_deleted(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = lost("sun", 2)
    turns_red(lab, delete_on_stop, seil, sun, because="seil: end of IKE SA ipsec0 did not come")


@virtual_time
def test_dpd_turns_red_when_the_peer_is_alive(
    lab: Lab, seil: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WireView, "drop", lambda *arguments, **named: None)
    turns_red(lab, dpd, seil, sun, because="seil: end of IKE SA ipsec0 did not come")


@virtual_time
def test_initial_contact_turns_red_when_strongswan_does_not_send_it(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.rewrite = rewritten("sun", *NO_UNIQUENESS)
    # The SEIL keeps what it had, or drops it for the new SAs; sun does not say that it should.
    because = r"seil: deletion of SA .* did not come|assert 'sun' in set\(\)"
    turns_red(lab, initial_contact, seil, sun, because=because)


@virtual_time
def test_crash_of_the_seil_turns_red_when_it_goes_on(
    lab: Lab, seil: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in ("crash", "start_again"):
        monkeypatch.setattr(Gateway, verb, lambda gateway: None)
    turns_red(lab, crash_of_the_seil, seil, sun, because="sun: end of IKE SA seil did not come")


# Lifetimes.


@virtual_time
def test_phase1_lifetime_turns_red_when_it_is_another(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = rewritten("seil", "lifetime : 60", "lifetime : 61")
    turns_red(lab, phase1_lifetime, seil, sun, because=r"\{61\} == \{60\}")


@virtual_time
def test_phase2_lifetime_turns_red_when_it_is_another(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = rewritten("seil", "lifetime-of-time : 60", "lifetime-of-time : 61")
    turns_red(lab, phase2_lifetime, seil, sun, because="61 == 60")


@virtual_time
def test_phase2_bytes_turns_red_without_the_limit(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = rewritten("seil", "16K", "16M")
    turns_red(lab, phase2_bytes, seil, sun, because="seil: rekeying of .* did not come")


# NAT.


def test_nat_traversal_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = in_clear_from("nat")
    turns_red(lab, nat_traversal, seil, sun, because="clear: 1 frames on wan are in clear")


def test_nat_traversal_turns_red_when_the_router_takes_other_ports(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = lambda net: net.router("nat").remap((PORTS[1] + 1, PORTS[1] + 500))
    turns_red(lab, nat_traversal, seil, sun, because=r"\[31\d{3}\] == \[\]")


@virtual_time
def test_nat_keepalive_turns_red_when_none_is_sent(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = with_options("sun", charon__keep_alive=0)
    turns_red(lab, nat_keepalive, seil, sun, because="keepalive")


@virtual_time
def test_nat_remapped_turns_red_when_nothing_is(
    lab: Lab, seil: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Router, "remap", lambda router, ports: None)
    turns_red(lab, nat_remapped, seil, sun, because="the SEIL's ESP to the new port")


@virtual_time
@in_both(("forceencaps=yes", "forceencaps=no"), ("encap = yes", "encap = no"))
def test_force_encapsulation_turns_red_without_it(
    lab: Lab, seil: Peer, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, force_encapsulation, seil, sun, because=r"\(500, 500\)")


def test_nat_on_both_sides_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.disturb = in_clear_from("seil-nat")
    turns_red(lab, nat_on_both_sides, seil, sun, because="clear: 1 frames on wan are in clear")


# Aggressive Mode, certificates, a scanner.


@virtual_time
def test_aggressive_refused_turns_red_when_strongswan_does_not_care(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    (name,) = I_DO_NOT_CARE
    willing = rewritten("sun", "auto=add", "aggressive=yes\n        auto=add")
    careless = with_options("sun", **{name.replace(".", "__"): "yes"})
    lab.rewrite = lambda node, given: careless(node, willing(node, given))
    turns_red(lab, aggressive_refused, seil, sun, because="INFORMATIONAL from sun")


def test_aggressive_forced_turns_red_when_the_key_is_in_no_list(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    both = [rewritten(node, SECRET, "in-no-list-of-words") for node in ("seil", "sun")]
    lab.rewrite = lambda node, given: both[1](node, both[0](node, given))
    turns_red(lab, aggressive_forced, seil, sun, because="assert None is not None")


@virtual_time
def test_rsasig_turns_red_when_the_switch_drops_a_packet(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.disturb = drops_esp("sun", nth=2)
    turns_red(lab, rsasig, seil, sun, because=r"assert 1 == 0[^$]*lost|1 lost")


@virtual_time
def test_rsasig_30_turns_red_when_the_lifetime_is_another(lab: Lab, seil: Peer, sun: Peer) -> None:
    lab.rewrite = rewritten("seil", "lifetime time 30 sec", "lifetime time 5 min")
    turns_red(lab, rsasig_30, seil, sun, because=r"\[\(1, 300\)\] == ")


@in_both(
    ("modp1536!", "modp1536,aes128-sha1-modp1024!"), ("modp1536", "modp1536,aes128-sha1-modp1024")
)
def test_phase1_scan_turns_red_when_strongswan_accepts_more(
    lab: Lab, sun: Peer, files: str, old: str, new: str
) -> None:
    lab.front_end, lab.rewrite = files, rewritten("sun", old, new)
    turns_red(lab, phase1_scan, sun, because=r"\(7, 128, 2, 2\)")
