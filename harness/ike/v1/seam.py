# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a test may stand between the engine and the wire; `script` is what stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.ike.address import Datagram, Path
from harness.ike.constants_v1 import Flag
from harness.ike.payload import Payload
from harness.ike.wire import Message


@dataclass(frozen=True, slots=True)
class Plain:
    """A message whose payloads are in clear, and the path that it takes (own end first).

    Everything in `message` is written as it stands, so that a test can forge any field. `padding`
    is what stands behind the payloads before they are encrypted, None for what the connection
    says; zeros fill its last block.
    """

    message: Message
    path: Path
    padding: bytes | None = None

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The payloads in clear."""
        return self.message.payloads

    @property
    def protected(self) -> bool:
        """Whether it is encrypted on the wire."""
        return bool(self.message.flags & Flag.ENCRYPTION)

    def is_exchange(self, exchange: int) -> bool:
        """Whether it belongs to an exchange of that type."""
        return self.message.exchange == exchange

    def forged(self, **changes: Any) -> Plain:
        """The same message with other header fields or payloads, by their names in `Message`."""
        return replace(self, message=replace(self.message, **changes))


class Seam(Protocol):
    """Sees every message of an endpoint in clear and may change what becomes of it."""

    def sending(self, plain: Plain) -> Plain | None:
        """The message to seal in place of this one, or None for none at all; asked once each.

        In phase 2 the HASH is made afterwards, unless the payloads already begin with one. A
        message without the encryption flag goes out in clear, and without a HASH.
        """
        ...

    def transmitting(self, plain: Plain, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
        """What goes out in place of these datagrams; asked again for each repetition."""
        ...

    def receiving(self, plain: Plain, arrived: Datagram) -> Plain | None:
        """The message to process in place of one that was opened, or None for none.

        `arrived` is what it came in: a held message is received again by giving that to the
        endpoint.
        """
        ...


class Transparent:
    """Leaves every message as it is."""

    def sending(self, plain: Plain) -> Plain | None:
        """See Seam."""
        return plain

    def transmitting(self, plain: Plain, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
        """See Seam."""
        return datagrams

    def receiving(self, plain: Plain, arrived: Datagram) -> Plain | None:
        """See Seam."""
        return plain
