# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from harness.kernel.channel import Channel
from harness.kernel.errors import XfrmError
from harness.kernel.lifetimes import Lifetimes, Usage
from harness.kernel.messages import encode
from harness.kernel.numbers import MessageType, PolicyFlag
from harness.kernel.policy import Policy, Template
from harness.kernel.policy_codec import write_policy
from harness.kernel.sa import Mark, SaId
from harness.kernel.selector import Selector
from harness.kernel.socket import XfrmSocket
from tests.kernel.namespaces import Namespace
from tests.kernel.values import (
    ALICE,
    BOB,
    ESP,
    EVERYTHING,
    EVERYTHING6,
    MOON,
    MOON6,
    OUT,
    SUN,
    SUN6,
    TUNNEL,
)

IP_XFRM_POLICY = 17

Body = Callable[[XfrmSocket], Coroutine[Any, Any, None]]

POLICIES = {
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir out": Policy(Selector(ALICE, BOB), "out"),
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir out action block priority 7": Policy(
        Selector(ALICE, BOB), "out", priority=7, action="block"
    ),
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 5"
    " tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel": OUT,
    "src 10.2.0.0/16 dst 10.1.0.0/16 dir fwd flag icmp"
    " tmpl src 192.0.2.2 dst 192.0.2.1 proto esp reqid 1 mode tunnel level use"
    " tmpl proto ah mode transport": Policy(
        Selector(BOB, ALICE),
        "fwd",
        templates=(
            Template(SUN, MOON, reqid=1, optional=True),
            Template(protocol="ah", mode="transport"),
        ),
        flags=PolicyFlag.ICMP,
    ),
    "src 192.0.2.1/32 dst 192.0.2.2/32 proto udp sport 500 dport 501 dir in"
    " mark 0x2a mask 0xff if_id 0x17": Policy(
        Selector(ip_network(MOON), ip_network(SUN), 17, 500, 501),
        "in",
        mark=Mark(0x2A, 0xFF),
        if_id=0x17,
    ),
    "src 0.0.0.0/0 dst 0.0.0.0/0 proto icmp type 8 code 0 dir in": Policy(
        Selector(EVERYTHING, EVERYTHING, 1, 8, 0, 0xFFFF, 0xFFFF), "in"
    ),
    "src 2001:db8::1/128 dst 2001:db8::2/128 dir out"
    " tmpl proto esp spi 0x1234 reqid 9 mode transport": Policy(
        Selector(ip_network(MOON6), ip_network(SUN6)),
        "out",
        templates=(
            Template(
                EVERYTHING6.network_address,
                EVERYTHING6.network_address,
                mode="transport",
                reqid=9,
                spi=0x1234,
            ),
        ),
    ),
    "src 10.1.0.0/16 dst 10.2.0.0/16 dir out limit time-soft 100 limit time-hard 200"
    " limit time-use-soft 300 limit time-use-hard 400 limit byte-soft 1000 limit byte-hard 2000"
    " limit packet-soft 10 limit packet-hard 20": Policy(
        Selector(ALICE, BOB), "out", lifetimes=Lifetimes(100, 200, 300, 400, 1000, 2000, 10, 20)
    ),
}


def run(namespace: Namespace, body: Body) -> None:
    async def with_socket() -> None:
        with namespace.entered():
            xfrm = XfrmSocket()
        # What follows happens outside of the namespace: the socket stays where it was made.
        async with xfrm:
            await body(xfrm)

    asyncio.run(with_socket())


@pytest.mark.parametrize("command", POLICIES)
def test_a_policy_that_ip_installs_is_dumped_as_what_it_is(
    namespace: Namespace, command: str
) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        namespace.ip(f"xfrm policy add {command}")
        (policy,) = await xfrm.spd()
        expected = POLICIES[command]
        assert policy.index
        assert policy.current.added
        usage = Usage(added=policy.current.added)
        assert policy == replace(expected, index=policy.index, current=usage)

    run(namespace, body)


@pytest.mark.parametrize("command", POLICIES)
def test_a_policy_that_is_installed_is_printed_by_ip_as_its_own(
    namespace: Namespace, command: str
) -> None:
    def printed() -> str:
        text = namespace.ip("-s xfrm policy")
        lines = [line for line in text.splitlines() if "add " not in line]
        return "\n".join(line.partition(" index ")[0] for line in lines)

    async def body(xfrm: XfrmSocket) -> None:
        namespace.ip(f"xfrm policy add {command}")
        by_ip = printed()
        namespace.ip("xfrm policy flush")
        await xfrm.add_policy(POLICIES[command])
        assert printed() == by_ip

    run(namespace, body)


def test_a_second_policy_of_one_selector_and_priority_is_refused_with_eexist(
    namespace: Namespace,
) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.add_policy(OUT)
        with pytest.raises(XfrmError, match=r"adding policy out .*: File exists \(EEXIST\)") as e:
            await xfrm.add_policy(OUT)
        assert e.value.errno == errno.EEXIST
        assert e.value.reason == "File exists"

    run(namespace, body)


def test_another_priority_does_not_make_it_another_policy(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.add_policy(OUT)
        for priority in (0, 4, 6):
            with pytest.raises(XfrmError) as e:
                await xfrm.add_policy(replace(OUT, priority=priority))
            assert e.value.errno == errno.EEXIST
        # `ip` asks the kernel the same way.
        with pytest.raises(AssertionError, match="File exists"):
            namespace.ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 0")

    run(namespace, body)


def test_a_deletion_without_index_takes_no_heed_of_the_priority(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.add_policy(OUT)
        await xfrm.add_policy(replace(OUT, direction="in"))
        await xfrm.delete_policy(OUT.selector, "out")
        assert [policy.direction for policy in await xfrm.spd()] == ["in"]
        with pytest.raises(XfrmError, match=r"deleting policy out 10\.1") as e:
            await xfrm.delete_policy(OUT.selector, "out")
        assert e.value.errno == errno.ENOENT

    run(namespace, body)


def test_a_deletion_with_an_index_removes_that_policy(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        for value in (1, 2):
            await xfrm.add_policy(replace(OUT, mark=Mark(value)))
        first, second = await xfrm.spd()
        index, mark = second.index, second.mark
        await xfrm.delete_policy(OUT.selector, "out", index=index, mark=mark)
        assert list(await xfrm.spd()) == [first]

    run(namespace, body)


def test_policies_differ_by_mark_and_by_interface_id(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        marked, bound = replace(OUT, mark=Mark(7)), replace(OUT, if_id=3)
        for policy in (OUT, marked, bound):
            await xfrm.add_policy(policy)
        await xfrm.delete_policy(OUT.selector, "out", if_id=3)
        await xfrm.delete_policy(OUT.selector, "out", mark=Mark(7))
        (left,) = await xfrm.spd()
        assert (left.mark, left.if_id) == (None, None)

    run(namespace, body)


def test_an_update_replaces_a_policy_or_installs_it(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.update_policy(OUT)
        await xfrm.update_policy(replace(OUT, templates=(replace(TUNNEL, reqid=2),)))
        (policy,) = await xfrm.spd()
        assert policy.templates[0].reqid == 2

    run(namespace, body)


def test_more_templates_than_the_kernel_takes_are_refused_before_it_is_asked(
    namespace: Namespace,
) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        with pytest.raises(ValueError, match="has 7 templates, at most 6 are possible"):
            await xfrm.add_policy(replace(OUT, templates=(TUNNEL,) * 7))

    run(namespace, body)


def test_the_policy_of_a_socket_says_that_it_is_one(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        with namespace.entered():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        exempt = Policy(Selector(EVERYTHING, EVERYTHING), "in")
        request = encode(MessageType.NEWPOLICY, *write_policy(exempt))
        with udp:
            udp.setsockopt(socket.IPPROTO_IP, IP_XFRM_POLICY, request[16:])
            (policy,) = await xfrm.spd()
            assert policy.direction == "socket-in"

    run(namespace, body)


def test_an_spi_is_reserved_in_host_order_as_ip_prints_it(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        larval = await xfrm.allocate_spi(MOON, SUN, reqid=3, between=(0xC0FFEE01, 0xC0FFEE01))
        assert larval.spi == 0xC0FFEE01
        assert (larval.larval, larval.established, larval.reqid) == (True, False, 3)
        printed = namespace.ip("xfrm state")
        assert "proto esp spi 0xc0ffee01 reqid 3 mode tunnel" in printed
        assert list(await xfrm.sad()) == [larval]
        assert not (await xfrm.sad()).established
        assert await xfrm.get_sa(SaId(0xC0FFEE01, SUN)) == larval
        with pytest.raises(XfrmError) as e:
            await xfrm.allocate_spi(MOON, SUN, between=(0xC0FFEE01, 0xC0FFEE01))
        assert e.value.errno == errno.ENOENT
        await xfrm.delete_sa(larval)
        assert (await xfrm.sad()).find(spi=0xC0FFEE01) is None

    run(namespace, body)


def test_the_spi_of_ipcomp_is_a_cpi_of_16_bits(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        six = await xfrm.allocate_spi(MOON6, SUN6, protocol="comp", mode="transport")
        assert 0x100 <= six.spi <= 0xFFFF
        assert (six.source, six.destination, six.mode) == (MOON6, SUN6, "transport")

    run(namespace, body)


def test_a_flush_of_one_protocol_leaves_the_others(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.allocate_spi(MOON, SUN)
        await xfrm.allocate_spi(MOON, SUN, protocol="ah")
        await xfrm.flush_sas("esp")
        assert [sa.protocol for sa in await xfrm.sad()] == ["ah"]
        await xfrm.add_policy(OUT)
        await xfrm.flush()
        assert (len(await xfrm.sad()), len(await xfrm.spd())) == (0, 0)
        # To flush what is empty is no error.
        await xfrm.flush()

    run(namespace, body)


def test_the_extended_acknowledgement_is_the_reason_of_a_refusal(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        unknown = replace(ESP, aead=replace(ESP.aead, name="rfc4106(gcm(rot13))"))
        with pytest.raises(XfrmError) as e:
            await xfrm.add_sa(unknown)
        assert e.value.errno == errno.ENOSYS
        assert e.value.reason == "Requested AEAD algorithm not found"
        assert str(e.value) == (
            "adding esp SA 0x00001000 from 192.0.2.1 to 192.0.2.2:"
            " Requested AEAD algorithm not found (ENOSYS)"
        )

    run(namespace, body)


def test_an_sa_that_is_not_there_is_esrch(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        for request in (xfrm.get_sa(ESP), xfrm.delete_sa(ESP.id)):
            with pytest.raises(XfrmError, match=r"esp SA 0x00001000 to 192.0.2.2") as e:
                await request
            assert e.value.errno == errno.ESRCH

    run(namespace, body)


def test_a_closed_socket_is_an_error_in_words(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        xfrm.close()
        xfrm.close()
        with pytest.raises(XfrmError, match=r"reading the SAD: Bad file descriptor \(EBADF\)"):
            await xfrm.sad()

    run(namespace, body)


def test_requests_of_many_tasks_do_not_get_each_others_answers(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        spis = range(0x2000, 0x2000 + 300)
        async with asyncio.TaskGroup() as group:
            made = [
                group.create_task(xfrm.allocate_spi(MOON, SUN, between=(spi, spi))) for spi in spis
            ]
            dumps = [group.create_task(xfrm.sad()) for _ in range(5)]
        assert [task.result().spi for task in made] == list(spis)
        assert all(len(task.result()) == len(spis) for task in dumps)

    run(namespace, body)


def test_a_dump_that_is_cancelled_half_way_does_not_disturb_the_next(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        for spi in range(0x2000, 0x2000 + 400):
            await xfrm.allocate_spi(MOON, SUN, between=(spi, spi))
        for turns in range(6):
            dump = asyncio.create_task(xfrm.sad())
            for _ in range(turns):
                await asyncio.sleep(0)
            dump.cancel()
            with suppress(asyncio.CancelledError):
                await dump
            assert len(await xfrm.sad()) == 400

    run(namespace, body)


def test_sockets_of_two_namespaces_see_each_their_own(
    gateways: tuple[Namespace, Namespace],
) -> None:
    moon, sun = gateways

    async def both() -> None:
        with moon.entered():
            first = XfrmSocket()
        with sun.entered():
            second = XfrmSocket()
        async with first, second:
            await first.add_policy(OUT)
            assert (len(await first.spd()), len(await second.spd())) == (1, 0)
        assert moon.ip("xfrm policy")
        assert not sun.ip("xfrm policy")

    asyncio.run(both())


def test_a_family_that_the_kernel_lacks_is_an_error_in_words() -> None:
    with pytest.raises(XfrmError, match=r"opening a netlink socket: Protocol not supported"):
        Channel(family=31)
