# SPDX-License-Identifier: GPL-2.0-or-later
"""Aggressive Mode with a pre-shared key: why strongSwan refuses it, and what it is when forced."""

from __future__ import annotations

from harness.capture.exchanges import AggressiveMode, Informational, QuickMode
from harness.capture.psk_guess import guess
from harness.ike.constants_v1 import NotifyType, PayloadType
from harness.ike.payloads_v1 import Notification
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.wishes import Setting
from scenarios.ikev1_seil.agreements import SECRET, seil_file, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    AGGRESSIVE,
    INFORMATIONAL,
    crosses,
    established,
    ladder,
    messages,
    nothing_is_installed,
    quick_mode,
)

MODE = "interface.ipsec0.ike.exchange-mode : aggressive"
I_DO_NOT_CARE = {"charon.i_dont_care_about_security_and_use_aggressive_mode_psk": "yes"}
WORDS = ("123456", "password", "letmein", "ikelab", SECRET, "never tried")


@either_front_end
@scenario(
    "aggressive-refused",
    "strongSwan refuses Aggressive Mode with a pre-shared key, one message each.",
    rfc="2409 5.4",
    seed="002",
)
def test_aggressive_refused(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(MODE))
    net.wire("wan").await_ike("INFORMATIONAL", sender="sun")
    assert net.wire("wan").exchanges == [
        AggressiveMode(error="stopped after message 1"),
        Informational(("AUTHENTICATION-FAILED",)),
    ]
    assert ladder(net) == [f"seil: {AGGRESSIVE}", f"sun: {INFORMATIONAL}"]
    asked, refusal = messages(net)
    kinds = PayloadType
    assert asked.kinds[:4] == [kinds.SA, kinds.KE, kinds.NONCE, kinds.ID]
    assert (asked.size, refusal.size) == (568, 56)
    assert not refusal.sealed
    assert refusal.only(Notification).notify_type == NotifyType.AUTHENTICATION_FAILED == 24
    nothing_is_installed(net)
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.EXCHANGE_MODE, "seil", "sun")
    assert Setting.AGGRESSIVE_PSK in {one.setting for one in found.remedies}
    # Why it is refused, which aggressive-forced proves.
    assert any("can try secrets offline" in note for note in found.notes)


@either_front_end
@scenario(
    "aggressive-forced",
    "Forced, Aggressive Mode takes three messages, the first two of which give the key away.",
    rfc="2409 5.4",
    seed="002",
)
def test_aggressive_forced(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(
        lab,
        seil,
        sun,
        router=seil_file(MODE),
        swan={"aggressive": "yes"},
        options=I_DO_NOT_CARE,
    )
    established(net)
    crosses(net)
    assert net.wire("wan").exchanges == [
        AggressiveMode(),
        Informational(("INITIAL-CONTACT",)),
        QuickMode(),
    ]
    assert ladder(net) == [
        f"seil: {AGGRESSIVE}",
        f"sun: {AGGRESSIVE}",
        f"seil: {AGGRESSIVE}",
        f"seil: {INFORMATIONAL}",
        *quick_mode("seil", "sun"),
    ]
    said = messages(net)
    # Even the third is in clear with a pre-shared key, and it is as long as a SEIL's.
    assert [one.sealed for one in said[:3]] == [False] * 3
    assert said[2].size == 136
    entries = net.wire("wan").decryption.entries
    found = guess(entries, (word.encode() for word in WORDS))
    assert found is not None
    assert (found.secret, found.tried) == (SECRET.encode(), 1 + WORDS.index(SECRET))
    assert found.frames == tuple(message.number for message in net.wire("wan").ike[:2])
    assert guess(entries, (word.encode() for word in WORDS if word != SECRET)) is None
