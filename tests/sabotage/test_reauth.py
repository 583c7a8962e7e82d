# SPDX-License-Identifier: GPL-2.0-or-later
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.peers.ikelabd import Ikelabd
from scenarios.ikev2.test_reauth import test_reauth as reauth
from tests.sabotage.controls import in_clear, turns_red, with_options, with_side


def test_reauth_turns_red_when_the_ike_sa_is_rekeyed_instead(lab: Lab) -> None:
    lab.rewrite = with_side(ike={"reauth": 0, "rekey": 4})
    because = "end of IKE SA net-net did not come"
    turns_red(lab, reauth, Ikelabd(), Ikelabd(), because=because)


def test_reauth_turns_red_when_the_old_ike_sa_is_deleted_first(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.rewrite = with_options("moon", charon__make_before_break="no")
    turns_red(lab, reauth, moon, sun, because=r"DeleteIke\(error=''\) != IkeSaInit")


def test_reauth_turns_red_when_a_packet_crosses_in_clear(lab: Lab) -> None:
    lab.disturb = in_clear
    turns_red(lab, reauth, Ikelabd(), Ikelabd(), because="clear: 1 frames on wan are in clear")
