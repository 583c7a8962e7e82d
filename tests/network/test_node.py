# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from harness.network.errors import CommandFailed, NetworkError
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.waiting import readable
from tests.network.conftest import Lab


async def output(node: Node, script: str) -> str:
    return (await node.run(["sh", "-c", script])).stdout.decode()


def test_a_node_has_its_own_name_processes_and_interfaces(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        assert await output(node, "hostname") == "moon\n"
        assert os.uname().nodename != "moon"
        numbers = (await output(node, "echo /proc/[0-9]*")).split()
        assert numbers[0] == "/proc/1"
        assert len(numbers) == 2
        assert await output(node, "ls /sys/class/net") == "lo\n"
        assert await output(node, "cat /sys/class/net/lo/operstate") == "unknown\n"
        await node.close()

    lab.run(body)


def test_what_an_image_node_writes_stays_in_the_node(
    lab: Lab, small_image: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "etc/marker").write_text("image")

    async def body(spawner: Spawner) -> None:
        first = await spawner.node("moon", [image, small_image])
        second = await spawner.node("sun", [image, small_image])
        assert await output(first, "cat /etc/marker") == "image"
        await output(first, "echo changed > /etc/marker; echo new > /new; rm -r /var")
        assert first.read("/etc/marker") == b"changed\n"
        assert second.read("/etc/marker") == b"image"
        assert (image / "etc/marker").read_text() == "image"
        assert not Path("/new").exists()
        assert (small_image / "var").is_dir()
        await asyncio.gather(first.close(), second.close())

    lab.run(body)


def test_the_first_layer_of_an_image_covers_the_next(
    lab: Lab, small_image: Path, tmp_path: Path
) -> None:
    for layer in ("upper:odd", "lower"):
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "layer").write_text(layer)
    (tmp_path / "lower" / "below").write_text("seen")

    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon", [tmp_path / "upper:odd", tmp_path / "lower", small_image])
        assert node.read("/layer") == b"upper:odd"
        assert node.read("/below") == b"seen"
        await node.close()

    lab.run(body)


def test_an_image_node_has_the_devices_that_a_daemon_needs(lab: Lab, small_image: Path) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon", [small_image])
        script = "echo x > /dev/null; head -c 8 /dev/urandom | wc -c; : <> /dev/net/tun && echo tun"
        assert await output(node, script) == "8\ntun\n"
        assert await output(node, "ls /dev/pts") == "ptmx\n"
        assert await output(node, "cat /etc/hostname; wc -c < /etc/resolv.conf") == "moon\n0\n"
        await node.close()

    lab.run(body)


def test_a_node_without_an_image_can_change_nothing_but_its_own_run_and_tmp(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("alice")
        refused = await node.run(["touch", "/etc/hosts", "/usr/x"], check=False)
        assert refused.stderr.count(b"Read-only") == 2
        assert await output(node, "echo x > /run/a; echo y > /tmp/b; cat /run/a /tmp/b") == "x\ny\n"
        assert not Path("/run/a").exists()
        await node.close()

    lab.run(body)


def test_files_are_written_where_the_node_sees_them(lab: Lab, small_image: Path) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon", [small_image])
        await output(node, "mkdir /run/real; ln -s /run/real /etc/linked")
        node.write("/etc/linked/deep/er/conf", "secret", 0o600)
        assert await output(node, "stat -c %a /run/real/deep/er/conf") == "600\n"
        assert await output(node, "cat /run/real/deep/er/conf") == "secret"
        assert not Path("/run/real").exists()
        with pytest.raises(NetworkError, match="/nothing of node 'moon' cannot be read: No such"):
            node.read("/nothing")
        await node.close()

    lab.run(body)


def test_a_program_gets_its_input_and_all_its_output_is_kept(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        data = os.urandom(1 << 20)
        done = await node.run(["sh", "-c", "cat; echo said >&2"], stdin=data)
        assert done.stdout == data
        assert done.stderr == b"said\n"
        await node.close()

    lab.run(body)


def test_a_program_sees_only_the_environment_and_descriptors_that_it_is_given(lab: Lab) -> None:
    os.environ["IKELAB_TEST_SECRET"] = "x"

    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        names = await output(node, "env | cut -d= -f1 | grep -v -e PWD -e '^_$' | sort")
        assert names.split() == ["HOME", "LANG", "PATH"]
        listed = await node.run(["ls", "/proc/self/fd"], env={"EXTRA": "1"})
        assert listed.stdout.split() == [b"0", b"1", b"2", b"3"]
        reading, writing = os.pipe()
        process = await node.spawn(["sh", "-c", "echo passed >&7"], fds={7: writing})
        os.close(writing)
        assert await process.wait() == 0
        assert os.read(reading, 100) == b"passed\n"
        os.close(reading)
        await node.close()

    lab.run(body)


def test_how_a_program_ended_is_told(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        assert (await node.run(["sh", "-c", "exit 7"], check=False)).returncode == 7
        process = await node.spawn(["sleep", "1000"])
        assert process.returncode is None
        # Its name it gives itself a moment later.
        assert Path(f"/proc/{process.pid}/exe").readlink().name == "sleep"
        process.kill(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM
        process.kill()
        with pytest.raises(
            CommandFailed, match=r"sh -c .* in node 'moon' returned 3: why it broke"
        ):
            await node.run(["sh", "-c", "echo why it broke >&2; exit 3"])
        with pytest.raises(CommandFailed, match="absent could not be started in node 'moon': No"):
            await node.spawn(["absent"])
        with pytest.raises(CommandFailed, match="sleep in node 'moon' was killed: not done after"):
            await node.run(["sleep", "1000"], deadline=0.05)
        await node.close()

    lab.run(body)


def test_a_program_that_a_daemon_leaves_behind_holds_nobody_up(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        done = await node.run(["sh", "-c", "sleep 1000 & echo started"])
        assert done.stdout == b"started\n"
        await node.close()

    lab.run(body)


def test_closing_a_node_ends_its_programs(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        process = await node.spawn(["sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000"])
        handle = os.pidfd_open(process.pid)
        await node.close()
        await asyncio.wait_for(readable(handle), 5)
        os.close(handle)
        assert await process.wait() == -signal.SIGKILL
        with pytest.raises(NetworkError, match="node 'moon' has been closed"):
            node.socket(socket.AF_INET, socket.SOCK_DGRAM)

    lab.run(body)


def test_a_node_whose_first_process_is_killed_says_so(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        process = await node.spawn(["sleep", "1000"])
        os.kill(node.pid, signal.SIGKILL)
        assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGKILL
        with pytest.raises(CommandFailed, match="true was not started: node 'moon' is gone"):
            await node.spawn(["true"])
        await node.close()

    lab.run(body)


def test_sockets_and_sysctls_are_the_nodes_own(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        before = os.readlink("/proc/thread-self/ns/net")
        forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
        nodes = [await spawner.node(name) for name in ("moon", "sun")]
        for node in nodes:
            # The same address and port twice, so these cannot be in one network.
            sock = node.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 500))
        nodes[0].sysctl("net/ipv4/ip_forward", 1)
        assert await output(nodes[0], "cat /proc/sys/net/ipv4/ip_forward") == "1\n"
        assert await output(nodes[1], "cat /proc/sys/net/ipv4/ip_forward") == forwarding
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == forwarding
        assert os.readlink("/proc/thread-self/ns/net") == before
        with pytest.raises(NetworkError, match="sysctl net/x=1 was refused in node 'moon'"):
            nodes[0].sysctl("net/x", 1)
        for node in nodes:
            await node.close()

    lab.run(body)


def test_what_makes_a_node_impossible_is_one_sentence(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        with pytest.raises(
            NetworkError, match="'moon' could not be set up: the image root /absent"
        ):
            await spawner.node("moon", [Path("/absent")])
        with pytest.raises(NetworkError, match="sysctl net/ipv4/absent=1 was refused"):
            await spawner.node("moon", sysctls={"net/ipv4/absent": "1"})

    lab.run(body)


def test_a_node_of_the_stock_is_what_it_is_asked_to_be(lab: Lab, small_image: Path) -> None:
    async def body(_: Spawner) -> None:
        async with await Spawner.start() as spawner:
            await spawner.stock(1, [small_image])
            made_ahead = _children(spawner.pid)
            node = await spawner.node("moon", [small_image], {"net/ipv4/ip_forward": "1"})
            assert made_ahead == {node.pid}
            asked = ["cat", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward"]
            assert (await node.run(asked)).stdout == b"moon\n1\n"
            assert b"127.0.1.1 moon\n" in node.read("/etc/hosts")
            second = await spawner.node("sun", [small_image])
            assert second.pid not in made_ahead

    lab.run(body)


def test_a_stock_is_given_up_for_modules_that_it_would_not_have(lab: Lab) -> None:
    async def body(_: Spawner) -> None:
        async with await Spawner.start() as spawner:
            await spawner.stock(1)
            made_ahead = _children(spawner.pid)
            await spawner.load(["colorsys"])
            node = await spawner.node("moon")
            assert node.pid not in made_ahead

    lab.run(body)


def _children(pid: int) -> set[int]:
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_closing_the_spawner_closes_its_nodes(lab: Lab) -> None:
    async def body(_: Spawner) -> None:
        async with await Spawner.start() as spawner:
            node = await spawner.node("moon")
            process = await node.spawn(["sleep", "1000"])
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(NetworkError, match="node 'sun' was not made: the spawner has ended"):
            await spawner.node("sun")

    lab.run(body)
