# SPDX-License-Identifier: GPL-2.0-or-later
"""Quick Mode: three messages that make a pair of IPsec SAs (RFC 2409 5.5).

    HASH(1), SA, Ni [, KE ] [, IDci, IDcr ]  ->
                                   <-  HASH(2), SA, Nr [, KE ] [, IDci, IDcr ]
    HASH(3)  ->

The responder can receive once it has sent the second message, and must not send before the third
has shown that the initiator can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.ike.address import Path
from harness.ike.attributes import decode_attributes, encode_attributes
from harness.ike.chance import Draw, Purpose
from harness.ike.constants_v1 import IpsecAttribute, NotifyType, ProtocolId
from harness.ike.key_exchange import InvalidKeyExchangeData, Share, secret_size, share
from harness.ike.keys import DirectionKeys
from harness.ike.keys_v1 import phase2_keys, quick_mode_hash1, quick_mode_hash2, quick_mode_hash3
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload, every, first
from harness.ike.payloads_v1 import (
    Identification,
    KeyExchange,
    NatOriginalAddress,
    Nonce,
    Notification,
    SecurityAssociation,
)
from harness.ike.transforms import KeyExchange as Group
from harness.ike.v1 import phase2_proposals as proposals
from harness.ike.v1.configuration import Child, Connection, Lifetime
from harness.ike.v1.identity import OWN_ADDRESS, Identity, address_identity, read_identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.isakmp_sa import IsakmpSa
from harness.ike.v1.lifetimes import lifetime_attributes, read_lifetime, shorter_lifetime
from harness.ike.v1.nat_traversal import NatSituation
from harness.ike.v1.phase2_proposals import Phase2Choice
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored, Refusal, Unacceptable
from harness.ike.v1.translated import seen_as

A = IpsecAttribute
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a Quick Mode takes from the ISAKMP SA that it runs under."""

    isakmp: IsakmpSa
    connection: Connection
    path: Path
    nat: NatSituation
    draw: Draw


@dataclass(frozen=True, slots=True)
class QuickStep:
    """What a message leads to: payloads to send or None, an IPsec SA, and whether that is all."""

    payloads: tuple[Payload, ...] | None = None
    sa: IpsecSa | None = None
    done: bool = False


class QuickMode:
    """One Quick Mode. `child` is None for a responder until the identities have chosen one."""

    def __init__(
        self, setting: Setting, message_id: int, spi: bytes, child: Child | None = None
    ) -> None:
        self.child = child
        self.message_id = message_id
        self.initiator = child is not None
        self.sa: IpsecSa | None = None
        self._setting = setting
        self._spi = spi
        self._nonce_i = b""
        self._nonce_r = b""
        self._offer: SecurityAssociation | None = None
        self._share: Share | None = None
        self._identities: tuple[Identity, Identity] | None = None
        self._received = 0

    @property
    def spi(self) -> bytes:
        """The SPI on which this end will receive."""
        return self._spi

    def hash_of(self, number: int, rest: bytes) -> bytes:
        """HASH(1), HASH(2) or HASH(3) over the rest of a message."""
        digest, key = self._setting.isakmp.choice.hash, self._setting.isakmp.keys.a
        if number == 1:
            return quick_mode_hash1(digest, key, self.message_id, rest)
        if number == 2:
            return quick_mode_hash2(digest, key, self.message_id, self._nonce_i, rest)
        return quick_mode_hash3(digest, key, self.message_id, self._nonce_i, self._nonce_r)

    @property
    def awaited(self) -> int:
        """The number of the message that the peer sends next: 1, 2 or 3."""
        return 2 if self.initiator else 1 + 2 * min(self._received, 1)

    def start(self) -> tuple[Payload, ...]:
        """The payloads of the first message, without HASH."""
        child = self._wanted()
        mode = self._setting.nat.mode(child.transport)
        self._offer = proposals.offer(child, mode, self._spi)
        self._nonce_i = self._new_nonce()
        self._identities = self._ends(child)
        return (self._offer, Nonce(self._nonce_i), *self._own_value(child.pfs), *self._trailer())

    def receive(self, payloads: tuple[Payload, ...], children: Sequence[Child]) -> QuickStep:
        """What the peer's next message leads to; raises `Refusal` and `Ignored`.

        `payloads` are authentic and without HASH; `children` are what a responder may choose from.
        """
        if self.initiator:
            step = self._take_answer(payloads)
        elif self._received == 0:
            step = self._take_offer(payloads, children)
        else:
            step = QuickStep(None, self.sa, done=True)
        self._received += 1
        return step

    def _take_answer(self, payloads: tuple[Payload, ...]) -> QuickStep:
        """Message 2, answered with message 3."""
        child = self._wanted()
        assert self._offer is not None
        choice, peer_spi = proposals.check_answer(
            self._offer, _needed(payloads, SecurityAssociation)
        )
        returned = _identities(payloads)
        if returned is not None and self._seen_here(child, *returned) != self._ends(child):
            # Nothing is said to the peer, as a SEIL router says nothing.
            raise Refusal(
                Reason.MISMATCHED_ID,
                None,
                f"mismatched ID was returned: {returned[0]} and {returned[1]}"
                f" instead of {' and '.join(map(str, self._ends(child)))}",
            )
        self._nonce_r = _needed(payloads, Nonce).data
        lifetime = shorter_lifetime(choice.lifetime, _announced(payloads) or choice.lifetime)
        shared = self._agree(choice, payloads)
        self.sa = self._build(child, choice, peer_spi, shared, lifetime)
        return QuickStep((), self.sa, done=True)

    def _take_offer(self, payloads: tuple[Payload, ...], children: Sequence[Child]) -> QuickStep:
        """Message 1, answered with message 2."""
        offered = _needed(payloads, SecurityAssociation)
        self._nonce_i = _needed(payloads, Nonce).data
        asked = _identities(payloads)
        self._identities = asked
        child = self.child = self._chosen(asked, children)
        situation = self._setting.nat
        modes = frozenset({situation.mode(child.transport)})
        selection = proposals.select(offered, child, modes)
        self._nonce_r = self._new_nonce()
        value = self._own_value(selection.choice.pfs)
        shared = self._agree(selection.choice, payloads)
        self.sa = self._build(
            child, selection.choice, selection.peer_spi, shared, selection.lifetime.lifetime
        )
        told: tuple[Payload, ...] = ()
        if selection.lifetime.announce:
            told = (_announcement(selection.choice, self._spi),)
        own = (selection.answer(self._spi), Nonce(self._nonce_r))
        return QuickStep((*own, *value, *self._trailer(), *told), self.sa)

    def _chosen(self, asked: tuple[Identity, Identity] | None, children: Sequence[Child]) -> Child:
        """The child for the identities, which without any are the addresses (RFC 2409 5.5)."""
        path = self._setting.path
        pair = asked or (address_identity(path.remote.host), address_identity(path.local.host))
        ends = [self._ends(child) for child in children]
        for child, own in zip(children, ends, strict=True):
            if self._seen_here(child, pair[1], pair[0]) == own:
                return child
        known = "; ".join(f"{remote} and {local}" for local, remote in ends) or "nothing"
        raise Refusal(
            Reason.INVALID_ID,
            NotifyType.INVALID_ID_INFORMATION,
            f"the peer asks for {pair[0]} and {pair[1]}; configured {known}",
        )

    def _ends(self, child: Child) -> tuple[Identity, Identity]:
        """What the child protects, here and there."""
        path = self._setting.path
        local, remote = (
            address_identity(end.host) if identity == OWN_ADDRESS else identity
            for identity, end in ((child.local, path.local), (child.remote, path.remote))
        )
        return local, remote

    def _seen_here(
        self, child: Child, local: Identity, remote: Identity
    ) -> tuple[Identity, Identity]:
        """Received identities as they are to be looked up here: where a NAT is, not as it said."""
        situation, path = self._setting.nat, self._setting.path
        return (
            seen_as(local, path.local) if child.transport and situation.local else local,
            seen_as(remote, path.remote) if child.transport and situation.remote else remote,
        )

    def _trailer(self) -> tuple[Payload, ...]:
        """ID payloads, and with transport mode through a NAT also NAT-OA (RFC 3947 5.2)."""
        ids = () if self._identities is None else tuple(
            identity.payload() for identity in self._identities
        )  # fmt: skip
        situation, path = self._setting.nat, self._setting.path
        if not situation.present or not self._wanted().transport:
            return ids
        ends = (path.local, path.remote) if self.initiator else (path.remote, path.local)
        kind = 131 if situation.draft else 21
        addresses = tuple(address_identity(end.host) for end in ends)
        return (*ids, *(NatOriginalAddress(one.id_type, one.data, kind) for one in addresses))

    def _wanted(self) -> Child:
        assert self.child is not None
        return self.child

    def _new_nonce(self) -> bytes:
        return self._setting.draw(Purpose.NONCE, self._setting.connection.nonce_size)

    def _own_value(self, group: Group | None) -> tuple[Payload, ...]:
        if group is None:
            return ()
        self._share = share(group, self._setting.draw(Purpose.SECRET, secret_size(group)))
        return (KeyExchange(self._share.public),)

    def _agree(self, choice: Phase2Choice, payloads: tuple[Payload, ...]) -> bytes:
        """The secret of the Quick Mode's own key exchange, empty without PFS."""
        value = first(payloads, KeyExchange)
        if choice.pfs is None or self._share is None:
            return b""
        try:
            if value is None:
                raise InvalidKeyExchangeData(f"{choice.pfs.name} was agreed on without a KE")
            return self._share.agree(value.data)
        except InvalidKeyExchangeData as error:
            raise Refusal(
                Reason.INVALID_KEY, NotifyType.INVALID_KEY_INFORMATION, str(error)
            ) from None

    def _build(
        self, child: Child, choice: Phase2Choice, peer_spi: bytes, shared: bytes, lifetime: Lifetime
    ) -> IpsecSa:
        setting = self._setting
        inbound, outbound = (
            phase2_keys(
                setting.isakmp.choice.hash, setting.isakmp.keys.d, ProtocolId.IPSEC_ESP, spi,
                self._nonce_i, self._nonce_r, choice.encryption, choice.integrity, shared,
            )
            for spi in (self._spi, peer_spi)
        )  # fmt: skip
        return IpsecSa(
            child.name,
            setting.connection.name,
            self._spi,
            peer_spi,
            choice.encryption,
            choice.integrity,
            choice.pfs,
            *self._ends(child),
            choice.transport,
            choice.encapsulated,
            DirectionKeys(inbound.encryption, inbound.integrity),
            DirectionKeys(outbound.encryption, outbound.integrity),
            self.initiator,
            setting.path,
            lifetime,
            self._nonce_i,
            self._nonce_r,
        )


def _needed(payloads: tuple[Payload, ...], kind: type[P]) -> P:
    found = first(payloads, kind)
    if found is None:
        raise Ignored(f"a Quick Mode message without {kind.__name__}")
    return found


def _announced(payloads: tuple[Payload, ...]) -> Lifetime | None:
    """What a RESPONDER-LIFETIME says, or None; what cannot be read is not followed."""
    for notify in every(payloads, Notification):
        if notify.notify_type == NotifyType.RESPONDER_LIFETIME:
            try:
                attributes = decode_attributes(notify.data, 0, len(notify.data))
                return read_lifetime(attributes, A.SA_LIFE_TYPE, A.SA_LIFE_DURATION)
            except (Malformed, Unacceptable):
                return None
    return None


def _announcement(choice: Phase2Choice, spi: bytes) -> Notification:
    """RESPONDER-LIFETIME: the responder's own, shorter lifetime (RFC 2407 4.6.3.1)."""
    attributes = lifetime_attributes(choice.lifetime, A.SA_LIFE_TYPE, A.SA_LIFE_DURATION)
    return Notification(
        NotifyType.RESPONDER_LIFETIME, encode_attributes(attributes), ProtocolId.IPSEC_ESP, spi
    )


def _identities(payloads: tuple[Payload, ...]) -> tuple[Identity, Identity] | None:
    """IDci and IDcr, or None where there are none; raises `Ignored` for one alone."""
    found = [read_identity(one) for one in every(payloads, Identification)]
    if not found:
        return None
    if len(found) != 2:
        raise Ignored(f"a Quick Mode message with {len(found)} identities")
    return found[0], found[1]
