# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_INTERMEDIATE with additional key exchanges, as either end (RFC 9242, RFC 9370 2.2.2)."""

from __future__ import annotations

from harness.ike.authentication import intermediate_auth
from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.key_exchange import InvalidKeyExchangeData, Share, initiate, respond
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import KeyExchange, Notify
from harness.ike.transforms import KeyExchange as Method
from harness.ike.v2.events import Reason
from harness.ike.v2.host import Answer
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.keys import KeySet
from harness.ike.v2.message import Arrival, Sent
from harness.ike.v2.proof import handshake_of
from harness.ike.v2.sealing import authenticated_part
from harness.ike.wire import encode_payloads


class IntermediateTask:
    """One IKE_INTERMEDIATE with the key exchange of one ADDKE transform."""

    exchange = int(ExchangeType.IKE_INTERMEDIATE)
    outlives = False

    def __init__(self, kind: int, method: Method) -> None:
        self.kind = kind
        self._method = method
        self._share: Share | None = None

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """KE with this end's public value."""
        self._share = initiate(self._method, drawing(sa.host.draw, Purpose.SECRET))
        return (KeyExchange(self._method.id, self._share.public),)

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Mix the shared secret into the keys."""
        error, ke = arrival.error, arrival.ke
        if error is not None:
            sa.fail(Reason.REFUSED, now, error.notify_type)
            return
        if ke is None or ke.group != self._method.id or self._share is None:
            sa.fail(Reason.UNACCEPTABLE_ANSWER, now)
            return
        try:
            shared = self._share.agree(ke.data)
        except InvalidKeyExchangeData as invalid:
            sa.fail(Reason.INVALID_SYNTAX, now, detail=str(invalid))
            return
        handshake, keys = handshake_of(sa)
        if sa.last_request is not None:
            handshake.intermediate_i = _sent_auth(
                keys, keys.keys.pi, handshake.intermediate_i, sa.last_request
            )
        handshake.intermediate_r = _received_auth(
            keys, keys.keys.pr, handshake.intermediate_r, arrival
        )
        handshake.intermediates += 1
        sa.use_keys(keys.after_key_exchange(shared))

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """Nothing is left to undo."""


def answer_intermediate(sa: IkeSa, arrival: Arrival, now: float) -> Answer | None:
    """The KE that answers; the keys change once the response is sealed with the old ones."""
    if sa.state is not IkeState.HALF_OPEN or sa.handshake is None:
        return Answer((Notify(NotifyType.INVALID_SYNTAX),))
    handshake, keys = handshake_of(sa)
    ke = arrival.ke
    if handshake.intermediates >= len(handshake.additional) or ke is None:
        return _refused(sa, now)
    _, method = handshake.additional[handshake.intermediates]
    if ke.group != method.id:
        return _refused(sa, now)
    try:
        public, shared = respond(method, ke.data, drawing(sa.host.draw, Purpose.SECRET))
    except InvalidKeyExchangeData:
        return _refused(sa, now)

    def then(sent: Sent) -> None:
        handshake.intermediate_i = _received_auth(
            keys, keys.keys.pi, handshake.intermediate_i, arrival
        )
        handshake.intermediate_r = _sent_auth(keys, keys.keys.pr, handshake.intermediate_r, sent)
        handshake.intermediates += 1
        sa.use_keys(keys.after_key_exchange(shared))

    return Answer((KeyExchange(method.id, public),), then)


def _refused(sa: IkeSa, now: float) -> Answer:
    def then(sent: Sent) -> None:
        sa.fail(Reason.INVALID_SYNTAX, now)

    return Answer((Notify(NotifyType.INVALID_SYNTAX),), then)


def _sent_auth(keys: KeySet, sk_p: bytes, previous: bytes, sent: Sent) -> bytes:
    kind, plaintext = encode_payloads(sent.plain.message.payloads)
    part = authenticated_part(sent.plain.message, kind, len(plaintext))
    return intermediate_auth(keys.prf, sk_p, previous, part, plaintext)


def _received_auth(keys: KeySet, sk_p: bytes, previous: bytes, arrival: Arrival) -> bytes:
    part = authenticated_part(
        arrival.plain.message, arrival.first_payload, len(arrival.plaintext), arrival.sk_flags
    )
    return intermediate_auth(keys.prf, sk_p, previous, part, arrival.plaintext)
