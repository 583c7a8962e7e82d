# SPDX-License-Identifier: GPL-2.0-or-later
"""What the console prints is in the known forms, and reading it gives the values again."""

from calendar import timegm
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.daemon.console import text as form
from harness.daemon.console.reading import (
    Unreadable,
    read_interface,
    read_ipsec,
    read_isakmp,
    read_log,
    read_policies,
)
from harness.daemon.status import Interface, Ipsec, Isakmp, LogLine, Policy, Status

WHEN = timegm((2020, 12, 17, 13, 46, 58))
ISAKMP = Isakmp(
    "10.0.0.1", 500, "10.0.0.2", 500, 0xD8AD22E1602D929B, 0x352DCAFE83DE1FA1, True,
    created=WHEN, children=1,
)  # fmt: skip
OUT = Ipsec(
    "10.0.0.1", "10.0.0.2", 0xCED62DF9, 1, "rijndael-cbc", "hmac-sha256", created=WHEN, age=94,
    hard=28800, soft=23040, octets=576,
)  # fmt: skip
POLICY = Policy("192.168.2.0/24", "192.168.1.0/24", "in", 1, ("10.0.0.2", "10.0.0.1"))


def text(lines) -> str:
    return "\n".join(lines)


def test_ike_is_shown_as_racoonctl_shows_it():
    assert text(form.isakmp_lines(Status((ISAKMP,)))) == (
        "Source                 Destination            Cookies                           "
        "ST S  V E Created             Phase2\n"
        "10.0.0.1.500           10.0.0.2.500           d8ad22e1602d929b:352dcafe83de1fa1 "
        " 9 I 10 M 2020-12-17 13:46:58      1"
    )


def test_ipsec_is_shown_as_setkey_shows_it_without_keys():
    assert text(form.ipsec_lines(Status(ipsec=(OUT,), now=WHEN + 94))) == (
        "10.0.0.1 10.0.0.2\n"
        "\tesp mode=tunnel spi=3470142969(0xced62df9) reqid=1(0x00000001)\n"
        "\tE: rijndael-cbc\n"
        "\tA: hmac-sha256\n"
        "\tstate=mature\n"
        "\tcreated: Dec 17 13:46:58 2020\tcurrent: Dec 17 13:48:32 2020\n"
        "\tdiff: 94(s)\thard: 28800(s)\tsoft: 23040(s)\n"
        "\tcurrent: 576(bytes)\n"
        "\tsadb_seq=0"
    )


def test_policies_are_shown_as_setkey_shows_them():
    assert text(form.policy_lines(Status(policies=(POLICY,)))) == (
        "192.168.2.0/24[any] 192.168.1.0/24[any] any\n"
        "\tin ipsec\n"
        "\tesp/tunnel/10.0.0.2-10.0.0.1/unique:1\n"
        "\tspid=1"
    )


def test_an_interface_runs_while_it_has_sas():
    interface = Interface("ipsec0", "10.0.0.1", "10.0.0.2", True, ("172.16.0.1/30",))
    assert text(form.interface_lines(interface)) == (
        "ipsec0: flags=<UP,POINTOPOINT,RUNNING>\n"
        "\ttunnel inet 10.0.0.1 --> 10.0.0.2\n"
        "\tinet 172.16.0.1/30"
    )


def test_the_log_has_the_form_of_a_seil():
    line = LogLine(460, WHEN, "info", "mismatched ID was returned.")
    assert text(form.log_lines([line])) == (
        "460 Dec 17 13:46:58     info    ike racoon[-]: mismatched ID was returned."
    )


def test_a_log_of_a_seil_is_read():
    shown = (
        "458 Dec 17 13:46:58     info    ike racoon[-]: initiate new phase 2 negotiation:"
        " 10.0.0.1<=>10.0.0.2 [ISAKMP:d8ad22e1602d929b:352dcafe83de1fa1]\r\n"
        "460 Dec 17 13:46:58     info    ike racoon[-]: mismatched ID was returned.\r\n"
    )
    first, second = read_log(shown, 2020)
    assert first.text.endswith("10.0.0.2 [ISAKMP:d8ad22e1602d929b:352dcafe83de1fa1]")
    assert second == LogLine(460, WHEN, "info", "mismatched ID was returned.")


def test_an_sa_of_setkey_itself_is_read():
    shown = """\
2001:240:7:101:290:99ff:fe2a:1139 2001:240:7:101:280:4cff:fe20:5450
\tesp mode=transport spi=274(0x00000112) reqid=0(0x00000000)
\tE: des-cbc 6b772c73 2e716c33
\tA: hmac-md5 6b732c64 6c77336b 35323961 30636b73
\tseq=0x00000006 replay=0 flags=0x00000040 state=mature
\tcreated: Jan 25 16:24:59 2003\tcurrent: Jan 25 16:26:32 2003
\tdiff: 93(s)\thard: 0(s)\tsoft: 0(s)
\tlast: Jan 25 16:25:11 2003\thard: 0(s)\tsoft: 0(s)
\tcurrent: 576(bytes)\thard: 0(bytes)\tsoft: 0(bytes)
\tallocated: 6\thard: 0\tsoft: 0
\tsadb_seq=1 pid=2143 refcnt=2
"""
    assert read_ipsec(shown) == (
        Ipsec(
            "2001:240:7:101:290:99ff:fe2a:1139", "2001:240:7:101:280:4cff:fe20:5450", 0x112, 0,
            "des-cbc", "hmac-md5", True, "mature", timegm((2003, 1, 25, 16, 24, 59)), 93,
            octets=576,
        ),
    )  # fmt: skip


def test_nothing_is_shown_and_read_as_nothing():
    status = Status()
    assert text(form.ipsec_lines(status)) == "No SAD entries."
    assert read_isakmp(text(form.isakmp_lines(status))) == ()
    assert read_ipsec(text(form.ipsec_lines(status))) == ()
    assert read_policies(text(form.policy_lines(status))) == ()
    assert read_log("", 2020) == ()


@pytest.mark.parametrize("read", [read_isakmp, read_ipsec, read_policies, read_interface])
@pytest.mark.parametrize("shown", ["% Unknown command", "\tspi=1", "10.0.0.1 10.0.0.2 10.0.0.3"])
def test_a_line_that_is_something_else_is_named(read, shown):
    with pytest.raises(Unreadable, match=r"^the console shows '.+' where .+ are expected$"):
        read(shown)


def test_a_line_within_an_sa_that_is_something_else_is_named():
    shown = text(form.ipsec_lines(Status(ipsec=(OUT,)))) + "\n\tconnection lost"
    with pytest.raises(Unreadable, match="connection lost"):
        read_ipsec(shown)


V4 = st.integers(1, 2**32 - 1).map(lambda one: str(IPv4Address(one)))
ADDRESSES = st.one_of(V4, st.integers(1, 2**128 - 1).map(lambda one: str(IPv6Address(one))))
TIMES = st.integers(0, 4 * 10**9)
COUNTS = st.integers(0, 2**32 - 1)
WORDS = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)
ISAKMPS = st.builds(
    Isakmp, ADDRESSES, st.integers(1, 65535), ADDRESSES, st.integers(1, 65535),
    st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.booleans(), st.booleans(),
    st.booleans(), TIMES, st.integers(0, 10**7),
)  # fmt: skip
IPSECS = st.builds(
    Ipsec, ADDRESSES, ADDRESSES, COUNTS, COUNTS, WORDS, WORDS, st.booleans(),
    st.sampled_from(["larval", "mature", "dying", "dead"]), TIMES, COUNTS, COUNTS, COUNTS, COUNTS,
)  # fmt: skip
POLICIES = st.builds(
    Policy, ADDRESSES, ADDRESSES, st.sampled_from(["in", "out"]), COUNTS,
    st.one_of(st.none(), st.tuples(ADDRESSES, ADDRESSES)),
)  # fmt: skip
INTERFACES = st.builds(
    Interface, st.from_regex(r"ipsec[0-9]{1,2}", fullmatch=True), V4, V4, st.booleans(),
    st.lists(V4.map(lambda one: one + "/24"), max_size=3).map(tuple),
)  # fmt: skip


@given(st.lists(ISAKMPS, max_size=5), st.lists(IPSECS, max_size=5), st.lists(POLICIES, max_size=5))
def test_whatever_is_printed_is_read_back(isakmp, ipsec, policies):
    status = Status(tuple(isakmp), tuple(ipsec), tuple(policies))
    assert read_isakmp(text(form.isakmp_lines(status))) == status.isakmp
    assert read_ipsec(text(form.ipsec_lines(status))) == status.ipsec
    assert read_policies(text(form.policy_lines(status))) == status.policies


@given(INTERFACES)
def test_an_interface_is_read_back(interface):
    assert read_interface(text(form.interface_lines(interface))) == interface


def read_or_named(read, shown: str) -> bool:
    try:
        read(shown)
    except Unreadable as wrong:
        return str(wrong).isprintable()
    return True


@given(st.text(max_size=200))
def test_any_text_is_read_or_named(shown):
    readers = (read_isakmp, read_ipsec, read_policies, read_interface)
    assert all(read_or_named(read, shown) for read in readers)
