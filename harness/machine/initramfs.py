# SPDX-License-Identifier: GPL-2.0-or-later
"""The initial ramdisk: finds the layers in memory, puts the root file system together, hands over.

It is the same bytes from the same input, because the snapshot's key hangs on it.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.machine.debian import EPOCH
from harness.machine.images import Kernel

# What the lab's networks, SAs and faults want of a kernel. What it has not is left out. Tunnel
# drivers are loaded on demand: each would put a device of its own into every namespace.
MODULES = (
    "af_key", "xfrm_user", "xfrm_interface", "esp4", "esp6", "ah4", "ah6", "ipcomp", "ipcomp6",
    "xfrm4_tunnel", "xfrm6_tunnel", "tunnel4", "tunnel6", "tun", "veth", "bridge", "overlay",
    "sch_netem", "sch_tbf", "sch_ingress", "sch_prio", "cls_u32", "cls_matchall", "act_mirred",
    "nf_tables", "nft_ct", "nft_nat", "nft_masq", "nft_redir", "nft_chain_nat", "nft_queue",
    "nft_log", "nft_limit", "nft_reject_inet", "nft_xfrm", "nft_meta_bridge", "nft_compat",
    "nfnetlink_queue", "nfnetlink_log", "nf_conntrack", "nf_conntrack_netlink", "nf_nat",
    "xt_policy", "iptable_filter", "ip6table_filter", "iptable_nat", "iptable_mangle",
    "authenc", "authencesn", "echainiv", "seqiv", "cbc", "ctr", "gcm", "ccm", "cmac", "xcbc",
    "hmac", "md5", "rmd160", "sha1_generic", "sha256_generic", "sha512_generic", "aes_generic",
    "aesni_intel", "ghash_clmulni_intel", "des_generic", "blowfish_generic", "cast5_generic",
    "camellia_generic", "serpent_generic", "twofish_generic", "chacha20poly1305",
    "chacha_generic", "poly1305_generic", "deflate", "crypto_null", "af_alg", "algif_hash",
    "algif_skcipher", "algif_aead", "inet_diag", "tcp_diag", "udp_diag", "unix_diag",
    "packet_diag", "af_packet_diag", "netlink_diag",
)  # fmt: skip

# What every scenario imports sooner or later; done once, before the snapshot.
WARM = (
    "asyncio", "concurrent.futures", "ctypes.util", "dataclasses", "difflib", "doctest", "email",
    "hashlib", "hmac", "ipaddress", "json", "logging", "multiprocessing", "pdb", "pprint",
    "socketserver", "sqlite3", "ssl", "tomllib", "unittest", "unittest.mock", "uuid",
    "xml.etree.ElementTree", "pytest", "_pytest.assertion.rewrite", "_pytest.skipping",
    "_pytest.junitxml", "_pytest.pytester", "_pytest.unittest", "_pytest.doctest", "xdist.plugin",
    "pygments.lexers.python", "rich.console", "vici", "pyroute2", "pyroute2.netns",
    "cryptography.x509", "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.ciphers.algorithms",
    "cryptography.hazmat.primitives.asymmetric.rsa", "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.asymmetric.padding",
    "cryptography.hazmat.primitives.serialization", "scapy.layers.inet", "scapy.layers.inet6",
    "scapy.layers.ipsec", "scapy.utils",
)  # fmt: skip

# What the kernel's ESP and AH ask for by these names, as the crypto API spells them. The kernel
# tests an algorithm when it is first asked for, which takes longer than a negotiation.
_MACS = ("md5", "sha1", "sha256", "sha384", "sha512")
_CIPHERS = ("cbc(aes)", "cbc(des3_ede)", "rfc3686(ctr(aes))", "cbc(camellia)", "ecb(cipher_null)")
ALGORITHMS = (
    *(("aead", f"seqiv({name})") for name in (
        "rfc4106(gcm(aes))", "rfc4309(ccm(aes))", "rfc7539esp(chacha20,poly1305)",
        "rfc4543(gcm(aes))",
    )),
    *(
        ("aead", f"echainiv({mode}(hmac({mac}),{cipher}))")
        for mode in ("authenc", "authencesn") for mac in _MACS for cipher in _CIPHERS
    ),
    *(("hash", f"hmac({mac})") for mac in _MACS),
    ("hash", "xcbc(aes)"), ("hash", "cmac(aes)"),
)  # fmt: skip

_INIT = """\
#!/bin/sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for module in /boot/*.ko; do $B insmod $module; done
layer() {
    while ! [ -b /dev/pmem$1 ]; do $B usleep 1000; done
    $B mkdir -p $2
    $B mount -t erofs -o ro,dax=always /dev/pmem$1 $2 2>/dev/null ||
        $B mount -t erofs -o ro /dev/pmem$1 $2
}
layer @guest@ /lower
$B mount -t tmpfs upper /upper
$B mkdir /upper/data /upper/work
$B mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /new
layer @modules@ /new/lib/modules
layer @site@ /new/site
@images@
for where in proc sys dev; do $B mount --move /$where /new/$where; done
$B mount -t tmpfs run /new/run
$B mkdir /new/run/ikelab
$B cp /guest.py /guest.json /start /new/run/ikelab/
$B hostname lab
exec $B switch_root /new /bin/sh /run/ikelab/start
"""

_START = """\
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 LC_ALL=C.UTF-8 TZ=UTC
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/site
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
echo 2 >/proc/sys/net/core/fb_tunnels_only_for_init_net
# An idle hour costs what wakes the kernel in it: housekeeping that a lab does not need.
echo 0 >/proc/sys/vm/compaction_proactiveness
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
echo 3600 >/proc/sys/vm/stat_interval
echo 3600000 >/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
ip link set lo up
modprobe -a -q @kernel_modules@ 2>/dev/null
# This shell stays as process 1, and takes in what daemons leave behind.
@python@ /run/ikelab/guest.py </dev/null >/run/ikelab/output 2>&1 &
wait $!
echo "ikelab: the agent ended with status $?"
tail -c 4000 /run/ikelab/output
echo b >/proc/sysrq-trigger
"""


def make_initramfs(kernel: Kernel, python: str, layers: Sequence[str], images: Sequence[str],
                   agent: bytes) -> bytes:  # fmt: skip
    """Return the ramdisk as an uncompressed cpio archive.

    ``layers`` names the pmem devices in their order: among them guest, modules, site, project,
    job and out; ``images`` are those of them to be seen under /images. ``agent`` is the program
    that runs in the guest.
    """
    setup: dict[str, object] = {
        "kernel": kernel.name,
        "layers": list(layers),
        "warm": list(WARM),
        "algorithms": ALGORITHMS,
    }
    mounts = "\n".join(f"layer {layers.index(name)} /new/images/{name}" for name in images)
    init = _INIT.replace("@images@", mounts)
    for name in ("guest", "modules", "site"):
        init = init.replace(f"@{name}@", str(layers.index(name)))
    start = _START.replace("@kernel_modules@", " ".join(MODULES)).replace("@python@", python)
    files = {
        "init": init.encode(),
        "start": start.encode(),
        "guest.py": agent,
        "guest.json": json.dumps(setup, sort_keys=True).encode(),
        "bin/busybox": kernel.busybox.read_bytes(),
    }
    files |= {f"boot/{path.name}": path.read_bytes() for path in kernel.boot_modules}
    folders = ("bin", "boot", "dev", "lower", "new", "proc", "sys", "upper")
    return cpio(folders, files, links={"bin/sh": "busybox"})


def make_probe_initramfs(kernel: Kernel, word: str) -> bytes:
    """Return a ramdisk that does nothing but say ``word`` on the console and end the guest."""
    init = f"#!/bin/sh\necho {word}\n/bin/busybox reboot -f\n"
    files = {"init": init.encode(), "bin/busybox": kernel.busybox.read_bytes()}
    return cpio(("bin", "dev", "proc"), files, links={"bin/sh": "busybox"})


def agent_source() -> bytes:
    """Return the program that runs in the guest."""
    return Path(__file__).with_name("guest.py").read_bytes()


def cpio(folders: Sequence[str], files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    """Return an archive in the kernel's "newc" format: every file executable and of root."""
    archive = bytearray()
    number = 0

    def add(name: str, mode: int, data: bytes) -> None:
        nonlocal number
        number += 1
        fields = (number, mode, 0, 0, 1, EPOCH, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
        archive.extend(name.encode() + b"\0")
        archive.extend(bytes(-len(archive) % 4))
        archive.extend(data)
        archive.extend(bytes(-len(archive) % 4))

    for name in folders:
        add(name, stat.S_IFDIR | 0o755, b"")
    for name, data in sorted(files.items()):
        add(name, stat.S_IFREG | 0o755, data)
    for name, target in sorted(links.items()):
        add(name, stat.S_IFLNK | 0o777, target.encode())
    number = -1
    add("TRAILER!!!", 0, b"")
    archive.extend(bytes(-len(archive) % 512))
    return bytes(archive)
