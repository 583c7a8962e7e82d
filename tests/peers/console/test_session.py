# SPDX-License-Identifier: GPL-2.0-or-later
"""A session at a console, over every kind of line, and what it says when that fails."""

from __future__ import annotations

import asyncio
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.daemon.console.program import PROMPT
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.peers.console.session import Session
from harness.peers.console.settings import Box, Serial, Ssh, Telnet, Way
from harness.peers.console.verbs import SeilConsole
from harness.peers.contract import ConfigurationRefused, PeerError
from tests.daemon.engine_router import EngineRouter
from tests.daemon.seil_files import MINIMAL
from tests.peers.console.consoles import (
    PASSWORD,
    USER,
    login_file,
    on_serial_line,
    on_terminal,
    over_ssh,
    over_telnet,
)

NOWHERE = Serial("/dev/null")


def box(way: Way = NOWHERE, password: str = PASSWORD, **changes: object) -> Box:
    return Box("seil", way, USER, password, PROMPT.rstrip() + " ?", 20.0, "box.toml", **changes)


@pytest.fixture
def router() -> EngineRouter:
    found = EngineRouter()
    found.load(MINIMAL)
    return found


def check_console(session: Session, router: EngineRouter) -> None:
    """Everything that a driver reads is what the router has, and it can be configured."""
    seil = SeilConsole(session)
    status = router.status()
    assert seil.isakmp() == status.isakmp
    assert seil.ipsec() == status.ipsec
    assert seil.policies() == status.policies
    assert seil.interface("ipsec0") == status.interfaces[0]
    assert [line.text for line in seil.log(1970)] == [line.text for line in status.log]
    seil.clear()
    assert seil.isakmp()[0].cookie_i != status.isakmp[0].cookie_i
    with pytest.raises(ConfigurationRefused, match="console:10: mtu: ikelabd is no router"):
        seil.load(MINIMAL + "mtu : 5\n")
    seil.load("")
    assert (seil.isakmp(), seil.ipsec(), seil.policies()) == ((), (), ())
    seil.load(MINIMAL)
    assert len(seil.ipsec()) == 2


def test_over_a_terminal_that_is_open_already(router, tmp_path):
    with on_terminal(router, tmp_path) as terminal, Session.over(terminal, box()) as session:
        check_console(session, router)


def test_over_a_serial_line_with_a_login(router, tmp_path):
    login = ("--login", str(login_file(tmp_path)))
    with (
        on_serial_line(router, tmp_path, *login) as device,
        Session.at(box(Serial(device, 115200))) as session,
    ):
        check_console(session, router)


def test_over_telnet_with_a_login(router, tmp_path):
    login = ("--login", str(login_file(tmp_path)))
    with (
        over_telnet(router, tmp_path, *login) as port,
        Session.at(box(Telnet("127.0.0.1", port))) as session,
    ):
        check_console(session, router)


def ssh_options(folder: Path, strict: str = "accept-new") -> tuple[str, ...]:
    options = {
        "UserKnownHostsFile": str(folder / "known"),
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": strict,
        "PubkeyAuthentication": "no",
        "LogLevel": "ERROR",
    }
    return ("-F", "none", *(f"-o{key}={value}" for key, value in options.items()))


def in_node(router: EngineRouter, work: Callable[[], None]) -> None:
    """Do something within the network of a node that is reached over ssh."""

    async def body() -> None:
        async with await Spawner.start() as spawner:
            node: Node = await spawner.node("box")

            def entered() -> None:
                with node.entered():
                    work()

            async with over_ssh(router, node):
                await asyncio.to_thread(entered)

    asyncio.run(body())


def test_over_ssh_with_a_password(router, tmp_path):
    def work() -> None:
        with Session.at(box(Ssh("127.0.0.1", 22, ssh_options(tmp_path)))) as session:
            check_console(session, router)

    in_node(router, work)


def test_a_wrong_password_over_ssh_is_a_sentence(router, tmp_path):
    way = Ssh("127.0.0.1", 22, ssh_options(tmp_path))

    def work() -> None:
        with pytest.raises(PeerError) as refused, Session.at(box(way, "wrong")):
            pass
        assert str(refused.value) == (
            "seil refused the login of root; check user and password in box.toml"
        )

    in_node(router, work)


def test_a_host_whose_key_nobody_knows_is_a_sentence(router, tmp_path):
    way = Ssh("127.0.0.1", 22, ssh_options(tmp_path, "ask"))

    def work() -> None:
        with pytest.raises(PeerError) as refused, Session.at(box(way)):
            pass
        assert str(refused.value) == (
            "ssh does not know the key of seil; connect once by hand and check it"
        )

    in_node(router, work)


@pytest.mark.parametrize("line", [on_serial_line, over_telnet], ids=["serial", "telnet"])
def test_a_wrong_password_is_a_sentence(line, router, tmp_path):
    with line(router, tmp_path, "--login", str(login_file(tmp_path))) as found:
        way = Serial(found) if isinstance(found, str) else Telnet("127.0.0.1", found)
        with pytest.raises(PeerError) as refused, Session.at(box(way, "wr0ng")):
            pass
    assert str(refused.value) == (
        "seil refused the login of root; check user and password in box.toml"
    )


def test_a_port_where_nobody_listens_is_a_sentence():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(PeerError) as refused, Session.at(box(Telnet("127.0.0.1", port))):
            pass
    assert str(refused.value).startswith("the line to seil was closed after ")
    assert "Connection refused" in str(refused.value)


def test_a_device_that_is_not_there_is_a_sentence(tmp_path):
    way = Serial(str(tmp_path / "ttyUSB9"))
    with pytest.raises(PeerError) as refused, Session.at(box(way)):
        pass
    assert str(refused.value) == (
        f"serial line {tmp_path}/ttyUSB9 cannot be opened: No such file or directory"
    )


def test_a_file_is_no_serial_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PeerError, match=r"/file is no serial line: "):
        Session.at(box(Serial(str(tmp_path / "file")))).__enter__()


def impatient(prompt: str) -> Box:
    return Box("seil", NOWHERE, USER, PASSWORD, prompt, 0.5, "box.toml")


def test_a_line_on_which_nobody_answers_is_a_sentence():
    ours, theirs = os.openpty()
    try:
        # What is written here is echoed by nobody.
        with pytest.raises(PeerError) as refused, Session.over(theirs, impatient("# ")):
            pass
    finally:
        os.close(ours)
        os.close(theirs)
    assert str(refused.value) == (
        "seil is silent 0.5 s after the question to the login;"
        " check the line, and prompt in box.toml"
    )


def test_a_prompt_that_is_another_is_shown():
    ours, theirs = os.openpty()
    try:
        os.write(theirs, b"Welcome\r\nikelabd# ")
        with pytest.raises(PeerError) as refused, Session.over(ours, impatient("router> ")):
            pass
    finally:
        os.close(ours)
        os.close(theirs)
    assert str(refused.value) == (
        "seil shows 'ikelabd#', which is no prompt router> , 0.5 s after the question to the login;"
        " check the line, and prompt in box.toml"
    )


def test_a_router_that_goes_away_is_a_sentence(router, tmp_path):
    with on_terminal(router, tmp_path) as terminal, Session.over(terminal, box()) as session:
        with pytest.raises(PeerError) as gone:
            session.command("exit")
        assert str(gone.value) == ("the line to seil was closed, before an answer to 'exit'")


def test_a_refused_question_is_a_sentence_of_the_router(router, tmp_path):
    with on_terminal(router, tmp_path) as terminal, Session.over(terminal, box()) as session:
        with pytest.raises(PeerError) as refused:
            SeilConsole(session).interface("ipsec9")
        assert str(refused.value) == (
            "the router refused 'show status interface.ipsec9':"
            " there is no interface ipsec9; there is ipsec0"
        )


def test_the_transcript_has_what_the_router_shows_and_nothing_of_the_login(router, tmp_path):
    transcript = io.StringIO()
    with (
        on_serial_line(router, tmp_path, "--login", str(login_file(tmp_path))) as device,
        Session.at(box(Serial(device))) as session,
    ):
        session.record(transcript)
        SeilConsole(session).isakmp()
    assert "show status ike" in transcript.getvalue()
    assert USER not in transcript.getvalue()
    assert PASSWORD not in transcript.getvalue()


def test_a_password_does_not_show_in_a_box():
    assert PASSWORD not in repr(box())
