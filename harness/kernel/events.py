# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel tells of its SAs and policies by itself, one frozen value an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from socket import AF_INET

from harness.kernel.addresses import Address, family_of, read_address
from harness.kernel.errors import MalformedMessage
from harness.kernel.messages import Message
from harness.kernel.numbers import POLICY_TYPES, PROTOCOLS, Attribute, MessageType, word
from harness.kernel.policy import Policy, Template
from harness.kernel.policy_codec import read_policy, read_templates
from harness.kernel.sa import SaId, SecurityAssociation
from harness.kernel.sa_codec import read_sa, read_sa_id
from harness.kernel.selector import Selector, read_selector
from harness.kernel.structures import (
    ACQUIRE,
    EXPIRE,
    ID,
    MAPPING,
    POLICY_EXPIRE,
    POLICY_ID,
    POLICY_INFO,
    POLICY_TYPE,
    SA_FLUSH,
    SA_ID,
    SA_INFO,
)

ANY_PROTOCOL = (0, 255)


@dataclass(frozen=True, slots=True)
class Acquire:
    """Traffic met a policy that has no SA yet: a key manager is to negotiate one."""

    source: Address
    destination: Address
    protocol: str
    selector: Selector
    policy: Policy
    templates: tuple[Template, ...]
    sequence: int

    def __str__(self) -> str:
        return f"ACQUIRE for {self.protocol} from {self.source} to {self.destination}"


@dataclass(frozen=True, slots=True)
class Expire:
    """An SA reached a limit: soft, time to rekey; `hard`, the kernel removed it.

    `sa` has no algorithms: the kernel leaves them out here.
    """

    hard: bool
    sa: SecurityAssociation

    def __str__(self) -> str:
        return f"{'hard' if self.hard else 'soft'} EXPIRE of {self.sa}"


@dataclass(frozen=True, slots=True)
class SaAdded:
    """An SA was installed."""

    sa: SecurityAssociation

    def __str__(self) -> str:
        return f"{self.sa} added"


@dataclass(frozen=True, slots=True)
class SaUpdated:
    """An SA was replaced in place, as when the keys for a reserved SPI arrive."""

    sa: SecurityAssociation

    def __str__(self) -> str:
        return f"{self.sa} updated"


@dataclass(frozen=True, slots=True)
class SaDeleted:
    """An SA was removed by a request; `sa` is its last state.

    An SA that ends by its hard lifetime is told of by `Expire` alone.
    """

    sa: SecurityAssociation

    @property
    def id(self) -> SaId:
        """What identified it in the SAD."""
        return self.sa.id

    def __str__(self) -> str:
        return f"{self.sa} deleted"


@dataclass(frozen=True, slots=True)
class SaFlushed:
    """All SAs of a protocol were removed at once; `protocol` is None for all protocols."""

    protocol: str | None

    def __str__(self) -> str:
        return f"{self.protocol or 'all'} SAs flushed"


@dataclass(frozen=True, slots=True)
class PolicyAdded:
    """A policy was installed."""

    policy: Policy

    def __str__(self) -> str:
        return f"{self.policy} added"


@dataclass(frozen=True, slots=True)
class PolicyUpdated:
    """A policy was installed or replaced by an update."""

    policy: Policy

    def __str__(self) -> str:
        return f"{self.policy} updated"


@dataclass(frozen=True, slots=True)
class PolicyDeleted:
    """A policy was removed by a request; `policy` is its last state."""

    policy: Policy

    def __str__(self) -> str:
        return f"{self.policy} deleted"


@dataclass(frozen=True, slots=True)
class PolicyFlushed:
    """All policies of a type, "main" or "sub", were removed at once."""

    type: str

    def __str__(self) -> str:
        return f"{self.type} policies flushed"


@dataclass(frozen=True, slots=True)
class PolicyExpired:
    """A policy reached a limit; at a `hard` one the kernel removed it."""

    hard: bool
    policy: Policy

    def __str__(self) -> str:
        return f"{'hard' if self.hard else 'soft'} EXPIRE of {self.policy}"


@dataclass(frozen=True, slots=True)
class MappingChanged:
    """UDP-encapsulated ESP came from another address or port than before: a NAT mapped it anew."""

    sa: SaId
    reqid: int
    old_source: Address
    new_source: Address
    old_port: int
    new_port: int

    def __str__(self) -> str:
        return f"{self.sa} now comes from {self.new_source} port {self.new_port}"


@dataclass(frozen=True, slots=True)
class EventsLost:
    """Events are missing here, how many is unknown: `reason` says why.

    The kernel drops them (ENOBUFS) when they come faster than they are read. What the databases
    hold now is known only by reading them again.
    """

    reason: str

    def __str__(self) -> str:
        return f"events are missing: {self.reason}"


Event = (
    Acquire
    | Expire
    | SaAdded
    | SaUpdated
    | SaDeleted
    | SaFlushed
    | PolicyAdded
    | PolicyUpdated
    | PolicyDeleted
    | PolicyFlushed
    | PolicyExpired
    | MappingChanged
    | EventsLost
)


def read_event(message: Message) -> Event | None:
    """The event that a message tells of, None for a type that is none of them.

    Raises MalformedMessage.
    """
    kind = READERS.get(message.type)
    return None if kind is None else kind[1](message)


def _acquire(message: Message) -> Acquire:
    record = ACQUIRE.unpack(message.payload)
    attributes = message.attributes(ACQUIRE.size)
    identity = ID.unpack(record.id)
    policy = read_policy(record.policy, attributes)
    templates = read_templates(attributes.get(Attribute.TMPL, b""))
    selector = read_selector(record.sel, AF_INET)
    # The message has no family for its two addresses: they are those of the template.
    family = family_of(templates[0].source if templates else selector.source)
    return Acquire(
        source=read_address(record.saddr, family),
        destination=read_address(identity.daddr, family),
        protocol=word(PROTOCOLS, identity.proto),
        selector=selector,
        policy=policy,
        templates=templates,
        sequence=record.seq,
    )


def _expire(message: Message) -> Expire:
    record = EXPIRE.unpack(message.payload)
    return Expire(bool(record.hard), read_sa(record.state, message.attributes(EXPIRE.size)))


def _sa_added(message: Message) -> SaAdded:
    return SaAdded(read_sa(message.payload, message.attributes(SA_INFO.size)))


def _sa_updated(message: Message) -> SaUpdated:
    return SaUpdated(read_sa(message.payload, message.attributes(SA_INFO.size)))


def _sa_deleted(message: Message) -> SaDeleted:
    SA_ID.unpack(message.payload)
    attributes = message.attributes(SA_ID.size)
    body = attributes.get(Attribute.SA)
    if body is None:
        raise MalformedMessage("a deletion of an SA does not say which SA it was")
    return SaDeleted(read_sa(body, attributes))


def _sa_flushed(message: Message) -> SaFlushed:
    protocol = SA_FLUSH.unpack(message.payload).proto
    return SaFlushed(None if protocol in ANY_PROTOCOL else word(PROTOCOLS, protocol))


def _policy_added(message: Message) -> PolicyAdded:
    return PolicyAdded(read_policy(message.payload, message.attributes(POLICY_INFO.size)))


def _policy_updated(message: Message) -> PolicyUpdated:
    return PolicyUpdated(read_policy(message.payload, message.attributes(POLICY_INFO.size)))


def _policy_deleted(message: Message) -> PolicyDeleted:
    attributes = message.attributes(POLICY_ID.size)
    body = attributes.get(Attribute.POLICY)
    if body is None:
        raise MalformedMessage("a deletion of a policy does not say which policy it was")
    return PolicyDeleted(read_policy(body, attributes))


def _policy_flushed(message: Message) -> PolicyFlushed:
    data = message.attributes(0).get(Attribute.POLICY_TYPE)
    kind = 0 if data is None else POLICY_TYPE.unpack(data).type
    return PolicyFlushed(word(POLICY_TYPES, kind))


def _policy_expired(message: Message) -> PolicyExpired:
    record = POLICY_EXPIRE.unpack(message.payload)
    policy = read_policy(record.pol, message.attributes(POLICY_EXPIRE.size))
    return PolicyExpired(bool(record.hard), policy)


def _mapping_changed(message: Message) -> MappingChanged:
    record = MAPPING.unpack(message.payload)
    family = SA_ID.unpack(record.id).family
    return MappingChanged(
        sa=read_sa_id(record.id, {}),
        reqid=record.reqid,
        old_source=read_address(record.old_saddr, family),
        new_source=read_address(record.new_saddr, family),
        old_port=record.old_sport,
        new_port=record.new_sport,
    )


READERS: Mapping[int, tuple[type[Event], Callable[[Message], Event]]] = {
    MessageType.ACQUIRE: (Acquire, _acquire),
    MessageType.EXPIRE: (Expire, _expire),
    MessageType.NEWSA: (SaAdded, _sa_added),
    MessageType.UPDSA: (SaUpdated, _sa_updated),
    MessageType.DELSA: (SaDeleted, _sa_deleted),
    MessageType.FLUSHSA: (SaFlushed, _sa_flushed),
    MessageType.NEWPOLICY: (PolicyAdded, _policy_added),
    MessageType.UPDPOLICY: (PolicyUpdated, _policy_updated),
    MessageType.DELPOLICY: (PolicyDeleted, _policy_deleted),
    MessageType.FLUSHPOLICY: (PolicyFlushed, _policy_flushed),
    MessageType.POLEXPIRE: (PolicyExpired, _policy_expired),
    MessageType.MAPPING: (MappingChanged, _mapping_changed),
}
"""The event that each type of message is, and what reads it."""
