# SPDX-License-Identifier: GPL-2.0-or-later
"""Aggressive Mode: three messages, identities in clear (RFC 2409 5.1 and 5.4).

    SA, KE, Ni, IDii, VID  ->
                           <-  SA, KE, Nr, IDir, HASH_R, VID, NAT-D
    HASH_I, NAT-D  ->                               (with signatures: [CERT,] SIG for HASH)

With a preshared key its second message lets anybody guess the key, so that a responder refuses it
unless its configuration says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.ike.constants_v1 import ExchangeType
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import SecurityAssociation
from harness.ike.v1 import phase1
from harness.ike.v1.main_mode import initiator_vendor_ids, responder_vendor_ids
from harness.ike.v1.phase1 import Negotiation, Step, needed
from harness.ike.v1.phase1_proposals import Selection, check_answer, choices, offer

State = Callable[[tuple[Payload, ...]], Step]


class AggressiveMode:
    """One Aggressive Mode; a responder's begins with the choice that was already made."""

    exchange: int = ExchangeType.AGGRESSIVE

    def __init__(self, negotiation: Negotiation, selection: Selection | None = None) -> None:
        self.negotiation = negotiation
        self._selection = selection
        self._next: State = self._take_answer if negotiation.initiator else self._take_offer

    @property
    def awaits_encrypted(self) -> bool:
        """The third message may be encrypted and need not (RFC 2409 5.4)."""
        return False

    @property
    def repeats(self) -> bool:
        """Both ends: the responder waits for the third message."""
        return True

    def start(self) -> Step:
        """Message 1; the group cannot be negotiated, so that only the first one is offered."""
        n = self.negotiation
        method = n.connection.credentials.method
        own = choices(n.connection.phase1, method)
        n.offer = offer(n.connection.phase1, method)
        n.choice = own[0]
        phase1.own_share(n)
        return Step(
            (
                n.offer,
                *phase1.share_payloads(n),
                n.connection.local_identity.payload(),
                *phase1.certificate_request(n),
                *initiator_vendor_ids(n, with_own=False),
            )
        )

    def receive(self, payloads: tuple[Payload, ...]) -> Step:
        """See Handshake."""
        return self._next(payloads)

    def _take_offer(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 1, answered with message 2."""
        n, selection = self.negotiation, self._selection
        assert selection is not None
        n.offer, n.choice = needed(payloads, SecurityAssociation), selection.choice
        phase1.take_vendor_ids(n, payloads)
        phase1.peer_share(n, payloads)
        phase1.own_share(n)
        phase1.derive(n)
        n.peer = phase1.peer_identity(payloads)
        self._next = self._finish_responder
        return Step(
            (
                selection.answer,
                *phase1.share_payloads(n),
                n.connection.local_identity.payload(),
                *phase1.own_authentication(n),
                *phase1.certificate_request(n),
                *responder_vendor_ids(n),
                *phase1.nat_payloads(n),
            )
        )

    def _take_answer(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 2, answered with message 3."""
        n = self.negotiation
        assert n.offer is not None
        n.choice = check_answer(n.offer, needed(payloads, SecurityAssociation))
        phase1.take_vendor_ids(n, payloads)
        phase1.peer_share(n, payloads)
        phase1.derive(n)
        phase1.check_peer(n, payloads, phase1.peer_identity(payloads))
        answer = (*phase1.own_authentication(n), *phase1.nat_payloads(n))
        phase1.detect_nat(n, payloads)
        return Step(answer, done=True)

    def _finish_responder(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 3."""
        n = self.negotiation
        assert n.peer is not None
        phase1.check_peer(n, payloads, n.peer)
        phase1.detect_nat(n, payloads)
        return Step(done=True)
