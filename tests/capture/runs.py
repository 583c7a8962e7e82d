# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of two charons (strongSwan 6.0.1) in the lab, as its evidence has them.

Each rekeys a CHILD_SA from both ends under traffic, those of IKEv2 also the IKE SA, and ends by
deleting the IKE SA. `net-net` is 10.1.0.0/16 === 10.2.0.0/16; ESP is userspace's, in UDP.
`ikev2-kernel` is net2net-rekey-psk in the lab kernel, whose ESP is its own and in IP.
"""

from functools import cache
from pathlib import Path

from harness.capture.captured import Captured, load
from harness.capture.decryption import Decryption, decrypt
from harness.capture.secrets import Reading
from harness.capture.strongswan_log import read_log

FOLDER = Path(__file__).parent / "captures"
RUNS = ("ikev1-psk", "ikev1-certificates", "ikev2-psk", "ikev2-certificates", "ikev2-kernel")


@cache
def captured(run: str) -> Captured:
    return load(FOLDER / run / "capture.pcapng")


@cache
def keys(run: str, node: str) -> Reading:
    return read_log(FOLDER / run / node / "charon-keys.log")


@cache
def decrypted(run: str, node: str = "moon") -> Decryption:
    return decrypt(captured(run).frames, keys(run, node).secrets)
