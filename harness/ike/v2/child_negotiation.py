# SPDX-License-Identifier: GPL-2.0-or-later
"""Agreeing on a CHILD_SA: what an offer, an answer and the keys are, in whichever exchange.

IKE_AUTH and CREATE_CHILD_SA carry the same SA, TSi and TSr payloads (RFC 7296 1.2, 1.3.1, 2.9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.ike.constants_v2 import NotifyType, PayloadType, ProtocolId
from harness.ike.key_exchange import Share
from harness.ike.keys import ChildKeys, DirectionKeys, child_keys
from harness.ike.payload import Payload, first
from harness.ike.payloads_v2 import Notify, SecurityAssociation, TrafficSelectors
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.v2 import suites
from harness.ike.v2.child_sa import SPI_SIZE, ChildSa
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.events import Reason
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.message import Arrival
from harness.ike.v2.selectors import all_within, host_selector, narrow
from harness.ike.v2.suites import Choices, Selection
from harness.ike.v2.translated import Received, seen_as


class Disagreement(Exception):
    """No CHILD_SA can be made; `notify` is what a responder says, `reason` what is reported."""

    def __init__(self, reason: Reason, notify: Notify | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.notify = notify


@dataclass(frozen=True, slots=True)
class ChildOffer:
    """What this end offered as the initiator of an exchange."""

    config: ChildConfig
    spi: bytes
    alternatives: tuple[Choices, ...]
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool
    nonce: bytes
    share: Share | None = field(default=None, repr=False)
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both ends agreed on, before there are keys; `spi` is this end's."""

    config: ChildConfig
    spi: bytes
    selection: Selection
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool
    initiator: bool


def local_traffic(sa: IkeSa, config: ChildConfig) -> tuple[TrafficSelector, ...]:
    """Our end's configured traffic, or our address where nothing is configured."""
    return config.local or (host_selector(sa.path.local.host),)


def remote_traffic(sa: IkeSa, config: ChildConfig) -> tuple[TrafficSelector, ...]:
    """The peer's configured traffic, or its address where nothing is configured."""
    return config.remote or (host_selector(sa.path.remote.host),)


def offer_payloads(offer: ChildOffer) -> tuple[Payload, ...]:
    """SA, TSi, TSr, and the wish for transport mode."""
    wish = (Notify(NotifyType.USE_TRANSPORT_MODE),) if offer.transport else ()
    return (
        *wish,
        suites.offer(ProtocolId.ESP, offer.spi, offer.alternatives),
        TrafficSelectors(PayloadType.TSi, offer.local),
        TrafficSelectors(PayloadType.TSr, offer.remote),
    )


def agree_as_responder(
    sa: IkeSa, arrival: Arrival, configs: Sequence[ChildConfig], *, key_exchange: bool
) -> Agreement:
    """The first configured CHILD_SA that the request allows; raises `Disagreement`."""
    received = arrival.sa
    offered_remote = first(arrival.payloads, TrafficSelectors, PayloadType.TSi)
    offered_local = first(arrival.payloads, TrafficSelectors, PayloadType.TSr)
    if received is None or offered_remote is None or offered_local is None:
        raise Disagreement(Reason.INVALID_SYNTAX, Notify(NotifyType.INVALID_SYNTAX))
    group = arrival.ke.group if arrival.ke else None
    spi = sa.host.new_child_spi()
    wanted_transport = arrival.notify(NotifyType.USE_TRANSPORT_MODE) is not None
    algorithms_agreed = False
    for config in configs:
        selection = _select(config, received, spi, group, key_exchange=key_exchange)
        if selection is None:
            continue
        algorithms_agreed = True
        transport = wanted_transport and config.transport
        asked = _seen_here(sa, transport, offered_local.selectors, offered_remote.selectors)
        local = narrow(asked[0], local_traffic(sa, config))
        remote = narrow(asked[1], remote_traffic(sa, config))
        if local and remote:
            return Agreement(config, spi, selection, local, remote, transport, False)
    if algorithms_agreed:
        raise Disagreement(Reason.TS_UNACCEPTABLE, Notify(NotifyType.TS_UNACCEPTABLE))
    raise Disagreement(Reason.NO_PROPOSAL_CHOSEN, Notify(NotifyType.NO_PROPOSAL_CHOSEN))


def agree_as_initiator(sa: IkeSa, offer: ChildOffer, arrival: Arrival) -> Agreement:
    """What the responder chose, if it was offered; raises `Disagreement`."""
    answered = arrival.sa
    local = first(arrival.payloads, TrafficSelectors, PayloadType.TSi)
    remote = first(arrival.payloads, TrafficSelectors, PayloadType.TSr)
    if answered is None or local is None or remote is None:
        raise Disagreement(Reason.UNACCEPTABLE_ANSWER)
    selection = suites.accept(offer.alternatives, answered, ProtocolId.ESP)
    if selection is None or not _usable(selection.peer_spi):
        raise Disagreement(Reason.UNACCEPTABLE_ANSWER)
    transport = arrival.notify(NotifyType.USE_TRANSPORT_MODE) is not None
    if transport and not offer.transport:
        raise Disagreement(Reason.UNACCEPTABLE_ANSWER)
    answer = _seen_here(sa, transport, local.selectors, remote.selectors)
    if not all_within(answer[0], offer.local) or not all_within(answer[1], offer.remote):
        raise Disagreement(Reason.TS_UNACCEPTABLE)
    found_local, found_remote = narrow(answer[0], offer.local), narrow(answer[1], offer.remote)
    less = not all_within(offer.local, found_local) or not all_within(offer.remote, found_remote)
    if less and not offer.config.narrow:
        raise Disagreement(Reason.TS_UNACCEPTABLE)
    return Agreement(offer.config, offer.spi, selection, found_local, found_remote, transport, True)


def answer_payloads(agreement: Agreement) -> tuple[Payload, ...]:
    """SA, TSi and TSr as a responder writes them, and that it takes transport mode."""
    agreed = (Notify(NotifyType.USE_TRANSPORT_MODE),) if agreement.transport else ()
    return (
        *agreed,
        SecurityAssociation((agreement.selection.proposal,)),
        TrafficSelectors(PayloadType.TSi, agreement.remote),
        TrafficSelectors(PayloadType.TSr, agreement.local),
    )


def _seen_here(
    sa: IkeSa, transport: bool, local: Received, remote: Received
) -> tuple[Received, Received]:
    """Received selectors as they are to be looked up here (RFC 7296 2.23.1)."""
    return (
        seen_as(local, sa.path.local) if transport and sa.nat.local else local,
        seen_as(remote, sa.path.remote) if transport and sa.nat.remote else remote,
    )


def make_child(
    sa: IkeSa,
    agreement: Agreement,
    nonce_i: bytes,
    nonce_r: bytes,
    shared: Sequence[bytes] = (),
) -> ChildSa:
    """The CHILD_SA with its keys (RFC 7296 2.17); raises `ValueError` before the IKE SA has any."""
    if sa.keys is None:
        raise ValueError("an IKE SA without keys makes no CHILD_SA; finish IKE_SA_INIT first")
    suite = agreement.selection.suite
    keys = child_keys(
        sa.keys.prf,
        sa.keys.keys.d,
        suite.encryption,
        suite.integrity,
        nonce_i,
        nonce_r,
        shared,
    )
    outbound, inbound = _directions(keys, initiator=agreement.initiator)
    return ChildSa(
        agreement.config.name,
        agreement.spi,
        agreement.selection.peer_spi,
        suite,
        agreement.local,
        agreement.remote,
        agreement.transport,
        inbound,
        outbound,
        agreement.initiator,
        sa.nat.present or sa.connection.force_encapsulation,
    )


def _directions(keys: ChildKeys, *, initiator: bool) -> tuple[DirectionKeys, DirectionKeys]:
    first_way = DirectionKeys(keys.encryption_i, keys.integrity_i)
    second_way = DirectionKeys(keys.encryption_r, keys.integrity_r)
    return (first_way, second_way) if initiator else (second_way, first_way)


def _select(
    config: ChildConfig,
    received: SecurityAssociation,
    spi: bytes,
    group: int | None,
    *,
    key_exchange: bool,
) -> Selection | None:
    alternatives = [proposal.choices(key_exchange=key_exchange) for proposal in config.proposals]
    found = suites.select(alternatives, received, ProtocolId.ESP, spi, group)
    return found if found is not None and _usable(found.peer_spi) else None


def _usable(spi: bytes) -> bool:
    return len(spi) == SPI_SIZE and spi != bytes(SPI_SIZE)
