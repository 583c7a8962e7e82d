# SPDX-License-Identifier: GPL-2.0-or-later
"""One try for each capability of a kernel: it returns when the kernel can, else raises its refusal.

To be run in namespaces that are thrown away afterwards. XfrmError and OSError are refusals.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from harness.kernel.algorithms import Algorithm
from harness.kernel.channel import Channel
from harness.kernel.errors import XfrmError, sentence_of
from harness.kernel.messages import ATTRIBUTE_HEADER, HEADER, aligned
from harness.kernel.policy import Policy
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, Mark, SecurityAssociation
from harness.kernel.selector import Selector
from harness.kernel.socket import XfrmSocket

Try = Callable[[], Awaitable[None]]

SPI = 0x1000
LOOPBACK = 1
NETLINK_ROUTE = 0
RTM_NEWLINK, RTM_NEWQDISC = 16, 36
CREATE = 0x600
"""NLM_F_CREATE and NLM_F_EXCL."""
IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA = 18, 1, 2
IFLA_XFRM_LINK, IFLA_XFRM_IF_ID = 1, 2
TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT = 0xFFFFFFFF
QUEUE_LIMIT = 1000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
AF_KEY, PF_KEY_V2 = 15, 2
ESP_IN_UDP_PORT = 4500
NAT_RULES = b"""
table ip probe {
  chain translate {
    type nat hook postrouting priority srcnat;
    ip protocol udp masquerade
    ct state new accept
  }
}
"""
PATIENCE = 10.0
"""Seconds that a program may take on a busy machine."""

PLAIN = SecurityAssociation(SPI, IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
SELECTOR = Selector(IPv4Network("192.0.2.1"), IPv4Network("192.0.2.2"))
AES = Algorithm("cbc(aes)", bytes(range(16)))
SHA2_256 = Algorithm("hmac(sha256)", bytes(range(32)), 128)
ESP = replace(PLAIN, encryption=AES, integrity=SHA2_256)

# Sizes of keys in bytes; those of counter modes and AEADs with the salt at their end.
AEADS: Mapping[str, tuple[Sequence[int], int]] = {
    "rfc4106(gcm(aes))": ((20, 28, 36), 128),
    "rfc7539esp(chacha20,poly1305)": ((36,), 128),
    "rfc4309(ccm(aes))": ((19, 27, 35), 128),
}
CIPHERS: Mapping[str, Sequence[int]] = {
    "cbc(aes)": (16, 24, 32),
    "cbc(des)": (8,),
    "cbc(des3_ede)": (24,),
    "cbc(blowfish)": (5, 16, 56),
    "cbc(cast5)": (5, 16),
    "cbc(camellia)": (16, 24, 32),
    "cbc(serpent)": (16, 24, 32),
    "cbc(twofish)": (16, 24, 32),
    "rfc3686(ctr(aes))": (20, 28, 36),
    "ecb(cipher_null)": (0,),
}
MACS: Mapping[str, tuple[int, int]] = {
    "hmac(md5)": (16, 96),
    "hmac(sha1)": (20, 96),
    "hmac(sha256)": (32, 128),
    "hmac(sha384)": (48, 192),
    "hmac(sha512)": (64, 256),
    "xcbc(aes)": (16, 96),
    "cmac(aes)": (16, 96),
}


def _key(size: int) -> bytes:
    """A key that no cipher calls weak: no two of its parts are equal (RFC 2451 section 2.4)."""
    return bytes(range(1, size + 1))


async def _install(*sas: SecurityAssociation) -> None:
    async with XfrmSocket() as xfrm:
        for sa in sas:
            await xfrm.add_sa(sa)
            held = await xfrm.get_sa(sa)
            await xfrm.delete_sa(sa)
            if sa.esn != held.esn or sa.encapsulation != held.encapsulation:
                raise XfrmError(errno.EOPNOTSUPP, "the kernel ignores a part of the SA")


def _installs(*sas: SecurityAssociation) -> Try:
    return lambda: _install(*sas)


def _aead(name: str, sizes: Sequence[int], icv_bits: int) -> Try:
    return _installs(*(replace(PLAIN, aead=Algorithm(name, _key(n), icv_bits)) for n in sizes))


def _cipher(name: str, sizes: Sequence[int]) -> Try:
    return _installs(*(replace(ESP, encryption=Algorithm(name, _key(size))) for size in sizes))


def _mac(name: str, size: int, icv_bits: int) -> Try:
    return _installs(replace(ESP, integrity=Algorithm(name, _key(size), icv_bits)))


async def _policy(policy: Policy) -> None:
    async with XfrmSocket() as xfrm:
        await xfrm.add_policy(policy)
        (held,) = await xfrm.spd()
        await xfrm.flush_policies()
    if (held.mark, held.if_id) != (policy.mark, policy.if_id):
        raise XfrmError(errno.EOPNOTSUPP, "the kernel ignores a part of the policy")


async def marks() -> None:
    """A policy for marked packets."""
    await _policy(Policy(SELECTOR, "out", mark=Mark(0x2A)))


async def xfrm_interface() -> None:
    """An XFRM interface, and a policy that is bound to it."""
    link = _attribute(IFLA_XFRM_LINK, struct.pack("=I", LOOPBACK))
    data = link + _attribute(IFLA_XFRM_IF_ID, struct.pack("=I", 42))
    info = _attribute(IFLA_INFO_KIND, b"xfrm\0") + _attribute(IFLA_INFO_DATA, data)
    body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
    await _route(RTM_NEWLINK, body + _attribute(IFLA_LINKINFO, info))
    await _policy(Policy(SELECTOR, "out", if_id=42))


async def udp_encapsulation() -> None:
    """A UDP socket that hands ESP to the kernel, and an SA to go with it (RFC 3948)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    encapsulation = Encapsulation("espinudp", ESP_IN_UDP_PORT, ESP_IN_UDP_PORT)
    await _install(replace(ESP, encapsulation=encapsulation))


async def af_key() -> None:
    """A PF_KEYv2 socket (RFC 2367)."""
    socket.socket(AF_KEY, socket.SOCK_RAW, PF_KEY_V2).close()


async def netem() -> None:
    """A queue that delays, loses and reorders."""
    body = struct.pack("=BBHiIII", 0, 0, 0, LOOPBACK, 0, TC_H_ROOT, 0)
    options = struct.pack("=6I", 0, QUEUE_LIMIT, 0, 0, 0, 0)
    kind = _attribute(TCA_KIND, b"netem\0") + _attribute(TCA_OPTIONS, options)
    await _route(RTM_NEWQDISC, body + kind)


async def tun() -> None:
    """A TUN device."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"", IFF_TUN | IFF_NO_PI))
    finally:
        os.close(device)


async def overlay() -> None:
    """An overlay file system with its upper layer on a tmpfs."""
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(kind: bytes, place: str, data: str) -> None:
        if libc.mount(kind, place.encode(), kind, 0, data.encode()) < 0:
            code = ctypes.get_errno()
            raise OSError(code, sentence_of(code))

    # Seen by nobody else: the mounts of this thread are its own and end with it.
    place = tempfile.gettempdir()
    mount(b"tmpfs", place, "mode=700")
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{place}/{name}")
    layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    mount(b"overlay", f"{place}/merged", layers)


async def nat() -> None:
    """Address translation by nftables, with connection tracking."""
    # The loop is the probe's own and has nothing else to do while the program runs.
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input=NAT_RULES, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise XfrmError(errno.ETIMEDOUT, f"nft did not end within {PATIENCE:g} s") from None
    if done.returncode:
        first = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise XfrmError(errno.EOPNOTSUPP, first or f"nft ended with status {done.returncode}")


TRIES: Mapping[str, Try] = {
    "esp": _installs(ESP),
    "ah": _installs(replace(PLAIN, protocol="ah", integrity=SHA2_256)),
    "ipcomp": _installs(
        replace(PLAIN, protocol="comp", mode="transport", compression=Algorithm("deflate"))
    ),
    "esn": _installs(replace(ESP, esn=True, replay=Replay(window=64))),
    "policy": lambda: _policy(Policy(SELECTOR, "out")),
    "marks": marks,
    "xfrm-interface": xfrm_interface,
    "udp-encapsulation": udp_encapsulation,
    "af_key": af_key,
    "netem": netem,
    "tun": tun,
    "overlay": overlay,
    "nat": nat,
    **{name: _aead(name, sizes, icv_bits) for name, (sizes, icv_bits) in AEADS.items()},
    **{name: _cipher(name, sizes) for name, sizes in CIPHERS.items()},
    **{name: _mac(name, size, icv_bits) for name, (size, icv_bits) in MACS.items()},
}
"""What to try for each capability, by its name."""


async def _route(kind: int, payload: bytes) -> None:
    channel = Channel(NETLINK_ROUTE)
    try:
        header = HEADER.pack(HEADER.size + len(payload), kind, 0, 0, 0)
        await channel.ask(header + payload, "probing", flags=CREATE)
    finally:
        channel.close()


def _attribute(kind: int, payload: bytes) -> bytes:
    size = ATTRIBUTE_HEADER.size + len(payload)
    return (ATTRIBUTE_HEADER.pack(size, kind) + payload).ljust(aligned(size), b"\0")
