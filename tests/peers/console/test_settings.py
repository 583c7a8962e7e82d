# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings of a router, or a sentence with file and key."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.peers.console.settings import Box, Serial, Ssh, Telnet, read_box
from harness.peers.contract import PeerError

COMMON = 'name = "seil-x4@6.20"\nuser = "admin"\npassword = "s3cret"\n'


def read(text: str, folder: Path) -> Box:
    file = folder / "box.toml"
    file.write_text(text)
    return read_box(file)


@pytest.mark.parametrize(
    ("lines", "way"),
    [
        ('ssh = "192.0.2.1"', Ssh("192.0.2.1", 22)),
        ('ssh = "seil.example"\nport = 2222\noptions = ["-F", "none"]',
         Ssh("seil.example", 2222, ("-F", "none"))),
        ('telnet = "2001:db8::1"', Telnet("2001:db8::1", 23)),
        ('serial = "/dev/ttyUSB0"', Serial("/dev/ttyUSB0", 9600)),
        ('serial = "/dev/ttyS0"\nspeed = 115200', Serial("/dev/ttyS0", 115200)),
    ],
)  # fmt: skip
def test_a_router_is_reached_in_one_of_three_ways(lines, way, tmp_path):
    box = read(COMMON + lines, tmp_path)
    assert box.way == way
    assert (box.name, box.user, box.password) == ("seil-x4@6.20", "admin", "s3cret")


def test_prompt_and_patience_can_be_given(tmp_path):
    more = 'ssh = "x"\nprompt = "[a-z]+> "\nanswer-within = 2.5\n'
    box = read(COMMON + more, tmp_path)
    assert (box.prompt, box.answer_within) == ("[a-z]+> ", 2.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COMMON, "ssh: exactly one of ssh, telnet, serial it is"),
        (COMMON + 'ssh = "a"\nserial = "b"', "ssh serial: exactly one of ssh, telnet, serial it"
         " is"),
        (COMMON + 'ssh = "-oProxyCommand=x"', "ssh: a host name or an address is expected"),
        (COMMON + 'ssh = "a"\nport = 0', "port: a number from 1 to 65535 is expected"),
        (COMMON + 'ssh = "a"\nport = true', "port: a number from 1 to 65535 is expected"),
        (COMMON + 'telnet = "a"\noptions = []', "options: telnet has none; remove it"),
        (COMMON + 'serial = "a"\nport = 1', "port: serial has none; remove it"),
        (COMMON + 'serial = "a"\nspeed = 1', "speed: one of 1200, 2400, 4800, 9600, 19200, 38400,"
         " 57600, 115200 is expected"),
        (COMMON + 'ssh = "a"\nprompt = "("', "prompt: a regular expression is expected"),
        (COMMON + 'ssh = "a"\nanswer-within = 0', "answer-within: seconds above 0 is expected"),
        (COMMON + 'ssh = "a"\nshell = "b"', "shell: there is no such key; there is name, ssh,"
         " telnet, serial, port, speed, options, user, password, prompt, answer-within"),
        (COMMON.replace("password", "#") + 'ssh = "a"', "password: this is missing; add it"),
        (COMMON.replace('"s3cret"', "5") + 'ssh = "a"', "password: a string that is not empty is"
         " expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_file_and_key(text, said, tmp_path):
    with pytest.raises(PeerError) as refused:
        read(text, tmp_path)
    assert str(refused.value) == f"{tmp_path}/box.toml: {said}"
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_no_toml_or_not_there_is_a_sentence(tmp_path):
    with pytest.raises(PeerError, match=r"box.toml is no TOML: "):
        read("name =", tmp_path)
    with pytest.raises(PeerError, match=r"none.toml cannot be read: No such file or directory$"):
        read_box(tmp_path / "none.toml")


@given(st.text(max_size=60))
def test_any_file_is_read_or_refused(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    with pytest.raises(PeerError, match=r"box\.toml"):
        read(text.replace("\r", ""), folder)
