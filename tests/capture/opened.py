# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests ask of an entry, and the entries of packets with keys."""

from __future__ import annotations

from collections.abc import Sequence

from harness.capture.decryption import decrypt
from harness.capture.entries import Entry, Ike, Ipsec
from harness.capture.secrets import IkeV2Secret, IpsecSecret, Secrets
from tests.capture.packets import frames


def ike_of(entry: Entry) -> Ike:
    assert isinstance(entry.content, Ike)
    return entry.content


def ipsec_of(entry: Entry) -> Ipsec:
    assert isinstance(entry.content, Ipsec)
    return entry.content


def opened(packets: Sequence[bytes], *secrets: IkeV2Secret | IpsecSecret) -> list[Entry]:
    """What becomes of the packets with these keys."""
    store = Secrets(
        ike_v2=tuple(one for one in secrets if isinstance(one, IkeV2Secret)),
        ipsec=tuple(one for one in secrets if isinstance(one, IpsecSecret)),
    )
    return list(decrypt(frames(packets), store).entries)
