# SPDX-License-Identifier: GPL-2.0-or-later
"""CREATE_CHILD_SA that rekeys the IKE SA, as either end (RFC 7296 1.3.2, 2.8.2, 2.18, 2.25.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import ExchangeType, NotifyType, ProtocolId
from harness.ike.key_exchange import InvalidKeyExchangeData, Share, initiate, respond
from harness.ike.keys import SaOrigin, rekeyed_skeyseed
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import KeyExchange, Nonce, Notify, SecurityAssociation
from harness.ike.v2 import suites
from harness.ike.v2.children import move_all
from harness.ike.v2.collisions import Collision, Contender, loses
from harness.ike.v2.create_child import CreateChild
from harness.ike.v2.established import become_established
from harness.ike.v2.events import IkeRekeyFailed, Reason
from harness.ike.v2.followup import await_followup, follow
from harness.ike.v2.host import Answer
from harness.ike.v2.ike_sa import IkeSa, IkeState
from harness.ike.v2.informational import DeleteChild, DeleteIke
from harness.ike.v2.keys import key_set
from harness.ike.v2.message import Arrival, wanted_group
from harness.ike.v2.suites import Selection
from harness.ike.v2.unfinished import Unfinished

IKE_SPI_SIZE = 8


@dataclass(frozen=True, slots=True)
class _Offer:
    spi: bytes
    nonce: bytes
    group: int
    share: Share = field(repr=False)


class RekeyIke:
    """Makes the IKE SA that takes the place of the one that it runs in."""

    exchange = int(ExchangeType.CREATE_CHILD_SA)
    outlives = True

    def __init__(self) -> None:
        self._offer: _Offer | None = None
        self._group: int | None = None
        self._tries = 0

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """SA with the new SPI, Ni, KEi; None where another one took its place already."""
        if sa.state is not IkeState.ESTABLISHED or sa.keys is None:
            return None
        methods = [method for each in sa.connection.proposals for method in each.groups]
        used = sa.keys.suite.group
        wanted = self._group or (used.id if used else None)
        method = next((one for one in methods if one.id == wanted), methods[0])
        share = initiate(method, drawing(sa.host.draw, Purpose.SECRET))
        nonce = sa.host.draw(Purpose.NONCE, sa.host.settings.nonce_size)
        self._offer = offer = _Offer(sa.host.new_ike_spi(), nonce, method.id, share)
        sa.host.expect(offer.spi)
        return (
            suites.ike_offer(sa.connection.proposals, offer.spi),
            Nonce(nonce),
            KeyExchange(method.id, share.public),
        )

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Move everything to the new IKE SA, unless it lost against the peer's."""
        error, offer = arrival.error, self._offer
        if offer is None:
            return
        if error is not None:
            self._refused(sa, error, now)
            return
        agreed = self._agreed(sa, offer, arrival)
        if agreed is None:
            self._report(sa, Reason.UNACCEPTABLE_ANSWER, None)
            return
        selection, nonce, shared = agreed
        methods = tuple(method for _, method in selection.suite.additional)
        follow(
            sa,
            self,
            arrival,
            methods,
            (shared,),
            lambda secrets, at: self._complete(sa, offer, selection, nonce, secrets, at),
            lambda failure, at: self._refused(sa, failure, at),
            now,
        )

    def _complete(
        self,
        sa: IkeSa,
        offer: _Offer,
        selection: Selection,
        nonce: bytes,
        shared: tuple[bytes, ...],
        now: float,
    ) -> None:
        """Make the new IKE SA, and close it or the one that it replaces."""
        new = _successor(
            sa, offer.spi, selection, (offer.nonce, nonce), shared, initiator=True, now=now
        )
        collision = sa.collision
        other = None if collision is None else sa.host.ike_sa(collision.spi)
        own = Contender(offer.nonce, nonce)
        if sa.state is IkeState.CLOSED or sa.lineage.successor is not None:
            # The peer's SA took over meanwhile: what this made is nobody's.
            new.queue(DeleteIke(Reason.REDUNDANT), now)
        elif collision is not None and other is not None and loses(own, collision.contender):
            take_over(sa, other, now)
            new.queue(DeleteIke(Reason.REDUNDANT), now)
        else:
            if other is not None:
                # The peer closes its redundant SA; this end does so where the peer does not.
                other.times.expires_at = now + sa.host.settings.linger
                sa.host.touch(other)
            take_over(sa, new, now)
            sa.queue(DeleteIke(Reason.REKEYED), now)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """The IKE SA ended, which is reported by itself."""

    def _agreed(
        self, sa: IkeSa, offer: _Offer, arrival: Arrival
    ) -> tuple[Selection, bytes, bytes] | None:
        """What the peer chose, its nonce and the shared secret; None where it may not."""
        answered, ke, nonce = arrival.sa, arrival.ke, arrival.nonce
        if answered is None or ke is None or nonce is None or ke.group != offer.group:
            return None
        alternatives = [proposal.choices() for proposal in sa.connection.proposals]
        selection = suites.accept(alternatives, answered, ProtocolId.IKE)
        if selection is None or not _usable(selection, offer.group):
            return None
        try:
            return selection, nonce, offer.share.agree(ke.data)
        except InvalidKeyExchangeData:
            return None

    def _refused(self, sa: IkeSa, error: Notify | None, now: float) -> None:
        if sa.state is IkeState.CLOSED or sa.lineage.successor is not None:
            return
        collision = sa.collision
        other = None if collision is None else sa.host.ike_sa(collision.spi)
        if other is not None:
            take_over(sa, other, now)
            return
        sa.collision = None
        if error is None:
            self._report(sa, Reason.UNACCEPTABLE_ANSWER, None)
            return
        self._tries += 1
        group = wanted_group(error)
        methods = {method.id for each in sa.connection.proposals for method in each.groups}
        if self._tries > sa.host.settings.temporary_tries:
            self._report(sa, Reason.REFUSED, error.notify_type)
        elif group is not None and group in methods and group != self._group:
            self._group = group
            sa.queue(self, now, first=True)
        elif error.notify_type in (NotifyType.TEMPORARY_FAILURE, NotifyType.STATE_NOT_FOUND):
            # Longer than a CHILD_SA waits, so that the two do not meet again and again.
            sa.later(self, now + sa.host.settings.temporary_wait * (self._tries + 0.5))
        else:
            self._report(sa, Reason.REFUSED, error.notify_type)

    def _report(self, sa: IkeSa, reason: Reason, notify: int | None) -> None:
        sa.emit(IkeRekeyFailed(sa.spi, reason, notify))


def is_ike_rekey(arrival: Arrival) -> bool:
    """Whether CREATE_CHILD_SA wants an IKE SA: its proposals are for that protocol."""
    found = arrival.sa
    return found is not None and any(
        proposal.protocol == ProtocolId.IKE for proposal in found.proposals
    )


def answer_rekey_ike(sa: IkeSa, arrival: Arrival, now: float) -> Answer:
    """What a rekey of the IKE SA is answered with (RFC 7296 2.25.2)."""
    # One collision is all that there can be; a peer that goes on must not make SAs without end.
    if not sa.alive or _busy_with_child(sa) or sa.collision is not None:
        return Answer((Notify(NotifyType.TEMPORARY_FAILURE),))
    received, ke, nonce = arrival.sa, arrival.ke, arrival.nonce
    if received is None or ke is None or nonce is None:
        return Answer((Notify(NotifyType.INVALID_SYNTAX),))
    alternatives = [proposal.choices() for proposal in sa.connection.proposals]
    spi = sa.host.new_ike_spi()
    selection = suites.select(alternatives, received, ProtocolId.IKE, spi, ke.group)
    if selection is None or len(selection.peer_spi) != IKE_SPI_SIZE:
        return Answer((Notify(NotifyType.NO_PROPOSAL_CHOSEN),))
    group = selection.suite.group
    if group is None or selection.suite.prf is None:
        return Answer((Notify(NotifyType.NO_PROPOSAL_CHOSEN),))
    if group.id != ke.group:
        return Answer((Notify(NotifyType.INVALID_KE_PAYLOAD, group.id.to_bytes(2, "big")),))
    try:
        public, shared = respond(group, ke.data, drawing(sa.host.draw, Purpose.SECRET))
    except InvalidKeyExchangeData:
        return Answer((Notify(NotifyType.INVALID_SYNTAX),))
    own_nonce = sa.host.draw(Purpose.NONCE, sa.host.settings.nonce_size)

    def complete(secrets: tuple[bytes, ...]) -> None:
        new = _successor(sa, spi, selection, (nonce, own_nonce), secrets, initiator=False, now=now)
        if isinstance(sa.busy_with, RekeyIke):
            sa.collision = Collision(Contender(nonce, own_nonce), new.spi)
        else:
            take_over(sa, new, now)

    payloads: tuple[Payload, ...] = (
        SecurityAssociation((selection.proposal,)),
        Nonce(own_nonce),
        KeyExchange(group.id, public),
    )
    additional = tuple(method for _, method in selection.suite.additional)
    if additional:
        # A CHILD_SA exchange that this end began meanwhile would be torn from its IKE SA.
        unfinished = Unfinished(
            additional, (shared,), lambda: sa.alive and not _busy_with_child(sa), complete
        )
        return Answer((*payloads, await_followup(sa, unfinished)))
    return Answer(payloads, lambda sent: complete((shared,)))


def closed_by_peer(sa: IkeSa, now: float) -> None:
    """What a Delete of the IKE SA means when the peer's rekey crossed ours (RFC 7296 2.8.2)."""
    collision = sa.collision
    other = None if collision is None else sa.host.ike_sa(collision.spi)
    if sa.alive and other is not None and other.state is IkeState.ESTABLISHED:
        take_over(sa, other, now)
    replaced = sa.state is IkeState.REKEYED or sa.lineage.successor is not None
    sa.close(Reason.REKEYED if replaced else Reason.DELETED_BY_PEER, now)


def confirmed_by_use(sa: IkeSa, now: float) -> None:
    """Let the SA that the peer's rekey made take over, because the peer uses it already.

    It does so only once it knows that this one stays, perhaps before our own rekey has its answer.
    """
    old = None if sa.lineage.predecessor is None else sa.host.ike_sa(sa.lineage.predecessor)
    if old is not None and old.alive and sa.alive and not sa.announced:
        take_over(old, sa, now)


def take_over(old: IkeSa, new: IkeSa, now: float) -> None:
    """Let `new` have the CHILD_SAs of `old`, which then waits to be closed."""
    old.state = IkeState.REKEYED
    old.lineage.successor = new.spi
    old.times.rekey_at = None
    old.times.expires_at = now + old.host.settings.linger
    new.path, new.nat = old.path, old.nat
    become_established(new, now, rekeyed=old.spi)
    move_all(old, new, now)
    new.host.touch(new)


def _busy_with_child(sa: IkeSa) -> bool:
    """Whether this end is creating, rekeying or closing a CHILD_SA right now."""
    return isinstance(sa.busy_with, CreateChild | DeleteChild)


def _usable(selection: Selection, group: int) -> bool:
    suite = selection.suite
    return (
        len(selection.peer_spi) == IKE_SPI_SIZE
        and selection.peer_spi != bytes(IKE_SPI_SIZE)
        and suite.prf is not None
        and suite.group is not None
        and suite.group.id == group
    )


def _successor(
    old: IkeSa,
    spi: bytes,
    selection: Selection,
    nonces: tuple[bytes, bytes],
    shared: tuple[bytes, ...],
    *,
    initiator: bool,
    now: float,
) -> IkeSa:
    """The new IKE SA, with keys and no message yet; it has what the old one negotiated."""
    if old.keys is None or selection.suite.prf is None:
        raise ValueError("an IKE SA is rekeyed after it has keys; finish IKE_SA_INIT first")
    new = IkeSa(
        old.host,
        old.connection,
        old.path,
        spi,
        initiator=initiator,
        now=now,
        peer_spi=selection.peer_spi,
    )
    new.peer, new.nat, new.abilities = old.peer, old.nat, old.abilities
    new.original_initiator = old.original_initiator
    new.lineage.predecessor = old.spi
    new.state = IkeState.ESTABLISHED
    new.handshake = None
    seed = rekeyed_skeyseed(old.keys.prf, old.keys.keys.d, shared, *nonces)
    old.host.adopt(new)
    origin = SaOrigin(*nonces, new.spi_i, new.spi_r)
    new.use_keys(key_set(selection.suite, selection.suite.prf, origin, seed))
    return new
