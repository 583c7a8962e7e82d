# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of both front ends say the same of a strongSwan opposite a SEIL."""

from __future__ import annotations

import pytest

from harness.peers.contract import NativeFile
from harness.verdict.diagnosis.alternatives import SaKind
from harness.verdict.diagnosis.ipsec_conf import read_ipsec_conf
from harness.verdict.diagnosis.swanctl_conf import read_swanctl_conf
from harness.verdict.diagnosis.wishes import Wishes
from scenarios.agreements import AUTHORITY
from scenarios.ikev1_seil.agreements import CONN, SECRET, swan_files
from scenarios.ikev1_seil.front_ends import with_certificate

FRONT_ENDS = ("ipsec.conf", "swanctl.conf")
SETTINGS = [
    {},
    {"ike": "aes256-sha256-modp1024!"},
    {"esp": "aes256-md5!"},
    {"aggressive": "yes"},
    {"left": "172.16.0.10", "rightid": "172.17.0.10", "secret_for": "10.0.0.1 172.17.0.10"},
    {"type": "transport", "esp": "3des-sha1!"},
]


def wishes(files: tuple[NativeFile, ...], **more: object) -> Wishes:
    """What strongSwan wants by its files, of either dialect."""
    texts = {file.path.rpartition("/")[2]: file.text for file in files}
    if "ipsec.conf" in texts:
        (found,) = read_ipsec_conf(
            texts["ipsec.conf"], "sun", secrets=texts["ipsec.secrets"], **more
        )
    else:
        (found,) = read_swanctl_conf(texts["swanctl.conf"], "sun", **more)
    return found


def said(one: Wishes) -> tuple[object, ...]:
    """What the two ends have to agree on; lifetimes are each front end's own."""
    kinds = (SaKind.ISAKMP_SA, SaKind.IPSEC_SA)
    return (
        one.versions,
        [list(one.alternatives(kind)) for kind in kinds],
        one.defaults,
        one.peer_addresses,
        one.remote_identity,
        (one.local_subnets, one.remote_subnets, one.mode),
        (one.method, one.secret, one.aggressive),
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_both_say_the_same_of_a_connection(settings: dict[str, str]) -> None:
    legacy, over_vici = (wishes(swan_files(one, **settings)) for one in FRONT_ENDS)
    assert said(over_vici) == said(legacy)
    assert legacy.secret == SECRET.encode()


def test_both_say_the_same_of_certificates() -> None:
    own = AUTHORITY.certify("sun.ikelab.example", kind="rsa")
    settings = {
        "left": "10.0.0.2",
        "right": "10.0.0.1",
        "rightid": "%any",
        "ike": "3des-sha1-modp1024!",
    }
    legacy, over_vici = (
        wishes(
            with_certificate(one, CONN, settings, own), certificates={"own.pem": own.certificate}
        )
        for one in FRONT_ENDS
    )
    assert said(over_vici) == said(legacy)
    assert over_vici.certificate == legacy.certificate == own.certificate


def test_auto_and_forceencaps_have_their_words_in_both() -> None:
    told = {"auto": "start", "forceencaps": "yes"}
    legacy, over_vici = (swan_files(one, **told)[0].text for one in FRONT_ENDS)
    assert [f"{key}={value}" in legacy for key, value in told.items()] == [True, True]
    assert [one in over_vici for one in ("start_action = start", "encap = yes")] == [True, True]


def test_a_setting_without_a_word_in_swanctl_conf_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match="leftfirewall"):
        swan_files("swanctl.conf", leftfirewall="yes")
