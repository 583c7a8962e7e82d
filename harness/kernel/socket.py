# SPDX-License-Identifier: GPL-2.0-or-later
"""A socket to the kernel's SAD and SPD in one network namespace (NETLINK_XFRM).

The sockets are the harness's own: pyroute2's belongs to the thread and the loop that make it and is
bound by that loop, whereas these are made without waiting while the thread is inside a node's
namespace, and used after it left. The messages are pyroute2's all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from harness.kernel.addresses import Address
from harness.kernel.channel import Channel
from harness.kernel.messages import Message, encode
from harness.kernel.numbers import PROTOCOLS, Attribute, MessageType, number
from harness.kernel.policy import Policy
from harness.kernel.policy_codec import read_policy, which_policy, write_policy, write_policy_id
from harness.kernel.sa import Mark, SaId, SecurityAssociation
from harness.kernel.sa_codec import read_sa, write_sa, write_sa_id
from harness.kernel.sad import Sad
from harness.kernel.selector import Selector
from harness.kernel.spd import Spd
from harness.kernel.structures import POLICY_INFO, SA_INFO
from harness.kernel.watch import EventStream, Listener, Recorder, Watch

ALL_PROTOCOLS = 255
SMALLEST_SPI = 0x100
"""Smaller ones are reserved (RFC 4303 section 2.1)."""
LARGEST_SPI = 0xFFFFFFFF
LARGEST_CPI = 0xFFFF


class XfrmSocket:
    """The SAs, the policies and the events of the network namespace that it was made in.

    Made without waiting; afterwards it belongs to one asyncio loop. Each request raises `XfrmError`
    with the kernel's number and sentence when the kernel refuses it. What a request changes has
    been told to the listeners when it returns. Also an async context manager, and an async
    iterator over events from the moment that the iteration is asked for.
    """

    def __init__(self) -> None:
        self._channel = Channel()
        self._watch = Watch()

    def close(self) -> None:
        """Close the socket; iterations over its events end. Closing twice is fine."""
        self._watch.close()
        self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Events.

    async def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every event from now on; returns what ends that.

        The kernel has taken the registration when this returns: whatever happens afterwards is
        told. When the kernel had to drop events the listener gets an `EventsLost`.
        """
        return self._watch.add(listener)

    async def record(self, recorder: Recorder) -> Callable[[], None]:
        """Like `subscribe`, for one who reads what it is told later, or not at all."""
        return self._watch.add_recorder(recorder)

    def __aiter__(self) -> EventStream:
        return EventStream(self._watch)

    # Snapshots.

    async def sad(self) -> Sad:
        """All SAs, reservations too.

        Up to about 80 come in one piece, as they are at one moment. More come in several pieces,
        and the kernel does not say when the SAD changes between two of them.
        """
        replies = await self._ask(MessageType.GETSA, {}, doing="reading the SAD", dump=True)
        return Sad(_sa_of(reply) for reply in replies)

    async def spd(self) -> Spd:
        """All policies, those of sockets and of type "sub" too; in pieces as in `sad`."""
        replies = await self._ask(MessageType.GETPOLICY, {}, doing="reading the SPD", dump=True)
        return Spd(_policy_of(reply) for reply in replies)

    # Security associations.

    async def add_sa(self, sa: SecurityAssociation) -> None:
        """Install an SA; EEXIST when there is one of this destination, SPI and protocol."""
        body, attributes = write_sa(sa)
        await self._ask(MessageType.NEWSA, body, attributes, doing=f"adding {sa}")

    async def update_sa(self, sa: SecurityAssociation) -> None:
        """Replace an SA, also one that only reserves the SPI; ESRCH when there is none."""
        body, attributes = write_sa(sa)
        await self._ask(MessageType.UPDSA, body, attributes, doing=f"updating {sa}")

    async def delete_sa(self, sa: SaId | SecurityAssociation) -> None:
        """Remove an SA; ESRCH when there is none."""
        body, attributes = write_sa_id(_id_of(sa))
        await self._ask(MessageType.DELSA, body, attributes, doing=f"deleting {_id_of(sa)}")

    async def get_sa(self, sa: SaId | SecurityAssociation) -> SecurityAssociation:
        """The SA as it is now; ESRCH when there is none."""
        body, attributes = write_sa_id(_id_of(sa))
        doing = f"reading {_id_of(sa)}"
        (reply,) = await self._ask(MessageType.GETSA, body, attributes, doing=doing)
        return _sa_of(reply)

    async def flush_sas(self, protocol: str | None = None) -> None:
        """Remove all SAs, or those of one protocol."""
        proto = ALL_PROTOCOLS if protocol is None else number(PROTOCOLS, protocol)
        doing = f"flushing the {protocol or 'whole'} SAD"
        await self._ask(MessageType.FLUSHSA, {"proto": proto}, doing=doing)

    async def allocate_spi(
        self,
        source: Address,
        destination: Address,
        *,
        protocol: str = "esp",
        mode: str = "tunnel",
        reqid: int = 0,
        between: tuple[int, int] | None = None,
        acquire_sequence: int = 0,
    ) -> SecurityAssociation:
        """Reserve a free SPI, in host order, and return the larval SA that does.

        `between` are the smallest and largest SPI; the kernel chooses, at random. `update_sa` with
        the same SPI and destination completes it. ENOENT when none is free. The reservation ends
        by itself after `net.core.xfrm_acq_expires` seconds. The kernel makes the larval SA
        before it looks for an SPI: when none is free, one without SPI is left behind.
        """
        largest = LARGEST_CPI if protocol == "comp" else LARGEST_SPI
        smallest, largest = between or (SMALLEST_SPI, largest)
        wanted = SecurityAssociation(
            spi=0,
            source=source,
            destination=destination,
            protocol=protocol,
            mode=mode,
            reqid=reqid,
            acquire_sequence=acquire_sequence,
        )
        info, _ = write_sa(wanted)
        body = {"info": SA_INFO.pack(**info), "minimum": smallest, "maximum": largest}
        doing = f"allocating an SPI for {protocol} from {source} to {destination}"
        (reply,) = await self._ask(MessageType.ALLOCSPI, body, doing=doing)
        return _sa_of(reply)

    # Policies.

    async def add_policy(self, policy: Policy) -> None:
        """Install a policy; EEXIST where there is one of this selector, direction and mark.

        Another priority makes no difference (Linux 5.10 and later).
        """
        body, attributes = write_policy(policy)
        await self._ask(MessageType.NEWPOLICY, body, attributes, doing=f"adding {policy}")

    async def update_policy(self, policy: Policy) -> None:
        """Install a policy, or replace the one of this selector, direction and mark."""
        body, attributes = write_policy(policy)
        await self._ask(MessageType.UPDPOLICY, body, attributes, doing=f"updating {policy}")

    async def delete_policy(
        self,
        selector: Selector,
        direction: str,
        *,
        index: int = 0,
        mark: Mark | None = None,
        if_id: int | None = None,
        type: str = "main",
    ) -> None:
        """Remove one policy; ENOENT when there is none.

        Without an index it is the first of exactly that selector, direction, mark and interface id,
        whatever its priority, as `ip xfrm policy delete` does. With an index the selector does not
        count, though the mark and the interface id still do.
        """
        body = write_policy_id(selector, direction, index)
        attributes = which_policy(mark, if_id, type)
        doing = f"deleting policy {direction} {selector}"
        await self._ask(MessageType.DELPOLICY, body, attributes, doing=doing)

    async def flush_policies(self, type: str = "main") -> None:
        """Remove all policies of a type, but those of sockets."""
        attributes = which_policy(None, None, type)
        await self._ask(MessageType.FLUSHPOLICY, {}, attributes, doing="flushing the SPD")

    async def flush(self) -> None:
        """Remove all SAs and all policies of the namespace, but those of sockets."""
        await self.flush_sas()
        await self.flush_policies()

    async def _ask(
        self,
        kind: MessageType,
        body: dict[str, Any],
        attributes: Sequence[tuple[Attribute, bytes]] = (),
        *,
        doing: str,
        dump: bool = False,
    ) -> list[Message]:
        replies = await self._channel.ask(encode(kind, body, attributes), doing, dump=dump)
        # The kernel tells of a change before it acknowledges the request, so it is here by now.
        self._watch.deliver()
        return replies


def _id_of(sa: SaId | SecurityAssociation) -> SaId:
    return sa.id if isinstance(sa, SecurityAssociation) else sa


def _sa_of(message: Message) -> SecurityAssociation:
    return read_sa(message.payload, message.attributes(SA_INFO.size))


def _policy_of(message: Message) -> Policy:
    return read_policy(message.payload, message.attributes(POLICY_INFO.size))
