# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a test may stand between the engine and the wire; `script` is what stands there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.ike.address import Datagram
from harness.ike.payload import Payload
from harness.ike.v2.message import Plain


class Seam(Protocol):
    """Sees every message of an endpoint in clear and may change what becomes of it."""

    def sending(self, plain: Plain) -> Plain | None:
        """The message to seal in place of this one, or None for none at all; asked once each."""
        ...

    def transmitting(self, plain: Plain, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
        """What goes out in place of these datagrams; asked again for each repetition."""
        ...

    def receiving(self, plain: Plain, arrived: Datagram) -> Plain | None:
        """The message to process in place of one that was opened, or None for none.

        `arrived` is what it came in, or the last fragment; a held message is received again by
        giving that to the endpoint.
        """
        ...

    def answering(self, request: Plain) -> Sequence[Payload] | None:
        """The payloads to answer with, without the engine's knowledge; None leaves it alone."""
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

    def answering(self, request: Plain) -> Sequence[Payload] | None:
        """See Seam."""
        return None
