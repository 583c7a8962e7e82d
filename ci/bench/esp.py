# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure userspace ESP with 1 KB payloads on one core, beside scapy's in the same run.

Prints a table of packets a second, sealed and opened; exits 1 when AES-GCM is below the target.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

from harness.ike.esp import EspSa, Opener, Sealer
from harness.ike.transforms import encryption, integrity

TARGET = 30_000
SIZE = 1024

SUITES = (
    ("AES_GCM_16_128", None, "AES-GCM", None),
    ("AES_GCM_16_256", None, "AES-GCM", None),
    ("AES_GCM_8_128", None, None, None),
    ("AES_CCM_16_128", None, "AES-CCM", None),
    ("CHACHA20_POLY1305", None, "CHACHA20-POLY1305", None),
    ("AES_CBC_128", "HMAC_SHA2_256_128", "AES-CBC", "SHA2-256-128"),
    ("AES_CBC_256", "HMAC_SHA1_96", "AES-CBC", "HMAC-SHA1-96"),
    ("AES_CTR_128", "HMAC_SHA1_96", "AES-CTR", "HMAC-SHA1-96"),
    ("3DES", "HMAC_MD5_96", "3DES", "HMAC-MD5-96"),
    ("NULL", "HMAC_SHA1_96", "NULL", "HMAC-SHA1-96"),
)


RUNS = 5


def rate(run: Callable[[], int]) -> float:
    """Packets a second: the median of RUNS runs, each of which returns how many it did.

    The median and not the best, because shared machines have phases twice as fast as usual; for
    the same reason the ratio to scapy, measured in the same minute, says more than the rate.
    """
    rates = []
    for _ in range(RUNS):
        start = time.perf_counter()
        count = run()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def ours(sa: EspSa, payload: bytes, count: int) -> tuple[float, float]:
    size = sa.encryption.iv_size
    source = None if sa.encryption.block_size == 1 else lambda n: n.to_bytes(size, "big")
    packets: list[bytes] = []

    def seal() -> int:
        sealer = Sealer(sa, source)
        packets[:] = [sealer.seal(payload, 4) for _ in range(count)]
        return count

    def open_all() -> int:
        opener = Opener(sa)
        for packet in packets:
            opener.open(packet)
        return count

    return rate(seal), rate(open_all)


def scapys(sa: EspSa, crypt: str, auth: str | None, inner: IP, count: int) -> tuple[float, float]:
    other = SecurityAssociation(
        ESP, spi=sa.spi, crypt_algo=crypt, crypt_key=sa.encryption_key, auth_algo=auth,
        auth_key=sa.integrity_key or None, tunnel_header=IP(src="192.0.2.1", dst="192.0.2.2"),
    )  # fmt: skip
    packets: list[IP] = []

    def seal() -> int:
        packets[:] = [other.encrypt(inner) for _ in range(count)]
        return count

    def open_all() -> int:
        # decrypt() changes its argument, so each run gets fresh packets made outside the clock.
        for packet in fresh.pop():
            other.decrypt(packet)
        return count

    sealed = rate(seal)
    raw = [bytes(packet) for packet in packets]
    fresh = [[IP(data) for data in raw] for _ in range(RUNS)]
    return sealed, rate(open_all)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="packets a run for ikelab")
    parser.add_argument("--scapy-count", type=int, default=300, help="packets a run for scapy")
    options = parser.parse_args()
    inner = IP(src="10.1.0.1", dst="10.2.0.1") / UDP() / Raw(bytes(SIZE - 28))
    payload = bytes(inner)
    print(
        f"{'suite':<34}{'seal/s':>10}{'scapy':>9}{'ratio':>7}{'open/s':>11}{'scapy':>9}{'ratio':>7}"
    )
    slow = []
    for cipher, mac, crypt, auth in SUITES:
        algorithm, check = encryption(cipher), integrity(mac) if mac else None
        key = bytes((7 * i + 1) % 256 for i in range(algorithm.keymat_size))
        sa = EspSa(0x1234, algorithm, key, check, bytes(check.key_size) if check else b"")
        sealed, opened = ours(sa, payload, options.count)
        line = f"{cipher + (' ' + mac if mac else ''):<34}"
        if crypt:
            other_sealed, other_opened = scapys(sa, crypt, auth, inner, options.scapy_count)
            line += f"{sealed:>10,.0f}{other_sealed:>9,.0f}{sealed / other_sealed:>6,.0f}x"
            line += f"{opened:>11,.0f}{other_opened:>9,.0f}{opened / other_opened:>6,.0f}x"
        else:
            line += f"{sealed:>10,.0f}{'-':>9}{'-':>7}{opened:>11,.0f}{'-':>9}{'-':>7}"
        print(line, flush=True)
        if cipher.startswith("AES_GCM_16") and min(sealed, opened) < TARGET:
            slow.append(cipher)
    if slow:
        print(f"Below the target of {TARGET:,} packets a second: {', '.join(slow)}.")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
