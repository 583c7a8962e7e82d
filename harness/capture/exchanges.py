# SPDX-License-Identifier: GPL-2.0-or-later
"""The exchanges of a capture as values that a test compares in one assert.

    assert exchanges(decryption.entries)[-2:] == [Rekey(old.inbound), Delete(old.inbound)]

Two exchanges are equal when they say the same: what is asked, and with which error it failed.
Who asked whom, in which frames and with which payloads is in `about`, which is not compared.
SPIs of ESP and AH are numbers in host order, as the SAD has them. `error` is the notify that
refused, in the RFC's words, `no answer` where none was seen, and empty where all went well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.capture.entries import Entry, Ike, Status
from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.description import identity
from harness.ike.names import hyphened, name_of
from harness.ike.payload import Payload, every, first
from harness.ike.proposals import Proposal

NO_ANSWER = "no answer"
REPLACED = "replaced"
"""What a wire of the lab notes on a frame that it did not deliver, but another in its place."""
FIRST_STATUS_TYPE = 16384
"""Notify types from here on are no errors (RFC 7296 section 3.10.1, RFC 2408 section 3.14.1)."""


@dataclass(frozen=True, slots=True)
class About:
    """Where an exchange was seen: nodes or addresses, message id, frames, payloads."""

    sender: str = ""
    receiver: str = ""
    message_id: int = 0
    frames: tuple[int, ...] = ()
    request: tuple[Payload, ...] = ()
    response: tuple[Payload, ...] = ()


NOWHERE = About()


@dataclass(frozen=True, slots=True)
class IkeSaInit:
    """IKE_SA_INIT (RFC 7296 section 1.2)."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Intermediate:
    """IKE_INTERMEDIATE (RFC 9242), with a further key exchange or whatever it carries."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class IkeAuth:
    """IKE_AUTH (RFC 7296 section 1.2): who the two ends say to be, empty where one does not.

    `made` are the SPIs of the new CHILD_SA, the requester's and the responder's.
    """

    initiator: str = ""
    responder: str = ""
    error: str = ""
    made: tuple[int, ...] = field(default=(), compare=False)
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class CreateChild:
    """CREATE_CHILD_SA for a new CHILD_SA (RFC 7296 section 1.3.1); `made` as in IkeAuth."""

    error: str = ""
    made: tuple[int, ...] = field(default=(), compare=False)
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rekey:
    """CREATE_CHILD_SA that replaces the CHILD_SA with this SPI (RFC 7296 section 1.3.3).

    `spi` is the one that the requester receives on, `made` as in IkeAuth.
    """

    spi: int
    error: str = ""
    protocol: str = "ESP"
    made: tuple[int, ...] = field(default=(), compare=False)
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RekeyIke:
    """CREATE_CHILD_SA that replaces the IKE SA (RFC 7296 section 1.3.2)."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, init=False)
class Delete:
    """INFORMATIONAL that deletes SAs by the SPIs that its sender receives on (RFC 7296 1.4.1).

    In IKEv1 a notice without an answer (RFC 2408 section 3.15). `answered` are the SPIs that the
    other end gave in return.
    """

    spis: tuple[int, ...]
    error: str
    protocol: str
    answered: tuple[int, ...] = field(compare=False)
    about: About = field(compare=False, repr=False)

    def __init__(
        self,
        *spis: int,
        error: str = "",
        protocol: str = "ESP",
        answered: tuple[int, ...] = (),
        about: About = NOWHERE,
    ) -> None:
        values = (spis, error, protocol, answered, about)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class DeleteIke:
    """INFORMATIONAL that deletes the IKE SA or ISAKMP SA itself."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Liveness:
    """An empty INFORMATIONAL request: are you there? (RFC 7296 section 1.4; 2.4)."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Informational:
    """Any other INFORMATIONAL, by the names of its notifies in order."""

    notifies: tuple[str, ...] = ()
    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MainMode:
    """IKEv1 Main Mode (RFC 2409 section 5); an error says after how many messages it stopped."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AggressiveMode:
    """IKEv1 Aggressive Mode (RFC 2409 section 5); an error as in MainMode."""

    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class QuickMode:
    """IKEv1 Quick Mode (RFC 2409 section 5.5); `made` are both ends' SPIs, an error as above."""

    error: str = ""
    made: tuple[int, ...] = field(default=(), compare=False)
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Other:
    """An exchange of any other type, by its name or number."""

    name: str
    error: str = ""
    about: About = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that cannot be read; `reason` is its status."""

    reason: str
    about: About = field(default=NOWHERE, compare=False, repr=False)


Exchange = (
    IkeSaInit
    | Intermediate
    | IkeAuth
    | CreateChild
    | Rekey
    | RekeyIke
    | Delete
    | DeleteIke
    | Liveness
    | Informational
    | MainMode
    | AggressiveMode
    | QuickMode
    | Other
    | Unreadable
)


@dataclass(slots=True)
class _Group:
    """The messages of one exchange, those of the requester and of the other end."""

    entries: list[tuple[Entry, Ike]] = field(default_factory=list)

    @property
    def about(self) -> About:
        one, content = self.entries[0]
        other = [each for _, each in self.entries[1:]]
        return About(
            one.sender,
            one.receiver,
            content.header.message_id,
            tuple(frame for _, each in self.entries for frame in each.frames),
            content.payloads,
            tuple(payload for each in other for payload in each.payloads),
        )


def exchanges(entries: Iterable[Entry]) -> list[Exchange]:
    """The exchanges of a capture in the order of their first messages.

    Repeated messages and what is on a second wire count once. Of a message that its wire changed
    what arrived counts. A request and the response that cannot be read are each an Unreadable.
    """
    groups: dict[object, _Group] = {}
    asked: dict[bytes, object] = {}
    for entry in entries:
        content = entry.content
        if not isinstance(content, Ike) or content.repeats or content.status is Status.FRAGMENT:
            continue
        if entry.frame.comment == REPLACED:
            continue
        groups.setdefault(_key(entry, content, asked), _Group()).entries.append((entry, content))
    return [_exchange(group) for group in groups.values()]


def _key(entry: Entry, content: Ike, asked: dict[bytes, object]) -> object:
    """What the messages of one exchange have in common; `asked` has the last IKE_SA_INIT."""
    header = content.header
    if not content.readable:
        return entry.number
    spi_i, number = header.initiator_spi, header.message_id
    if header.major_version == 1:
        if header.exchange_type == n1.ExchangeType.INFORMATIONAL:
            return entry.number
        return (1, spi_i, number, header.exchange_type)
    response = bool(header.flags & n2.Flag.RESPONSE)
    if header.exchange_type == n2.ExchangeType.IKE_SA_INIT:
        # All have number 0: a request that was refused with COOKIE or another group comes anew.
        if not response:
            asked[spi_i] = entry.number
        return asked.get(spi_i, entry.number)
    requester = bool(header.flags & n2.Flag.INITIATOR) != response
    return (2, spi_i, header.responder_spi, number, requester)


def _exchange(group: _Group) -> Exchange:
    content = group.entries[0][1]
    if not content.readable:
        return Unreadable(content.status.value, group.about)
    if content.header.major_version == 1:
        return _exchange_v1(group, content.header.exchange_type)
    return _exchange_v2(group.about, content.header.exchange_type, len(group.entries) > 1)


def _exchange_v2(about: About, kind: int, answered: bool) -> Exchange:
    error = _refusal(about.response) if answered else NO_ANSWER
    match kind:
        case n2.ExchangeType.IKE_SA_INIT:
            return IkeSaInit(error, about)
        case n2.ExchangeType.IKE_INTERMEDIATE:
            return Intermediate(error, about)
        case n2.ExchangeType.IKE_AUTH:
            ends = (_identity(about.request, 35), _identity(about.response, 36))
            return IkeAuth(*ends, error, _made(about), about)
        case n2.ExchangeType.CREATE_CHILD_SA:
            return _create_child(about, error)
        case n2.ExchangeType.INFORMATIONAL:
            return _informational(about, error)
    return Other(name_of(n2.ExchangeType, kind), error, about)


def _create_child(about: About, error: str) -> Exchange:
    for notify in every(about.request, v2.Notify):
        if notify.notify_type == n2.NotifyType.REKEY_SA:
            protocol = name_of(n2.ProtocolId, notify.protocol)
            return Rekey(_number(notify.spi), error, protocol, _made(about), about)
    offered = first(about.request, v2.SecurityAssociation)
    if offered is not None and any(one.protocol == 1 for one in offered.proposals):
        return RekeyIke(error, about)
    return CreateChild(error, _made(about), about)


def _informational(about: About, error: str) -> Exchange:
    deletes = every(about.request, v2.Delete)
    if any(one.protocol == n2.ProtocolId.IKE for one in deletes):
        return DeleteIke(error, about)
    if deletes:
        answered = (spi for one in every(about.response, v2.Delete) for spi in one.spis)
        return Delete(
            *(_number(spi) for one in deletes for spi in one.spis),
            error=error,
            protocol=name_of(n2.ProtocolId, deletes[0].protocol),
            answered=tuple(_number(spi) for spi in answered),
            about=about,
        )
    if not about.request:
        return Liveness(error, about)
    notifies = every(about.request, v2.Notify)
    names = tuple(name_of(n2.NotifyType, one.notify_type) for one in notifies)
    return Informational(names, error, about)


def _refusal(response: Sequence[Payload]) -> str:
    """The notify that refuses, in RFC words: an error, or the wish for a cookie."""
    for notify in every(response, v2.Notify):
        if notify.notify_type < FIRST_STATUS_TYPE or (
            notify.notify_type == n2.NotifyType.COOKIE and len(response) == 1
        ):
            return name_of(n2.NotifyType, notify.notify_type)
    return ""


def _identity(payloads: Sequence[Payload], payload_type: int) -> str:
    found = first(payloads, v2.Identification, payload_type)
    return "" if found is None else identity(found.id_type, found.data)


def _made(about: About) -> tuple[int, ...]:
    """The SPIs of the new CHILD_SA: the requester's and the responder's."""
    answer = first(about.response, v2.SecurityAssociation)
    offer = first(about.request, v2.SecurityAssociation)
    if answer is None or offer is None or not answer.proposals:
        return ()
    chosen = answer.proposals[0]
    spis = [one.spi for one in offer.proposals if one.number == chosen.number]
    return (*(_number(spi) for spi in spis[:1]), _number(chosen.spi))


def _number(spi: bytes) -> int:
    return int.from_bytes(spi, "big")


# -- IKEv1 ------------------------------------------------------------------------------------


def _exchange_v1(group: _Group, kind: int) -> Exchange:
    about, count = group.about, len(group.entries)
    match kind:
        case n1.ExchangeType.IDENTITY_PROTECTION:
            return MainMode(_stopped(count, 6), about)
        case n1.ExchangeType.AGGRESSIVE:
            return AggressiveMode(_stopped(count, 3), about)
        case n1.ExchangeType.QUICK_MODE:
            offers = [first(each.payloads, v1.SecurityAssociation) for _, each in group.entries]
            spis = [_first_spi(one.proposals) for one in offers if one is not None]
            made = tuple(_number(spi) for spi in spis if spi)
            return QuickMode(_stopped(count, 3), made, about)
        case n1.ExchangeType.INFORMATIONAL:
            return _informational_v1(about)
    return Other(hyphened(n1.ExchangeType, kind), "", about)


def _first_spi(proposals: Sequence[Proposal[v1.Transform]]) -> bytes:
    return proposals[0].spi if proposals else b""


def _stopped(count: int, whole: int) -> str:
    return "" if count >= whole else f"stopped after message {count}"


def _informational_v1(about: About) -> Exchange:
    deletes = every(about.request, v1.Delete)
    if any(one.protocol == n1.ProtocolId.ISAKMP for one in deletes):
        return DeleteIke("", about)
    if deletes:
        name = hyphened(n1.ProtocolId, deletes[0].protocol).removeprefix("IPSEC-")
        spis = (_number(spi) for one in deletes for spi in one.spis)
        return Delete(*spis, protocol=name, about=about)
    notifies = every(about.request, v1.Notification)
    return Informational(
        tuple(hyphened(n1.NotifyType, one.notify_type) for one in notifies), "", about
    )
