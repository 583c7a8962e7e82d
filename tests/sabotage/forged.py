# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE messages of a run changed on the wire, sealed again with the run's own keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from harness.capture.captured import CapturedFrame, of_recording
from harness.capture.decryption import decrypt
from harness.capture.exchanges import FIRST_STATUS_TYPE
from harness.capture.frames import Isakmp, dissect
from harness.capture.recording import Frame
from harness.capture.secrets import IkeV2Secret
from harness.ike.constants_v2 import ExchangeType, Flag
from harness.ike.encrypted_payload import open_payloads, seal_payloads, sealed_size
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Delete, Encrypted, Notify
from harness.ike.protection import protection
from harness.ike.wire import (
    Message,
    decode,
    decode_payloads,
    encode,
    encode_payloads,
    sealed_offset,
    sealed_prefix,
)
from harness.lab.net import Net
from tests.capture.packets import ip, udp

Change = Callable[[tuple[Payload, ...]], Iterable[Payload]]
"""From the payloads of a message to what is to stand in their place."""


def forge(net: Net, exchange: ExchangeType, sender: str, change: Change, nth: int = 1) -> None:
    """Change the payloads of the sender's nth message of an exchange, in clear or inside SK."""

    def matches(frame: Frame) -> bool:
        header = dissect(frame.data).carried
        return isinstance(header, Isakmp) and header.exchange_type == exchange

    def forged(data: bytes) -> bytes:
        headers = dissect(data)
        header, ports = headers.carried, headers.ports
        assert isinstance(header, Isakmp)
        assert ports is not None
        message = _changed(header.data, lambda: _secret(net, data), change)
        marked = bytes(4) + message if header.marked else message
        return data[:14] + ip(udp(marked, *ports), 17, headers.source, headers.destination)

    net.wire("wan").replace(matches, forged, sender=sender, nth=nth)


def _secret(net: Net, data: bytes) -> IkeV2Secret:
    """The keys of the SA that the message in a frame belongs to."""
    header = dissect(data).carried
    assert isinstance(header, Isakmp)
    before = of_recording(net.network.wire("wan").frames)
    this = CapturedFrame(len(before) + 1, "wan", "", "", 0, data)
    proved = decrypt((*before, this), net.secrets).secrets.ike_v2
    spis = (header.initiator_spi, header.responder_spi)
    return next(one for one in proved if (one.spi_i, one.spi_r) == spis)


def _changed(datagram: bytes, secret_of: Callable[[], IkeV2Secret], change: Change) -> bytes:
    message = decode(datagram)
    if message.sealed is None:
        return encode(replace(message, payloads=tuple(change(message.payloads))))
    secret = secret_of()
    assert secret.encryption is not None
    keys = (secret.ei, secret.ai) if message.flags & Flag.INITIATOR else (secret.er, secret.ar)
    ready = protection(secret.encryption, keys[0], secret.integrity, keys[1])
    body = datagram[sealed_offset(message, len(datagram)) :]
    plaintext = open_payloads(ready, datagram[: len(datagram) - len(body)], body)
    payloads, _ = decode_payloads(2, message.sealed.first_payload, plaintext)
    first, octets = encode_payloads(change(payloads))
    whole: Message = replace(message, payloads=(*message.payloads[:-1], Encrypted(first, b"")))
    prefix = sealed_prefix(whole, sealed_size(ready, len(octets)))
    return prefix + seal_payloads(ready, prefix, octets, body[: ready.iv_size])


def with_notify(notify_type: int) -> Change:
    """A change that gives every error notify of a message another type."""

    def change(payloads: tuple[Payload, ...]) -> Iterable[Payload]:
        for one in payloads:
            error = isinstance(one, Notify) and one.notify_type < FIRST_STATUS_TYPE
            yield replace(one, notify_type=notify_type) if error else one  # type: ignore[type-var]

    return change


def with_deleted(*spis: bytes, protocol: int) -> Change:
    """A change that lets a message delete these SAs in place of what it deletes."""

    def change(payloads: tuple[Payload, ...]) -> Iterable[Payload]:
        for one in payloads:
            yield Delete(protocol, spis) if isinstance(one, Delete) else one

    return change
