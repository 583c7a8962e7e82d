# SPDX-License-Identifier: GPL-2.0-or-later
"""What an RFC forbids in a message that could be read all the same.

The codec keeps whatever a sender wrote, since a decryptor must see it. A daemon must not accept
all of it: this lists what it has to refuse (INVALID_SYNTAX in IKEv2, PAYLOAD-MALFORMED or
BAD-PROPOSAL-SYNTAX in IKEv1). Reserved bits are none in IKEv2, whose receivers ignore them; in
IKEv1 a message is discarded for each of them (RFC 2408 5.2 and 5.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v1 import Flag as FlagV1
from harness.ike.payload import Payload, RawPayload
from harness.ike.proposals import Proposal
from harness.ike.wire import Message

_FLAGS_V1 = int(FlagV1.ENCRYPTION | FlagV1.COMMIT | FlagV1.AUTHENTICATION_ONLY)
_PRIVATE_V1 = 128
"""From here on a payload type may be anybody's (RFC 2408 3.1)."""


def violations(message: Message) -> tuple[str, ...]:
    """One sentence for each thing in a decoded message that its RFC forbids, in order."""
    payloads = payload_violations(message.payloads, major_version=message.major_version)
    return (*_of_header(message), *payloads)


def payload_violations(payloads: Iterable[Payload], *, major_version: int = 2) -> tuple[str, ...]:
    """The same for payloads alone, such as those that were decrypted."""
    return tuple(
        f"payload {position}: {found}"
        for position, payload in enumerate(payloads, 1)
        for found in (
            *_of_payload(payload),
            *(_reserved_v1(payload) if major_version == 1 else ()),
        )
    )


def _of_header(message: Message) -> Iterator[str]:
    if message.length is not None:
        yield f"the header says {message.length} octets, and the datagram has another number"
    elif message.trailing and message.major_version in (1, 2):
        yield f"{len(message.trailing)} octets stand behind the last payload"
    if message.major_version == 2 and message.initiator_spi == bytes(8):
        yield "the initiator's SPI is zero (RFC 7296 3.1)"
    if message.major_version == 1:
        if message.initiator_spi == bytes(8):
            yield "the initiator's cookie is zero (RFC 2408 2.5.3)"
        if message.version & 0x0F:
            yield f"the minor version is {message.version & 0x0F}, later than 0 (RFC 2408 3.1)"
        if message.flags & ~_FLAGS_V1:
            yield f"flags 0x{message.flags:02x} have bits that mean nothing (RFC 2408 3.1)"


def _reserved_v1(payload: Payload) -> Iterator[str]:
    """What RFC 2408 5.3 has a receiver check in each payload header."""
    if payload.flags:
        yield f"its reserved octet is 0x{payload.flags:02x} (RFC 2408 5.3)"
    if isinstance(payload, RawPayload) and payload.payload_type < _PRIVATE_V1:
        yield f"type {payload.payload_type} is no payload's (RFC 2408 5.3)"
    if isinstance(payload, v1.SecurityAssociation):
        for proposal in payload.proposals:
            if proposal.reserved or any(one.reserved for one in proposal.transforms):
                yield f"a reserved octet of proposal {proposal.number} is not zero (RFC 2408 5.3)"


def _of_payload(payload: Payload) -> Iterator[str]:
    match payload:
        case v1.SecurityAssociation() | v2.SecurityAssociation():
            if not payload.proposals:
                yield "the SA has no proposal that can be read"
            for proposal in payload.proposals:
                yield from _of_proposal(proposal)
        case v1.Delete() | v2.Delete():
            if payload.count is not None:
                yield f"the Delete counts {payload.count} SPIs and has {len(payload.spis)}"
            if payload.extra:
                yield f"{len(payload.extra)} octets stand behind the Delete's SPIs"
        case v2.TrafficSelectors():
            if payload.count is not None:
                yield f"the TS counts {payload.count} selectors and has {len(payload.selectors)}"
            if not payload.selectors:
                yield "the TS has no selector (RFC 7296 3.13)"
        case v1.Nonce():
            if not 8 <= len(payload.data) <= 256:
                yield f"the nonce has {len(payload.data)} octets, not 8 to 256 (RFC 2409 5)"
        case v2.Nonce():
            if not 16 <= len(payload.data) <= 256:
                yield f"the nonce has {len(payload.data)} octets, not 16 to 256 (RFC 7296 3.9)"
        case v2.EncryptedFragment():
            if not 1 <= payload.number <= payload.total:
                yield f"fragment {payload.number} of {payload.total} (RFC 7383 2.5)"


def _of_proposal(
    proposal: Proposal[v1.Transform] | Proposal[v2.Transform],
) -> Iterator[str]:
    if proposal.transform_count is not None:
        yield (
            f"proposal {proposal.number} counts {proposal.transform_count} transforms"
            f" and has {len(proposal.transforms)}"
        )
    if proposal.following is not None:
        yield f"proposal {proposal.number} says {proposal.following} of what follows it"
    transforms: tuple[v1.Transform | v2.Transform, ...] = (*proposal.transforms,)
    for position, transform in enumerate(transforms, 1):
        if transform.following is not None:
            yield (
                f"transform {position} of proposal {proposal.number}"
                f" says {transform.following} of what follows it"
            )
