# SPDX-License-Identifier: GPL-2.0-or-later
"""The two halves of a pair as SAs of the kernel."""

from __future__ import annotations

from ipaddress import ip_address

from harness.daemon.data_plane import DataPlaneError
from harness.daemon.sa_pair import SaPair
from harness.ike.address import Address
from harness.ike.esp import EspSa
from harness.kernel.algorithms import Algorithm
from harness.kernel.lifetimes import Lifetimes
from harness.kernel.numbers import NO_SA_FLAGS, SaFlag
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, SecurityAssociation


def inbound_sa(pair: SaPair) -> SecurityAssociation:
    """The half that is received with: its soft lifetime asks for the rekeying of both."""
    soft = Lifetimes(
        soft_seconds=pair.rekey_after,
        hard_seconds=pair.life,
        soft_bytes=pair.rekey_octets or None,
        hard_bytes=pair.octets or None,
    )
    return _sa(pair, pair.inbound, pair.path.remote, pair.path.local, soft, pair.replay_window)


def outbound_sa(pair: SaPair) -> SecurityAssociation:
    """The half that is sent with."""
    hard = Lifetimes(
        hard_seconds=pair.life,
        soft_bytes=pair.rekey_octets or None,
        hard_bytes=pair.octets or None,
    )
    # It needs no window, though the kernel wants one for extended sequence numbers.
    window = pair.replay_window if pair.outbound.esn else 0
    return _sa(pair, pair.outbound, pair.path.local, pair.path.remote, hard, window)


def _sa(
    pair: SaPair,
    half: EspSa,
    source: Address,
    destination: Address,
    lifetimes: Lifetimes,
    window: int,
) -> SecurityAssociation:
    encryption, aead = _encryption(half)
    encapsulation = None
    if pair.encapsulated:
        encapsulation = Encapsulation("espinudp", source.port, destination.port)
    return SecurityAssociation(
        spi=half.spi,
        source=ip_address(source.host),
        destination=ip_address(destination.host),
        mode="transport" if pair.transport else "tunnel",
        reqid=pair.reqid,
        encryption=encryption,
        integrity=_integrity(half),
        aead=aead,
        lifetimes=lifetimes,
        replay=Replay(window),
        esn=half.esn,
        # A tunnel takes packets of either IP version, whatever the outer one is.
        flags=NO_SA_FLAGS if pair.transport else SaFlag.AF_UNSPEC,
        encapsulation=encapsulation,
    )


def _encryption(half: EspSa) -> tuple[Algorithm | None, Algorithm | None]:
    record = half.encryption
    name = record.names.xfrm
    if name is None:
        raise DataPlaneError(f"the kernel has no {record.name}; use the userspace data plane")
    if record.combined:
        return None, Algorithm(name, half.encryption_key, record.icv_size * 8)
    return Algorithm(name, half.encryption_key), None


def _integrity(half: EspSa) -> Algorithm | None:
    record = half.integrity
    if record is None or half.encryption.combined:
        return None
    if record.names.xfrm is None:
        raise DataPlaneError(f"the kernel has no {record.name}; use the userspace data plane")
    return Algorithm(record.names.xfrm, half.integrity_key, record.icv_bits)
