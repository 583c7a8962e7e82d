# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs between the harness and iproute2, both ways, in a kernel that has ESP."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from harness.kernel.algorithms import Algorithm
from harness.kernel.lifetimes import UNUSED, Lifetimes
from harness.kernel.numbers import SaExtraFlag, SaFlag
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, Mark, SecurityAssociation
from harness.kernel.selector import Selector
from harness.kernel.socket import XfrmSocket
from tests.kernel.namespaces import Namespace
from tests.kernel.values import (
    ALICE,
    BOB,
    CBC,
    ESP,
    EVERYTHING,
    EVERYTHING6,
    GCM,
    MOON,
    MOON6,
    SHA,
    SUN,
    SUN6,
    TRANSPORT,
)

pytestmark = pytest.mark.needs("esp")

Body = Callable[[XfrmSocket], Coroutine[Any, Any, None]]

ENDS = "src 192.0.2.1 dst 192.0.2.2"
ENDS6 = "src 2001:db8::1 dst 2001:db8::2"
GCM_WORDS = f"aead {GCM.name} 0x{GCM.key.hex()} 128"
CBC_WORDS = f"enc {CBC.name} 0x{CBC.key.hex()}"
SHA_WORDS = f"auth-trunc {SHA.name} 0x{SHA.key.hex()} 128"
ANY = Selector(EVERYTHING, EVERYTHING)
PLAIN = replace(ESP, reqid=0, selector=ANY)
PLAIN_WORDS = f"{ENDS} proto esp spi 0x1000 mode tunnel"
CHACHA = Algorithm("rfc7539esp(chacha20,poly1305)", bytes(36), 128)
CCM = Algorithm("rfc4309(ccm(aes))", bytes(19), 64)
SHA1 = Algorithm("hmac(sha1)", bytes(20), 160)
SHA2_256_DEFAULT = replace(SHA, icv_bits=96)
NULL = Algorithm("ecb(cipher_null)")

SAS: dict[str, SecurityAssociation] = {
    f"{PLAIN_WORDS} {GCM_WORDS}": PLAIN,
    f"{PLAIN_WORDS} reqid 7 aead {CHACHA.name} 0x{CHACHA.key.hex()} 128": replace(
        PLAIN, reqid=7, aead=CHACHA
    ),
    f"{PLAIN_WORDS} aead {CCM.name} 0x{CCM.key.hex()} 64": replace(PLAIN, aead=CCM),
    f"{ENDS} proto esp spi 0x1000 reqid 1 mode transport {CBC_WORDS} {SHA_WORDS}": replace(
        TRANSPORT, selector=ANY
    ),
    # Without a truncation the kernel takes its own, which for SHA2-256 is not RFC 4868's 128.
    f"{PLAIN_WORDS} {CBC_WORDS} auth {SHA.name} 0x{SHA.key.hex()}": replace(
        PLAIN, aead=None, encryption=CBC, integrity=SHA2_256_DEFAULT
    ),
    f"{ENDS} proto ah spi 0x1000 mode transport"
    f" auth-trunc {SHA1.name} 0x{SHA1.key.hex()} 160": replace(
        PLAIN, protocol="ah", mode="transport", aead=None, integrity=SHA1
    ),
    f"{ENDS} proto comp spi 0x1000 mode transport comp deflate": replace(
        PLAIN, protocol="comp", mode="transport", aead=None, compression=Algorithm("deflate")
    ),
    f"{ENDS} proto esp spi 0x1000 mode beet {GCM_WORDS}": replace(
        PLAIN, mode="beet", selector=Selector(ALICE, BOB)
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} mark 0x2a mask 0xff if_id 0x17 output-mark 0x5 mask 0xf": replace(
        PLAIN, mark=Mark(0x2A, 0xFF), if_id=0x17, output_mark=Mark(5, 15)
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} replay-window 32 replay-seq 0x5 replay-oseq 0x7": replace(
        PLAIN, replay=Replay(32, seq=5, oseq=7)
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} replay-window 128 flag esn"
    " replay-seq 5 replay-oseq 7 replay-seq-hi 1 replay-oseq-hi 2": replace(
        PLAIN, esn=True, replay=Replay(128, 5, 7, 1, 2)
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} replay-window 100": replace(PLAIN, replay=Replay(100)),
    f"{PLAIN_WORDS} {GCM_WORDS} limit time-soft 100 limit time-hard 200 limit time-use-soft 300"
    " limit time-use-hard 400 limit byte-soft 1000 limit byte-hard 2000 limit packet-soft 10"
    " limit packet-hard 20": replace(
        PLAIN, lifetimes=Lifetimes(100, 200, 300, 400, 1000, 2000, 10, 20)
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} encap espinudp 4500 30001 0.0.0.0": replace(
        PLAIN, encapsulation=Encapsulation("espinudp", 4500, 30001)
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} encap espinudp 4500 4500 10.0.0.7": replace(
        PLAIN, encapsulation=Encapsulation("espinudp", 4500, 4500, ip_address("10.0.0.7"))
    ),
    f"{PLAIN_WORDS} {GCM_WORDS} flag noecn decap-dscp nopmtudisc wildrecv icmp align4"
    " extra-flag dont-encap-dscp oseq-may-wrap": replace(
        PLAIN,
        flags=SaFlag.NOECN
        | SaFlag.DECAP_DSCP
        | SaFlag.NOPMTUDISC
        | SaFlag.WILDRECV
        | SaFlag.ICMP
        | SaFlag.ALIGN4,
        extra_flags=SaExtraFlag.DONT_ENCAP_DSCP | SaExtraFlag.OSEQ_MAY_WRAP,
    ),
    f"{ENDS6} proto esp spi 0xfffffffe mode transport {CBC_WORDS} {SHA_WORDS}"
    " sel src 2001:db8::1/128 dst 2001:db8::2/128 proto 6 sport 1024 dport 443": replace(
        TRANSPORT,
        spi=0xFFFFFFFE,
        source=MOON6,
        destination=SUN6,
        reqid=0,
        selector=Selector(ip_network(MOON6), ip_network(SUN6), 6, 1024, 443),
    ),
    f"{ENDS6} proto esp spi 0x1000 mode tunnel {GCM_WORDS}"
    " sel src 10.1.0.0/16 dst 10.2.0.0/16": replace(
        PLAIN, source=MOON6, destination=SUN6, selector=Selector(ALICE, BOB)
    ),
    f"{ENDS6} proto esp spi 0x1000 mode tunnel {GCM_WORDS}": replace(
        PLAIN, source=MOON6, destination=SUN6, selector=Selector(EVERYTHING6, EVERYTHING6)
    ),
    f"{ENDS6} proto esp spi 0x1000 mode tunnel {GCM_WORDS} flag af-unspec": replace(
        PLAIN, source=MOON6, destination=SUN6, selector=None, flags=SaFlag.AF_UNSPEC
    ),
}
# `ip` takes no empty word on a line that is split at blanks; a key of no bytes is one.
WITH_NULL = replace(TRANSPORT, encryption=NULL, selector=ANY)


def run(namespace: Namespace, body: Body) -> None:
    async def with_socket() -> None:
        with namespace.entered():
            xfrm = XfrmSocket()
        async with xfrm:
            await body(xfrm)

    asyncio.run(with_socket())


def printed(namespace: Namespace) -> str:
    """What `ip` says of the SAs, with counters and lifetimes, but for the moment of creation."""
    return re.sub(r"add \S+ \S+", "add", namespace.ip("-s xfrm state"))


def test_an_sa_that_ip_installs_is_dumped_as_what_it_is(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        for command, expected in SAS.items():
            sel = " sel src 10.1.0.0/16 dst 10.2.0.0/16" if expected.mode == "beet" else ""
            namespace.ip(f"xfrm state add {command}{sel}")
            (sa,) = await xfrm.sad()
            assert sa.current.added, command
            assert replace(sa, current=UNUSED) == expected, command
            assert await xfrm.get_sa(expected) == sa, command
            namespace.ip("xfrm state flush")

    run(namespace, body)


def test_an_sa_that_is_installed_is_printed_by_ip_as_its_own(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        for command, sa in SAS.items():
            sel = " sel src 10.1.0.0/16 dst 10.2.0.0/16" if sa.mode == "beet" else ""
            namespace.ip(f"xfrm state add {command}{sel}")
            by_ip = printed(namespace)
            namespace.ip("xfrm state flush")
            await xfrm.add_sa(sa)
            assert printed(namespace) == by_ip, command
            await xfrm.delete_sa(sa)
            assert not namespace.ip("xfrm state"), command

    run(namespace, body)


def test_what_ip_has_no_words_for_comes_back_as_it_was_installed(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        for sa in (
            WITH_NULL,
            replace(PLAIN, tfc_padding=1000),
            replace(PLAIN, selector=ANY, acquire_sequence=0, reqid=0xFFFFFFFF),
            replace(PLAIN, replay=Replay(64, 70, 5, bitmap=0xDEADBEEF12345678), esn=True),
        ):
            await xfrm.add_sa(sa)
            assert replace(await xfrm.get_sa(sa), current=UNUSED) == sa
            await xfrm.delete_sa(sa)

    run(namespace, body)


def test_ipcomp_in_a_tunnel_brings_an_ipip_sa_that_is_established(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        compressing = replace(
            PLAIN, spi=0x1234, protocol="comp", aead=None, compression=Algorithm("deflate")
        )
        await xfrm.add_sa(compressing)
        sad = await xfrm.sad()
        assert sorted(sa.protocol for sa in sad) == ["comp", "ipip"]
        assert len(sad.established) == 2

    run(namespace, body)


def test_a_care_of_address_is_the_one_that_ip_gives(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        care_of = ip_address("2001:db8::9")
        words = {"route2": "proto route2", "hao": "proto hao"}
        for protocol, word in words.items():
            namespace.ip(f"xfrm state add {ENDS6} {word} mode ro coa {care_of}")
            (sa,) = await xfrm.sad()
            assert (sa.protocol, sa.mode, sa.care_of) == (protocol, "ro", care_of)
            assert sa.established
            by_ip = printed(namespace)
            # These have no SPI to be deleted by.
            await xfrm.flush_sas(protocol)
            await xfrm.add_sa(replace(sa, current=UNUSED))
            assert printed(namespace) == by_ip
            await xfrm.flush_sas(protocol)
            assert not await xfrm.sad()

    run(namespace, body)


def test_one_sa_is_told_from_another_by_spi_destination_and_protocol(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        back = replace(PLAIN, source=SUN, destination=MOON)
        ah = replace(PLAIN, protocol="ah", aead=None, integrity=SHA)
        for sa in (PLAIN, back, ah):
            await xfrm.add_sa(sa)
        assert (await xfrm.get_sa(back)).destination == MOON
        await xfrm.delete_sa(PLAIN)
        assert [sa.protocol for sa in await xfrm.sad()] == ["ah", "esp"]
        await xfrm.flush_sas("ah")
        assert [sa.destination for sa in await xfrm.sad()] == [MOON]

    run(namespace, body)
