# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SEIL asks for in Quick Mode, and what becomes of it where the peer wants another thing."""

from __future__ import annotations

from harness.capture.exchanges import Informational, MainMode, QuickMode
from harness.ike.constants_v1 import IdType, IpsecAttribute, NotifyType
from harness.ike.payloads_v1 import Identification, Notification
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.wishes import Setting
from scenarios.ikev1_seil.agreements import TUNNEL, seil_file, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    INFORMATIONAL,
    QUICK,
    algorithms,
    crosses,
    esp,
    established,
    ladder,
    main_mode,
    messages,
    nothing_is_installed,
    quick_mode,
    with_kernel_esp,
)

PHASE2 = "interface.ipsec0.ike.proposal.phase2"
MD5 = (
    f"{PHASE2}.encryption.0.algorithm     : aes256",
    f"{PHASE2}.authentication.0.algorithm : hmac-md5",
)
ESP_AES = 12
EVERYTHING = bytes(8)
LEFT, RIGHT = bytes([192, 168, 1, 0, 255, 255, 255, 0]), bytes([192, 168, 2, 0, 255, 255, 255, 0])


@either_front_end
@scenario(
    "phase2-mismatch",
    "A SEIL that wants HMAC-MD5 for ESP is refused after the first message of Quick Mode.",
    rfc="2409 5.5",
    seed="002",
)
def test_phase2_mismatch(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(*MD5))
    net.wire("wan").await_ike("INFORMATIONAL", sender="sun")
    assert net.wire("wan").exchanges == [
        MainMode(),
        Informational(("INITIAL-CONTACT",)),
        QuickMode(error="stopped after message 1"),
        Informational(("NO-PROPOSAL-CHOSEN",)),
    ]
    assert ladder(net) == [
        *main_mode("seil", "sun"),
        f"seil: {INFORMATIONAL}",
        f"seil: {QUICK}",
        f"sun: {INFORMATIONAL}",
    ]
    asked, refusal = messages(net)[-2:]
    (transform,) = asked.transforms
    assert transform.id == ESP_AES
    assert transform.number_of(IpsecAttribute.KEY_LENGTH) == 256
    assert transform.number_of(IpsecAttribute.AUTHENTICATION_ALGORITHM) == 1
    assert asked.size == 172
    assert refusal.sealed
    assert refusal.only(Notification).notify_type == NotifyType.NO_PROPOSAL_CHOSEN
    nothing_is_installed(net)
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.PROPOSAL, "seil", "sun")
    assert found.exchange == "Quick Mode"
    assert [row.what for row in found.differing] == ["integrity"]
    assert found.difference("integrity") is not None
    assert {one.node: one.setting for one in found.remedies} == {
        "seil": Setting.CHILD_PROPOSALS,
        "sun": Setting.CHILD_PROPOSALS,
    }


@either_front_end
@scenario(
    "phase2-mismatch-mended",
    "With esp=aes256-md5 on strongSwan's side the same SEIL comes up.",
    rfc="2409 5.5",
    seed="002",
)
def test_phase2_mismatch_mended(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(*MD5), swan={"esp": "aes256-md5!"})
    established(net)
    crosses(net)
    assert ladder(net)[-3:] == quick_mode("seil", "sun")
    used = {packet.secret.integrity for _, packet in esp(net) if packet.secret}
    assert {one.name for one in used if one} == {"HMAC_MD5_96"}
    for node in with_kernel_esp(net):
        assert algorithms(net, node) == {"cbc(aes)", "hmac(md5)"}


@either_front_end
@scenario(
    "proxy-id-mismatch",
    "A SEIL without proxy-id asks for everything, gets less, and takes that for a mistake.",
    rfc="2407 4.6.2",
    seed="002",
)
def test_proxy_id_mismatch(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(without="proxy-id"))
    net.wire("wan").await_ike("QUICK_MODE", sender="sun")
    # It does not help to try again, and by then it has made up its mind about the first.
    assert "mismatched ID was returned" in net.seil.fails_to_initiate(TUNNEL)
    said = messages(net, exchange=QUICK)
    assert [one.sender for one in said] == ["seil", "sun"] * (len(said) // 2)
    asked, answer = said[:2]
    for message, networks in ((asked, [EVERYTHING, EVERYTHING]), (answer, [LEFT, RIGHT])):
        ends = message.all(Identification)
        assert [one.id_type for one in ends] == [IdType.IPV4_ADDR_SUBNET] * 2
        assert [one.data for one in ends] == networks
    assert (asked.sender, answer.sender) == ("seil", "sun")
    assert asked.message_id == answer.message_id
    with net.seil.console() as console:
        assert "mismatched ID was returned." in [line.text for line in console.log(1970)]
    nothing_is_installed(net)
    found = net.diagnosis()
    assert found.cause is Cause.SELECTORS
    assert found.difference("traffic of seil") == ("192.168.1.0/24", "0.0.0.0/0")
    assert found.difference("traffic of sun") == ("192.168.2.0/24", "0.0.0.0/0")
    assert {one.node for one in found.remedies} == {"seil", "sun"}
