# SPDX-License-Identifier: GPL-2.0-or-later
"""What two engines of harness.ike said to each other, as a capture with the keys of one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.capture.captured import CapturedFrame
from harness.capture.decryption import Decryption, decrypt
from harness.capture.secrets import IkeV1Secret, IkeV2Secret, Secrets, SharedSecret
from harness.ike.address import Datagram
from harness.ike.v1.events import IsakmpKeysDerived
from harness.ike.v2.events import IkeKeysDerived
from tests.capture.packets import frames, ip, udp
from tests.ike.v1 import pair as v1
from tests.ike.v2 import pair as v2


@dataclass(frozen=True)
class Overheard:
    """Every datagram of two engines as a frame, and what decrypts them."""

    frames: tuple[CapturedFrame, ...]
    secrets: Secrets

    def knowing(self, *shared: SharedSecret) -> Overheard:
        """The same with the pre-shared keys of these holders."""
        return replace(self, secrets=replace(self.secrets, shared=shared))

    def decrypted(self) -> Decryption:
        return decrypt(self.frames, self.secrets)


def overheard_v2(pair: v2.Pair) -> list[Datagram]:
    """What will be said from now on, as it is delivered."""
    heard: list[Datagram] = []

    def listen(datagram: Datagram) -> Datagram:
        heard.append(datagram)
        return datagram

    pair.translate = listen
    return heard


def of_v2(heard: Iterable[Datagram], end: v2.End) -> Overheard:
    secrets = [
        IkeV2Secret(
            one.spi_i,
            one.spi_r,
            one.secrets.ei,
            one.secrets.er,
            one.secrets.ai,
            one.secrets.ar,
            one.suite.encryption,
            one.suite.integrity,
            pi=one.secrets.pi,
            pr=one.secrets.pr,
        )
        for one in end.events(IkeKeysDerived)
    ]
    return Overheard(_frames(heard), Secrets(ike_v2=tuple(secrets)))


def of_v1(pair: v1.Pair) -> Overheard:
    secrets = [
        IkeV1Secret(one.cookie_i, one.cipher_key, skeyid=one.keys.skeyid, skeyid_a=one.keys.a)
        for one in pair.a.of(IsakmpKeysDerived)
    ]
    return Overheard(_frames(pair.sent), Secrets(ike_v1=tuple(secrets)))


def _frames(heard: Iterable[Datagram]) -> tuple[CapturedFrame, ...]:
    packets = [
        ip(
            udp(one.data, one.source.port, one.destination.port),
            17,
            one.source.host,
            one.destination.host,
        )
        for one in heard
    ]
    return tuple(frames(packets))
