# SPDX-License-Identifier: GPL-2.0-or-later
"""Informational Exchanges: one message with notifies or deletes (RFC 2409 5.7, RFC 2408 3.14).

Once there are keys the message is encrypted behind a HASH, before that it is in clear. Nothing
acknowledges it. The SPI of an ISAKMP SA is both cookies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.ike.constants_v1 import ExchangeType, Flag, NotifyType, ProtocolId
from harness.ike.payload import Payload, every
from harness.ike.payloads_v1 import Delete, Notification
from harness.ike.v1.events import NotifyReceived, PeerAlive
from harness.ike.v1.isakmp_sa import authentic_payloads, is_encrypted
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored
from harness.ike.wire import VERSION_1, Message

if TYPE_CHECKING:
    from harness.ike.v1.session import Session

FIRST_STATUS = 16384
_SEQUENCE = 4


def delete_isakmp(cookies: bytes) -> Delete:
    """That the ISAKMP SA with these cookies is deleted."""
    return Delete(ProtocolId.ISAKMP, (cookies,))


def delete_esp(spis: Iterable[bytes]) -> Delete:
    """That the sender receives no ESP with these SPIs any more."""
    return Delete(ProtocolId.IPSEC_ESP, tuple(spis))


def about_isakmp(kind: int, cookies: bytes, data: bytes = b"") -> Notification:
    """A notify about the ISAKMP SA with these cookies."""
    return Notification(kind, data, ProtocolId.ISAKMP, cookies)


def liveness(kind: int, cookies: bytes, sequence: int) -> Notification:
    """R-U-THERE or R-U-THERE-ACK (RFC 3706 5.3)."""
    return about_isakmp(kind, cookies, sequence.to_bytes(_SEQUENCE, "big"))


def send(session: Session, payloads: tuple[Payload, ...], now: float) -> None:
    """Send an Informational of these payloads, protected where there are keys for it."""
    negotiation = session.negotiation
    message_id = session.new_message_id()
    sa = negotiation.sa if session.protects else None
    flags = Flag.ENCRYPTION if sa is not None else Flag(0)
    message = Message(
        VERSION_1,
        ExchangeType.INFORMATIONAL,
        negotiation.cookie_i,
        negotiation.cookie_r,
        message_id,
        flags,
        payloads,
    )
    if sa is None:
        session.send(message, b"", None, now)
        return
    iv = sa.first_iv(negotiation.iv, message_id)
    session.send(message, iv, sa.informational_hash(message_id), now)


def receive(session: Session, message: Message) -> tuple[Payload, ...]:
    """The payloads of a received Informational; raises `Ignored` unless they are authentic.

    Without the encryption flag they are anybody's: `handle` treats them so.
    """
    negotiation = session.negotiation
    if not is_encrypted(message):
        return message.payloads
    if negotiation.sa is None:
        raise Ignored("an encrypted Informational before there are keys")
    opened = negotiation.sa.open(
        message, negotiation.sa.first_iv(negotiation.iv, message.message_id)
    )
    return authentic_payloads(opened, negotiation.sa.informational_hash(message.message_id))


def handle(session: Session, payloads: tuple[Payload, ...], protected: bool, now: float) -> None:
    """Do what notifies and deletes ask for, as far as who sent them may ask."""
    for notify in every(payloads, Notification):
        session.host.emit(
            NotifyReceived(
                session.cookie,
                notify.notify_type,
                notify.protocol,
                notify.spi[:16],
                notify.data[:256],
                protected,
            )
        )
        if notify.notify_type < FIRST_STATUS:
            session.peer_refused(notify, protected, now)
        elif protected:
            _status(session, notify, now)
    if protected and session.established:
        for delete in every(payloads, Delete):
            _delete(session, delete, now)


def _status(session: Session, notify: Notification, now: float) -> None:
    match notify.notify_type:
        case NotifyType.INITIAL_CONTACT:
            session.peer_has_no_other(now)
        case NotifyType.CONNECTED if notify.protocol == ProtocolId.IPSEC_ESP:
            session.host.connected(session, notify.spi)
        case NotifyType.R_U_THERE if len(notify.data) == _SEQUENCE:
            sequence = int.from_bytes(notify.data, "big")
            cookies = session.negotiation.cookies
            send(session, (liveness(NotifyType.R_U_THERE_ACK, cookies, sequence),), now)
        case NotifyType.R_U_THERE_ACK if len(notify.data) == _SEQUENCE:
            sequence = int.from_bytes(notify.data, "big")
            if session.upkeep.liveness.answered(sequence):
                session.host.emit(PeerAlive(session.cookie, sequence))
                session.upkeep.watch_peer(now)


def _delete(session: Session, delete: Delete, now: float) -> None:
    """Forget what the peer deleted; an ESP SPI in it is one on which the peer received."""
    match delete.protocol:
        case ProtocolId.IPSEC_ESP:
            session.host.peer_deleted(session, delete.spis, now)
        case ProtocolId.ISAKMP:
            if session.negotiation.cookies in delete.spis:
                session.close(Reason.DELETED_BY_PEER, now)
            else:
                session.host.peer_deleted_isakmp(session, delete.spis, now)
