# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames of a capture decrypted a second on one core, beside tshark and scapy in the same run.

    python ci/bench/decryption.py [ESP PACKETS [IKE EXCHANGES]]

The capture has 100,000 ESP packets of 512 octets and 1,000 IKE exchanges unless told otherwise; all
three get the same keys. tshark runs with the profile that we write and prints the fields that a
test compares; from the time of a run that stops at the first frame its start is known and taken
off. scapy has no keys for IKE: it decrypts a tenth of the ESP alone. Seconds are the processor's,
each row the best of three. Exits 1 where a demand is missed: as many frames a second as tshark,
five times scapy's ESP packets, a ladder of 1,000 messages in 1 s, `ikelab decrypt` in 0.4 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.ipsec import ESP, SecurityAssociation

from harness.capture import captured
from harness.capture.decryption import decrypt
from harness.capture.entries import Ike, Ipsec, Status
from harness.capture.ladder import ladder
from harness.capture.secrets import IpsecSecret, Secrets
from harness.capture.wireshark import environment, write_profile
from harness.ike import payloads_v2 as v2
from harness.ike.payload import Payload
from harness.ike.transforms import encryption, integrity
from tests.capture.packets import (
    esp_secret,
    frames,
    header,
    ike,
    ike_secret,
    ip,
    pcapng_of,
    sealed,
    sealer,
    udp,
)

TRIES = 3
LONGEST_START = 0.4
"""Seconds in which `ikelab decrypt` is to have decrypted two messages."""
ALGORITHMS = (
    ("AES_GCM_16_128", None, "AES-GCM"),
    ("AES_CBC_256", "HMAC_SHA2_256_128", "AES-CBC"),
)
FIELDS = ("frame.number", "isakmp.typepayload", "isakmp.notify.msgtype", "esp.spi",
          "esp.sequence", "esp.icv_good", "ip.src", "ip.dst", "udp.srcport")  # fmt: skip


def ike_packets(exchanges: int) -> tuple[list[bytes], Secrets]:
    secret = ike_secret()
    packets = []
    for number in range(exchanges):
        payloads: list[Payload] = [
            v2.Notify(16393, b"", 3, b"\1\2\3\4"),
            v2.Nonce(number.to_bytes(32, "big")),
        ]
        packets += [ike(one) for one in sealed(secret, header(36, number), payloads)]
        answer = header(36, number, initiator=False, response=True)
        packets += [ike(one, back=True) for one in sealed(secret, answer, payloads)]
    return packets, Secrets(ike_v2=(secret,))


def esp_packets(count: int, secret: IpsecSecret) -> list[bytes]:
    inner = ip(udp(bytes(484 - 8 - 20), 7, 9), 17, "10.1.0.10", "10.2.0.10")
    source = sealer(secret)
    return [ip(source.seal(inner, 4), 50) for _ in range(count)]


def best(verb: Callable[[], object]) -> float:
    """The processor's seconds of the fastest of some tries, those of child processes included.

    Not seconds of the clock: on a shared machine those are other people's.
    """
    spent = []
    for _ in range(TRIES):
        started = os.times()
        verb()
        ended = os.times()
        spent.append(sum(ended[:4]) - sum(started[:4]))
    return min(spent)


def tshark(path: Path, profile: Path, *more: str) -> None:
    wanted = [part for name in FIELDS for part in ("-e", name)]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *more, *wanted]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment(profile))


def with_scapy(packets: list[bytes], secret: IpsecSecret, name: str) -> None:
    keys: dict[str, Any] = {}
    if secret.integrity is not None:
        keys = {"auth_algo": "SHA2-256-128", "auth_key": secret.integrity_key}
    sa = SecurityAssociation(
        ESP, spi=secret.spi, crypt_algo=name, crypt_key=secret.encryption_key, **keys
    )
    for packet in packets:
        sa.decrypt(IP(packet))


def ours(path: Path, secrets: Secrets) -> None:
    found = decrypt(captured.load(path).frames, secrets)
    for entry in found.entries:
        if isinstance(entry.content, Ike | Ipsec) and entry.content.status is not Status.DECRYPTED:
            raise SystemExit(f"frame {entry.number} is {entry.content.status}")


def ikelab(*arguments: object) -> None:
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def row(what: str, frames_: int, seconds: float, beside: float) -> None:
    rate = frames_ / seconds
    print(f"{what:<44}{frames_:>9,}{seconds:>9.2f}{rate:>12,.0f}{beside * rate:>9.2f}x")


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    exchanges = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    messages, ike_secrets = ike_packets(exchanges)
    missed = []
    print(f"{'decrypted by':<44}{'frames':>9}{'seconds':>9}{'a second':>12}{'to us':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for cipher, mac, scapy_name in ALGORITHMS:
            secret = esp_secret(encryption(cipher), integrity(mac) if mac else None)
            secrets = ike_secrets.joined(Secrets(ipsec=(secret,)))
            esp = esp_packets(count, secret)
            path, profile = Path(folder) / f"{cipher}.pcapng", Path(folder) / cipher
            path.write_bytes(pcapng_of(frames([*messages, *esp])))
            write_profile(profile, secrets)
            total = count + len(messages)
            mine = best(partial(ours, path, secrets))
            beside = mine / total
            row(f"{cipher}, ikelab, from file to entries", total, mine, beside)
            start = best(partial(tshark, path, profile, "-c", "1"))
            theirs = best(partial(tshark, path, profile)) - start
            row(f"{cipher}, tshark, after {start:.2f} s of start", total, theirs, beside)
            some = esp[: max(count // 10, 1)]
            its = best(partial(with_scapy, some, secret, scapy_name))
            row(f"{cipher}, scapy, ESP alone", len(some), its, beside)
            if mine > theirs:
                missed.append(f"{cipher}: {mine:.2f} s, and tshark {theirs:.2f} s")
            if total / mine < 5 * len(some) / its:
                missed.append(f"{cipher}: less than five times scapy")
    taken = frames(messages[:1000])
    drawn = best(lambda: list(ladder(decrypt(taken, ike_secrets).entries)))
    print(f"{'ladder, from frames to lines':<44}{len(taken):>9,}{drawn:>9.2f}")
    if drawn > len(taken) / 1000:
        missed.append(f"a ladder of {len(taken)} messages takes {drawn:.2f} s")
    strangers = frames([ip(udp(bytes(64), 7, 9), 17, "192.0.2.1", "192.0.2.2")] * count)
    passed_over = best(lambda: decrypt(strangers, ike_secrets))
    rate = count / passed_over
    print(f"{'unrelated frames':<44}{count:>9,}{passed_over:>9.2f}{rate:>12,.0f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.pcapng"
        path.write_bytes(pcapng_of(taken[:2]))
        write_profile(Path(folder) / "keys", ike_secrets)
        began = best(lambda: ikelab("decrypt", path, "--secrets", Path(folder) / "keys"))
    print(f"{'ikelab decrypt, a process of its own':<44}{2:>9,}{began:>9.2f}")
    if began > LONGEST_START:
        missed.append(f"ikelab decrypt takes {began:.2f} s for two messages")
    for one in missed:
        print(f"missed: {one}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
