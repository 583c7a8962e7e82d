# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator types at the console, and what it answers."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.daemon.console.login import Login, LoginError, read_login
from harness.daemon.console.program import HELP, PROMPT, Console
from harness.daemon.console.reading import read_interface, read_ipsec, read_isakmp, read_log
from harness.daemon.status_lines import plain_status, read_status
from tests.daemon.engine_router import EngineRouter, control_socket
from tests.daemon.seil_files import MINIMAL


@pytest.fixture(scope="module")
def router() -> EngineRouter:
    found = EngineRouter()
    found.load(MINIMAL)
    return found


def typed(router: EngineRouter, *lines: str) -> list[str]:
    """What the console prints after each command."""
    sink = io.StringIO()
    Console(router, io.StringIO("".join(f"{line}\n" for line in lines)), sink).run()
    return [part.rstrip("\n") for part in sink.getvalue().split(PROMPT)[1:]]


def test_what_is_shown_is_what_the_router_has(router):
    ike, ipsec, log, interface, _ = typed(
        router, "show status ike", "show status ipsec", "show log", "show status interface.ipsec0"
    )
    status = router.status()
    assert read_isakmp(ike) == status.isakmp
    assert read_ipsec(ipsec) == status.ipsec
    assert [line.text for line in read_log(log, 1970)] == [line.text for line in status.log]
    assert read_interface(interface) == status.interfaces[0]


def test_blanks_do_not_matter_and_nothing_is_answered_with_nothing(router):
    shown, padded, nothing, _ = typed(router, "show status ike", "  show   status ike ", "")
    assert shown == padded
    assert nothing == ""


@pytest.mark.parametrize("command", ["show", "show status", "reboot", "show status ike x", "\x1b["])
def test_an_unknown_command_is_answered_in_one_sentence(command, router):
    said, _ = typed(router, command)
    assert said.startswith("% ")
    assert said.endswith(": there is no such command; type help")
    assert said.isprintable()


def test_an_unknown_interface_is_answered_with_those_that_there_are(router):
    said, _ = typed(router, "show status interface.ipsec7")
    assert said == "% there is no interface ipsec7; there is ipsec0"


def test_help_names_every_command_that_works(router):
    said, _ = typed(router, "help")
    assert said.split("\n") == list(HELP)
    for command in HELP[:5]:
        assert not typed(router, command)[0].startswith("%")


def test_exit_ends_it_before_what_follows(router):
    assert typed(router, "exit", "show log") == [""]


def test_a_configuration_is_loaded_line_by_line():
    router = EngineRouter()
    said, shown, _ = typed(
        router, "load-from stdin", *MINIMAL.splitlines(), ".", "show status interface.ipsec0"
    )
    assert said == "9 lines were loaded"
    assert "RUNNING" in shown


def test_a_wrong_configuration_is_refused_by_line_and_the_old_one_stays(router):
    before = router.status()
    said, _ = typed(router, "load-from stdin", "mtu : 5", "x", ".")
    assert said.split("\n") == [
        "% console:1: mtu: ikelabd is no router beyond IPsec and knows nothing of this;"
        " remove the line",
        "% console:2: 'x': this is no line of the form key : value",
    ]
    assert router.status() == before


def test_sas_are_cleared_and_made_anew(router):
    before = router.status().isakmp
    assert typed(router, "clear ike")[0] == ""
    after = router.status().isakmp
    assert len(after) == 1
    assert after[0].cookie_i != before[0].cookie_i


def test_a_status_is_the_same_after_its_way_through_json(router):
    assert read_status(plain_status(router.status())) == router.status()


def console(path: Path, typed: str, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "harness.daemon.console", "--control", str(path), *more]
    return subprocess.run(argv, input=typed, capture_output=True, text=True, timeout=60)


def test_the_program_asks_a_daemon_over_its_control_socket(router, tmp_path):
    with control_socket(router, tmp_path / "control") as path:
        ended = console(path, "show status ike\nreload\nexit\n")
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert f"{router.status().isakmp[0].cookie_i:016x}:" in ended.stdout
    assert "% reload: there is no such command; type help" in ended.stdout


def test_the_end_of_its_input_ends_the_program(router, tmp_path):
    with control_socket(router, tmp_path / "control") as path:
        assert console(path, "").returncode == 0


def run_with(path: Path, octets: bytes, folder: Path, sink: int) -> subprocess.CompletedProcess:
    (folder / "typed").write_bytes(octets)
    with open(folder / "typed", "rb") as typed:
        argv = [sys.executable, "-m", "harness.daemon.console", "--control", str(path)]
        return subprocess.run(argv, stdin=typed, stdout=sink, stderr=subprocess.PIPE, timeout=60)


def test_octets_that_are_no_text_are_answered_like_any_other_command(router, tmp_path):
    with control_socket(router, tmp_path / "control") as path:
        ended = run_with(path, b"\xff\xfe\x00show\nexit\n", tmp_path, subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b": there is no such command; type help" in ended.stdout


def test_a_reader_that_has_gone_away_ends_it_quietly(router, tmp_path):
    nobody, sink = os.pipe()
    os.close(nobody)
    with control_socket(router, tmp_path / "control") as path:
        ended = run_with(path, b"help\n" * 10, tmp_path, sink)
    os.close(sink)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_daemon_that_is_not_there_is_a_sentence_and_status_3(tmp_path):
    ended = console(tmp_path / "none", "show log\n")
    assert ended.returncode == 3
    assert ended.stderr == (
        f"console: {tmp_path}/none cannot be reached: No such file or directory\n"
    )


LOGIN = 'user = "admin"\npassword = "s3cret"\n'


@pytest.mark.parametrize(
    ("typed", "inside"),
    [("admin\ns3cret\n", True), ("admin\nwrong\n" * 3, False), ("admin\nx\nadmin\ns3cret\n", True),
     ("root\ns3cret\n" * 3, False)],
)  # fmt: skip
def test_a_login_lets_in_who_knows_it(typed, inside, router, tmp_path):
    (tmp_path / "login").write_text(LOGIN)
    with control_socket(router, tmp_path / "control") as path:
        ended = console(path, typed + "help\n", "--login", str(tmp_path / "login"))
    assert (PROMPT in ended.stdout) == inside
    assert ended.returncode == (0 if inside else 3)
    assert "s3cret" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("text", ["user = 1\n", "nonsense", LOGIN + "more = 1\n", 'user = "a"\n'])
def test_a_login_file_that_is_none_is_refused(text, tmp_path):
    file = tmp_path / "login"
    file.write_text(text)
    with pytest.raises(LoginError, match=str(file)):
        read_login(file)


def test_a_password_does_not_show_in_a_login():
    assert "s3cret" not in repr(Login("admin", "s3cret"))


def test_a_line_that_closes_while_somebody_logs_in_is_a_sentence():
    with pytest.raises(LoginError, match="closed before anybody logged in"):
        Login("a", "b").ask(io.StringIO("a\n"), io.StringIO())


def test_a_console_on_a_terminal_hides_the_password(router, tmp_path):
    (tmp_path / "login").write_text(LOGIN)
    ours, theirs = os.openpty()
    with control_socket(router, tmp_path / "control") as path:
        argv = ["--control", str(path), "--login", str(tmp_path / "login")]
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.daemon.console", *argv],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        seen = until(ours, b"login: ")
        os.write(ours, b"admin\n")
        seen += until(ours, b"Password: ")
        os.write(ours, b"s3cret\n")
        seen += until(ours, PROMPT.encode())
        os.write(ours, b"exit\n")
        assert process.wait() == 0
    os.close(ours)
    assert b"admin" in seen
    assert b"s3cret" not in seen


def until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while not seen.endswith(wanted):
        seen += os.read(terminal, 1000)
    return seen
