# SPDX-License-Identifier: GPL-2.0-or-later
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel.capabilities import Capabilities, probe

NAMED = {
    "esp", "ah", "ipcomp", "esn", "policy", "marks", "xfrm-interface", "udp-encapsulation",
    "af_key", "netem", "tun", "overlay", "nat",
    "rfc4106(gcm(aes))", "rfc7539esp(chacha20,poly1305)", "rfc4309(ccm(aes))",
    "cbc(aes)", "cbc(des)", "cbc(des3_ede)", "cbc(blowfish)", "cbc(cast5)", "cbc(camellia)",
    "cbc(serpent)", "cbc(twofish)",
    "rfc3686(ctr(aes))", "ecb(cipher_null)",
    "hmac(md5)", "hmac(sha1)", "hmac(sha256)", "hmac(sha384)", "hmac(sha512)",
    "xcbc(aes)", "cmac(aes)",
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Capabilities:
    return probe()


def test_every_capability_has_an_answer(found: Capabilities) -> None:
    assert set(found.reasons) == NAMED
    assert all(reason is None or reason for reason in found.reasons.values())


def test_what_ip_xfrm_is_refused_is_missing_and_what_it_is_granted_is_there(
    found: Capabilities,
) -> None:
    state = "src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel"
    for name, key_size in (("cbc(aes)", 16), ("cbc(des3_ede)", 24)):
        key = "0x" + bytes(range(key_size)).hex()
        command = f"ip xfrm state add {state} enc {name} {key} auth hmac(sha256) 0x{'01' * 32}"
        done = subprocess.run(["unshare", "-n", *command.split()], capture_output=True, text=True)
        assert (done.returncode == 0) == (found.missing(name) is None), done.stderr
        if done.returncode:
            assert str(found.missing(name)) in done.stderr


def test_a_name_that_is_no_capability_is_refused_with_those_that_are(found: Capabilities) -> None:
    with pytest.raises(ValueError, match="there is no capability 'esp4', only esp, ah,"):
        found.missing("esp4")


def test_probing_leaves_nothing_behind() -> None:
    def state() -> tuple[object, ...]:
        return (
            os.readlink("/proc/self/ns/net"),
            os.readlink("/proc/self/ns/mnt"),
            Path("/proc/self/mounts").read_text(),
            {name for _, name in socket.if_nameindex()},
            subprocess.run(["ip", "xfrm", "policy"], capture_output=True, check=True).stdout,
            len(os.listdir("/proc/self/fd")),
        )

    before = state()
    probe()
    assert state() == before


def test_without_root_everything_is_missing_for_that_reason() -> None:
    program = (
        "import os; from harness.kernel.capabilities import probe;"
        "os.setuid(65534); print(set(probe().reasons.values()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == (
        "{'namespaces cannot be made (Operation not permitted): run this as root'}"
    ), done.stderr
