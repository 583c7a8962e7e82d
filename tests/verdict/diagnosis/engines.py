# SPDX-License-Identifier: GPL-2.0-or-later
"""What two engines sent each other, as a capture; their keys, and what they are configured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from harness.capture.captured import CapturedFrame
from harness.capture.decryption import decrypt
from harness.capture.secrets import IkeV1Secret, IkeV2Secret, Secrets, SharedSecret
from harness.ike.address import Datagram
from harness.ike.v1 import events as events_v1
from harness.ike.v2 import events as events_v2
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.engine import wishes_v1, wishes_v2
from harness.verdict.diagnosis.explanation import diagnose
from harness.verdict.diagnosis.findings import Diagnosis
from harness.verdict.diagnosis.wishes import Wishes
from tests.capture.packets import ethernet, ip, udp
from tests.ike.v1 import pair as v1
from tests.ike.v2 import pair as v2

START = datetime(2026, 1, 1, tzinfo=UTC)


class Tap:
    """Everything that the two engines of a pair send, with the time of each."""

    def __init__(self, pair: v1.Pair | v2.Pair) -> None:
        self.pair = pair
        self.sent: list[tuple[float, str, Datagram]] = []
        ends = (pair.a, pair.b) if isinstance(pair, v1.Pair) else (pair.moon, pair.sun)
        self.ends = dict(zip(("moon", "sun"), ends, strict=True))
        for name, end in self.ends.items():
            end.endpoint.datagrams = self._noting(name, end.endpoint.datagrams)

    def _noting(self, name, take):
        def datagrams():
            found = take()
            self.sent += [(self.pair.now, name, one) for one in found]
            return found

        return datagrams

    @property
    def frames(self) -> list[CapturedFrame]:
        """What a wire between the two would have recorded."""
        return [
            CapturedFrame(
                number,
                "wan",
                sender,
                "sun" if sender == "moon" else "moon",
                int((START + timedelta(seconds=now)).timestamp() * 1e9) + number * 1000,
                framed(datagram),
            )
            for number, (now, sender, datagram) in enumerate(self.sent, 1)
        ]

    @property
    def secrets(self) -> Secrets:
        """The keys of both ends' IKE SAs."""
        found = Secrets()
        for end in self.ends.values():
            told = end.events if isinstance(self.pair, v1.Pair) else end.seen
            found = found.joined(secrets_of(told))
        return found

    @property
    def wishes(self) -> tuple[Wishes, ...]:
        """What both ends are configured with."""
        found = []
        for name, end in self.ends.items():
            (connection,) = end.endpoint.connections
            for child in connection.children or (None,):
                if isinstance(self.pair, v1.Pair):
                    found.append(wishes_v1(connection, name, child=child))
                else:
                    address = {"moon": v2.MOON, "sun": v2.SUN}[name].host
                    found.append(wishes_v2(connection, name, address, child=child))
        return tuple(found)

    def circumstances(self, **changes: object) -> Circumstances:
        """All that a diagnosis looks at; `frames` and `secrets` may be others."""
        frames = changes.pop("frames", self.frames)
        secrets = changes.pop("secrets", self.secrets)
        wishes = changes.pop("wishes", self.wishes)
        secrets = secrets.joined(Secrets(shared=_shared(wishes)))
        decryption = decrypt(frames, secrets)
        around = Circumstances(decryption.entries, secrets.joined(decryption.secrets), wishes)
        return replace(around, **changes)

    def diagnoses(self, **changes: object) -> tuple[Diagnosis, ...]:
        """Every failure of the capture."""
        return diagnose(self.circumstances(**changes))

    def diagnosis(self, **changes: object) -> Diagnosis:
        """The only failure."""
        (found,) = self.diagnoses(**changes)
        return found


def _shared(wishes: Sequence[Wishes]) -> tuple[SharedSecret, ...]:
    return tuple(SharedSecret(one.secret, one.node) for one in wishes if one.secret is not None)


def framed(datagram: Datagram) -> bytes:
    source, destination = datagram.source, datagram.destination
    return ethernet(
        ip(udp(datagram.data, source.port, destination.port), 17, source.host, destination.host)
    )


def secrets_of(events: Sequence[object]) -> Secrets:
    first, second = [], []
    for event in events:
        match event:
            case events_v1.IsakmpKeysDerived():
                keys = event.keys
                first.append(
                    IkeV1Secret(event.cookie_i, event.cipher_key, b"", keys.skeyid, keys.a)
                )
            case events_v2.IkeKeysDerived():
                keys, suite = event.secrets, event.suite
                second.append(
                    IkeV2Secret(
                        event.spi_i, event.spi_r, keys.ei, keys.er, keys.ai, keys.ar,
                        suite.encryption, suite.integrity, pi=keys.pi, pr=keys.pr,
                    )
                )  # fmt: skip
    return Secrets(tuple(first), tuple(second))


def tried_v1(a=None, b=None, *, later: float = 0.0, prepare=None, child="lan") -> Tap:
    """Moon (the SEIL of the tests) initiates IKEv1; `later` lets so many seconds pass."""
    pair = v1.Pair(a, b)
    pair.now = 0.0
    tap = Tap(pair)
    if prepare is not None:
        prepare(pair)
    pair.initiate(child or pair.a.endpoint.connections[0].children[0].name)
    pair.run()
    if later:
        pair.advance(later)
    return tap


def tried_v2(moon=None, sun=None, *, later: float = 0.0, settings=None, prepare=None) -> Tap:
    """Moon initiates IKEv2."""
    pair = v2.Pair((moon or v2.MOON_NET,), (sun or v2.SUN_NET,), settings=settings)
    tap = Tap(pair)
    if prepare is not None:
        prepare(pair)
    pair.up()
    if later:
        pair.rest(later)
    return tap
