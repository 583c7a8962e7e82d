# SPDX-License-Identifier: GPL-2.0-or-later
from harness.peers.contract import NativeFile
from harness.peers.strongswan.complaints import STARTER, SWANCTL, complaints

IPSEC_CONF = NativeFile(
    "/etc/ipsec.conf", "config setup\n\nconn a\n    left=1.1.1.1\n    foo=bar\n    lifetime=10q\n"
)
SWANCTL_CONF = NativeFile(
    "/etc/swanctl/swanctl.conf", "connections {\n a {\n  versoin = 2\n }\n}\n"
)


def test_starters_complaints_come_with_file_and_line() -> None:
    printed = (
        "# unknown keyword 'foo'\n# bad duration value: lifetime=10q\n"
        "  bad argument value in conn 'a'\n# ignored conn 'a' due to 1 parsing error\n"
    )
    found = complaints(printed, STARTER, [IPSEC_CONF])
    assert "/etc/ipsec.conf:5: unknown keyword 'foo'" in found
    assert "/etc/ipsec.conf:6: bad duration value: lifetime=10q" in found
    assert "ignored" not in found


def test_starters_own_line_numbers_are_kept() -> None:
    printed = "/etc/ipsec.conf:4: syntax error, unexpected STRING\n"
    assert complaints(printed, STARTER, [IPSEC_CONF]) == printed.strip()


def test_swanctls_complaints_come_with_file_and_line() -> None:
    printed = (
        "opening directory '/etc/swanctl/rsa' failed: No such file or directory\n"
        "loading connection 'a' failed: unknown option: versoin, config discarded\n"
        "loaded 0 of 1 connections, 1 failed to load, 0 unloaded\n"
    )
    found = complaints(printed, SWANCTL, [SWANCTL_CONF])
    assert "swanctl.conf:3: loading connection 'a' failed: unknown option: versoin" in found
    assert "opening directory" not in found


def test_what_is_no_complaint_is_passed_over() -> None:
    for pattern in (STARTER, SWANCTL):
        assert complaints("loaded connection 'a'\ncharon (3) started\n", pattern, []) == ""
