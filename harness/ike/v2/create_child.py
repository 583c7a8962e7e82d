# SPDX-License-Identifier: GPL-2.0-or-later
"""CREATE_CHILD_SA for a new CHILD_SA or a rekeyed one, as its initiator (RFC 7296 1.3.1, 2.8)."""

from __future__ import annotations

from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import ExchangeType, NotifyType, ProtocolId
from harness.ike.key_exchange import InvalidKeyExchangeData, initiate
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import KeyExchange, Nonce, Notify
from harness.ike.transforms import KeyExchange as Method
from harness.ike.v2.child_negotiation import (
    Agreement,
    ChildOffer,
    Disagreement,
    agree_as_initiator,
    local_traffic,
    make_child,
    offer_payloads,
    remote_traffic,
)
from harness.ike.v2.child_sa import ChildRecord, ChildState
from harness.ike.v2.children import install
from harness.ike.v2.collisions import Contender, loses
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.events import ChildSaFailed, Reason
from harness.ike.v2.followup import follow
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.informational import DeleteChild
from harness.ike.v2.message import Arrival, wanted_group


class CreateChild:
    """Makes a CHILD_SA; `rekeying` is the inbound SPI of the one whose place it takes."""

    exchange = int(ExchangeType.CREATE_CHILD_SA)
    outlives = False

    def __init__(self, config: ChildConfig, rekeying: bytes | None = None) -> None:
        self.config = config
        self.rekeying = rekeying
        self._record: ChildRecord | None = None
        self._offer: ChildOffer | None = None
        self._group: int | None = None
        self._tries = 0

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """[N(REKEY_SA)], SA, Ni, [KEi], TSi, TSr; None where there is nothing left to rekey."""
        if sa.state is not IkeState.ESTABLISHED:
            return None
        marks: tuple[Payload, ...] = ()
        if self.rekeying is not None:
            record = sa.children.inbound(self.rekeying)
            if record is None or record.state is not ChildState.INSTALLED:
                return None
            record.state = ChildState.REKEYING
            self._record = record
            marks = (Notify(NotifyType.REKEY_SA, b"", ProtocolId.ESP, self.rekeying),)
        self._offer = offer = self._make_offer(sa)
        wanted = offer_payloads(offer)
        key_exchange = (
            (KeyExchange(offer.group, offer.share.public),)
            if offer.share is not None and offer.group is not None
            else ()
        )
        # SA is followed by the nonce and KE, and TSi and TSr come last (RFC 7296 1.3.1).
        return (*marks, *wanted[:-2], Nonce(offer.nonce), *key_exchange, *wanted[-2:])

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Take the CHILD_SA in and close what it replaces, or say why not."""
        error = arrival.error
        if error is not None:
            self._refused(sa, error, now)
            return
        offer, nonce = self._offer, arrival.nonce
        if offer is None:
            return
        try:
            agreement = agree_as_initiator(sa, offer, arrival)
            shared = self._shared(agreement, offer, arrival)
            if nonce is None:
                raise Disagreement(Reason.UNACCEPTABLE_ANSWER)
        except Disagreement as disagreement:
            self._back_to_old()
            self._report(sa, disagreement.reason, None)
            sa.queue(DeleteChild.unwanted(offer.spi), now)
            return
        methods = tuple(method for _, method in agreement.selection.suite.additional)
        follow(
            sa,
            self,
            arrival,
            methods,
            shared,
            lambda secrets, at: self._complete(sa, offer, agreement, nonce, secrets, at),
            lambda failure, at: self._refused(sa, failure, at),
            now,
        )

    def _complete(
        self,
        sa: IkeSa,
        offer: ChildOffer,
        agreement: Agreement,
        nonce: bytes,
        shared: tuple[bytes, ...],
        now: float,
    ) -> None:
        """Take the CHILD_SA in, and close it or the one that it replaces."""
        child = make_child(sa, agreement, offer.nonce, nonce, shared)
        record = self._record
        if sa.children.deleted_early(child.outbound_spi):
            self._report(sa, Reason.DELETED_BY_PEER, None)
            if record is not None:
                sa.queue(DeleteChild(record.sa.inbound_spi, Reason.REKEYED), now)
            return
        if record is None:
            install(sa, child, offer.config, now)
            return
        collision = record.collision
        redundant = collision is not None and loses(
            Contender(offer.nonce, nonce), collision.contender
        )
        old = record.sa.inbound_spi
        install(sa, child, offer.config, now, rekeyed=old, hold=redundant)
        if redundant and collision is not None:
            # The peer, whose SA it is, closes the old one; this end closes its own.
            await_delete(sa, record, collision.spi, now)
            sa.queue(DeleteChild(child.inbound_spi, Reason.REDUNDANT), now)
            return
        record.replacement = child.inbound_spi
        record.state = ChildState.CLOSING
        other = None if collision is None else sa.children.inbound(collision.spi)
        if other is not None:
            await_delete(sa, other, None, now)
        sa.queue(DeleteChild(old, Reason.REKEYED), now)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """Report that there will be no CHILD_SA."""
        self._report(sa, Reason.IKE_SA_CLOSED if reason is not Reason.TIMEOUT else reason, None)

    def _make_offer(self, sa: IkeSa) -> ChildOffer:
        config = self.config
        methods = [group for proposal in config.proposals for group in proposal.groups]
        method = self._method(methods)
        share = None if method is None else initiate(method, drawing(sa.host.draw, Purpose.SECRET))
        old = self._record.sa if self._record else None
        return ChildOffer(
            config,
            sa.host.new_child_spi(),
            tuple(proposal.choices(key_exchange=True) for proposal in config.proposals),
            # Not narrower than what is in use (RFC 7296 2.9.2), and not wider either.
            old.local if old else local_traffic(sa, config),
            old.remote if old else remote_traffic(sa, config),
            old.transport if old else config.transport,
            sa.host.draw(Purpose.NONCE, sa.host.settings.nonce_size),
            share,
            None if method is None else method.id,
        )

    def _method(self, methods: list[Method]) -> Method | None:
        """The group that the peer asked for, else that of the old SA, else the first one."""
        old = self._record.sa.suite.group if self._record else None
        wanted = self._group if self._group is not None else (old.id if old else None)
        for method in methods:
            if method.id == wanted:
                return method
        return methods[0] if methods else None

    def _shared(
        self, agreement: Agreement, offer: ChildOffer, arrival: Arrival
    ) -> tuple[bytes, ...]:
        group, ke = agreement.selection.suite.group, arrival.ke
        if group is None:
            return ()
        if ke is None or offer.share is None or not ke.group == group.id == offer.group:
            raise Disagreement(Reason.UNACCEPTABLE_ANSWER)
        try:
            return (offer.share.agree(ke.data),)
        except InvalidKeyExchangeData:
            raise Disagreement(Reason.UNACCEPTABLE_ANSWER) from None

    def _refused(self, sa: IkeSa, error: Notify | None, now: float) -> None:
        record = self._record
        if record is not None and self._old_is_replaced(sa, record, now):
            return
        self._back_to_old()
        if error is None:
            self._report(sa, Reason.UNACCEPTABLE_ANSWER, None)
            return
        group = wanted_group(error)
        methods = {method.id for each in self.config.proposals for method in each.groups}
        self._tries += 1
        if self._tries > sa.host.settings.temporary_tries:
            self._report(sa, Reason.REFUSED, error.notify_type)
        elif group is not None and group in methods and group != self._group:
            self._group = group
            sa.queue(self, now, first=True)
        elif error.notify_type in (NotifyType.TEMPORARY_FAILURE, NotifyType.STATE_NOT_FOUND):
            sa.later(self, now + sa.host.settings.temporary_wait * self._tries)
        elif error.notify_type == NotifyType.CHILD_SA_NOT_FOUND and record is not None:
            sa.remove_child(record, Reason.NOT_FOUND)
            sa.queue(CreateChild(self.config), now)
        else:
            self._report(sa, _reason(error.notify_type), error.notify_type)

    def _old_is_replaced(self, sa: IkeSa, record: ChildRecord, now: float) -> bool:
        """Whether the peer closed or rekeyed the old SA while this exchange ran."""
        if sa.children.inbound(record.sa.inbound_spi) is not record:
            self._back_to_old()
            return True
        if record.collision is not None:
            await_delete(sa, record, record.collision.spi, now)
            return True
        return False

    def _back_to_old(self) -> None:
        if self._record is not None and self._record.state is ChildState.REKEYING:
            self._record.state = ChildState.INSTALLED

    def _report(self, sa: IkeSa, reason: Reason, notify: int | None) -> None:
        sa.emit(ChildSaFailed(sa.spi, self.config.name, reason, notify, self.rekeying))


def await_delete(sa: IkeSa, record: ChildRecord, replacement: bytes | None, now: float) -> None:
    """Leave a CHILD_SA to the peer, who must close it; this end does so where the peer does not."""
    record.state = ChildState.REKEYED
    record.replacement = replacement
    record.rekey_at = None
    record.expires_at = now + sa.host.settings.linger


def _reason(notify: int) -> Reason:
    match notify:
        case NotifyType.NO_PROPOSAL_CHOSEN | NotifyType.INVALID_KE_PAYLOAD:
            return Reason.NO_PROPOSAL_CHOSEN
        case NotifyType.TS_UNACCEPTABLE:
            return Reason.TS_UNACCEPTABLE
        case _:
            return Reason.REFUSED
