# SPDX-License-Identifier: GPL-2.0-or-later
"""Main Mode: six messages in three pairs, identities encrypted (RFC 2409 5.1 and 5.4).

SA, VID  ->            <-  SA, VID
KE, Ni, NAT-D  ->      <-  KE, Nr, NAT-D
IDii, HASH_I*  ->      <-  IDir, HASH_R*        (with signatures: [CERT,] SIG for HASH)
"""

from __future__ import annotations

from collections.abc import Callable

from harness.ike import vendor_ids
from harness.ike.constants_v1 import ExchangeType
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import SecurityAssociation, VendorId
from harness.ike.v1 import phase1
from harness.ike.v1.nat_traversal import OFFERED
from harness.ike.v1.phase1 import Negotiation, Step, needed
from harness.ike.v1.phase1_proposals import Selection, check_answer, offer

State = Callable[[tuple[Payload, ...]], Step]


class MainMode:
    """One Main Mode; a responder's begins with the choice that was already made."""

    exchange: int = ExchangeType.IDENTITY_PROTECTION

    def __init__(self, negotiation: Negotiation, selection: Selection | None = None) -> None:
        self.negotiation = negotiation
        self._selection = selection
        self._next: State = self._take_choice if negotiation.initiator else self._take_offer

    @property
    def awaits_encrypted(self) -> bool:
        """Messages 5 and 6 are encrypted."""
        return self._next in (self._finish_initiator, self._finish_responder)

    @property
    def repeats(self) -> bool:
        """The initiator drives Main Mode; a responder only answers."""
        return self.negotiation.initiator

    def start(self) -> Step:
        """Message 1."""
        n = self.negotiation
        n.offer = offer(n.connection.phase1, n.connection.credentials.method)
        return Step((n.offer, *initiator_vendor_ids(n, with_own=True)))

    def receive(self, payloads: tuple[Payload, ...]) -> Step:
        """See Handshake."""
        return self._next(payloads)

    def _take_offer(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 1, answered with message 2."""
        n, selection = self.negotiation, self._selection
        assert selection is not None
        n.offer, n.choice = needed(payloads, SecurityAssociation), selection.choice
        phase1.take_vendor_ids(n, payloads)
        self._next = self._take_initiators_share
        return Step((selection.answer, *responder_vendor_ids(n)))

    def _take_choice(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 2, answered with message 3."""
        n = self.negotiation
        assert n.offer is not None
        n.choice = check_answer(n.offer, needed(payloads, SecurityAssociation))
        phase1.take_vendor_ids(n, payloads)
        phase1.own_share(n)
        self._next = self._take_responders_share
        return Step((*phase1.share_payloads(n), *phase1.nat_payloads(n)))

    def _take_initiators_share(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 3, answered with message 4."""
        n = self.negotiation
        phase1.peer_share(n, payloads)
        phase1.own_share(n)
        phase1.derive(n)
        # What goes back must be made before the situation says whether the peer sent any.
        answer: tuple[Payload, ...] = (
            *phase1.share_payloads(n),
            *phase1.certificate_request(n),
            *phase1.nat_payloads(n),
        )
        phase1.detect_nat(n, payloads)
        self._next = self._finish_responder
        return Step(answer)

    def _take_responders_share(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 4, answered with message 5."""
        n = self.negotiation
        phase1.peer_share(n, payloads)
        phase1.derive(n)
        phase1.detect_nat(n, payloads)
        self._next = self._finish_initiator
        return Step(self._identity(), encrypted=True)

    def _finish_responder(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 5, answered with message 6."""
        phase1.check_peer(self.negotiation, payloads, phase1.peer_identity(payloads))
        return Step(self._identity(), encrypted=True, done=True)

    def _finish_initiator(self, payloads: tuple[Payload, ...]) -> Step:
        """Message 6."""
        phase1.check_peer(self.negotiation, payloads, phase1.peer_identity(payloads))
        return Step(done=True)

    def _identity(self) -> tuple[Payload, ...]:
        n = self.negotiation
        request = phase1.certificate_request(n) if n.initiator else ()
        own = n.connection.local_identity.payload()
        return (own, *phase1.own_authentication(n), *request)


def initiator_vendor_ids(negotiation: Negotiation, *, with_own: bool) -> tuple[VendorId, ...]:
    """What an initiator can, in the order in which a SEIL router says it."""
    own = (vendor_ids.KAME_RACOON,) if with_own else ()
    nat = OFFERED if negotiation.connection.nat.enabled else ()
    return tuple(VendorId(mark) for mark in (*own, vendor_ids.DPD, *nat))


def responder_vendor_ids(negotiation: Negotiation) -> tuple[VendorId, ...]:
    """What a responder can, with only the best NAT-T that both have (RFC 3947 3.1)."""
    nat = (negotiation.nat_mark,) if negotiation.nat_mark else ()
    return tuple(VendorId(mark) for mark in (vendor_ids.KAME_RACOON, vendor_ids.DPD, *nat))
