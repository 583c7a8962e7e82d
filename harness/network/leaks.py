# SPDX-License-Identifier: GPL-2.0-or-later
"""What crossed a wire in clear that should have been protected."""

from collections.abc import Collection, Iterable
from ipaddress import ip_address

from harness.capture.frames import AH, ESP, Esp, Headers, dissect
from harness.capture.recording import Frame
from harness.network.topology import Address, Subnet


def in_clear(
    frames: Iterable[Frame], markers: Collection[bytes] = (), inner: Collection[Subnet] = ()
) -> list[Frame]:
    """Return the frames that show what ESP or AH should have covered.

    That is a frame with one of `markers` in it, those of a flow, or an IP packet from one of the
    `inner` subnets to another one, in either case outside ESP (in UDP or not) and AH. A packet
    that is only authenticated is covered: whether it should be encrypted is the SA's affair.
    """
    return [frame for frame in frames if _is_clear(frame.data, markers, inner)]


def _is_clear(data: bytes, markers: Collection[bytes], inner: Collection[Subnet]) -> bool:
    marked = any(marker in data for marker in markers)
    if not marked and not inner:
        return False
    headers = dissect(data)
    if headers.protocol in (ESP, AH) or isinstance(headers.carried, Esp):
        return False
    return marked or _is_inner(headers, inner)


def _is_inner(headers: Headers, inner: Collection[Subnet]) -> bool:
    if headers.protocol < 0:
        return False
    source = _subnet(ip_address(headers.source), inner)
    destination = _subnet(ip_address(headers.destination), inner)
    return source is not None and destination is not None and source != destination


def _subnet(address: Address, subnets: Collection[Subnet]) -> Subnet | None:
    return next((subnet for subnet in subnets if address in subnet), None)
