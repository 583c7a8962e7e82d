# SPDX-License-Identifier: GPL-2.0-or-later
"""AH against scapy, which shares no line with it."""

import pytest
from scapy.layers.inet import ICMP, IP, IPOption_Router_Alert, IPOption_RR
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrHopByHop
from scapy.layers.ipsec import AH, SecurityAssociation
from scapy.packet import Packet, Raw

from harness.capture.decryption import decrypt
from harness.capture.entries import Entry, Ipsec, Status
from harness.capture.secrets import IpsecSecret, Secrets
from harness.ike.transforms import Integrity, integrity
from tests.capture.packets import MOON, MOON6, SUN, SUN6, frames

NAMES = {
    "HMAC_SHA1_96": "HMAC-SHA1-96",
    "HMAC_SHA2_256_128": "SHA2-256-128",
    "HMAC_SHA2_384_192": "SHA2-384-192",
    "HMAC_SHA2_512_256": "SHA2-512-256",
    "HMAC_MD5_96": "HMAC-MD5-96",
    "AES_CMAC_96": "AES-CMAC-96",
}
PLAIN4 = IP(src=MOON, dst=SUN, ttl=9, tos=4, id=77) / ICMP() / Raw(b"ping")
PLAIN6 = IPv6(src=MOON6, dst=SUN6, hlim=9, tc=4) / ICMPv6EchoRequest(data=b"ping")


def secret(mac: Integrity) -> IpsecSecret:
    return IpsecSecret(
        0xA4, protocol="ah", integrity=mac, integrity_key=b"\x33" * mac.key_size, esn=False
    )


def sent(mac: Integrity, plain: Packet, tunnel: Packet | None = None) -> bytes:
    sa = SecurityAssociation(
        AH, spi=0xA4, auth_algo=NAMES[mac.name], auth_key=b"\x33" * mac.key_size,
        tunnel_header=tunnel,
    )  # fmt: skip
    return bytes(sa.encrypt(plain))


def seen(packets: list[bytes], *secrets: IpsecSecret) -> list[Ipsec]:
    found: list[Entry] = list(decrypt(frames(packets), Secrets(ipsec=secrets)).entries)
    return [entry.content for entry in found if isinstance(entry.content, Ipsec)]


SHA256 = integrity("HMAC_SHA2_256_128")


@pytest.mark.parametrize("plain", [PLAIN4, PLAIN6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", NAMES)
def test_what_scapy_authenticates_verifies_and_gives_the_packet_back(
    name: str, plain: Packet
) -> None:
    mac = integrity(name)
    (found,) = seen([sent(mac, plain)], secret(mac))
    assert (found.status, found.authentic, found.mode) == (Status.DECRYPTED, True, "transport")
    assert found.inner is not None
    assert found.inner.haslayer(plain.payload.__class__)
    assert bytes(found.payload) == bytes(plain.payload)


def test_what_routers_change_is_not_covered_and_the_rest_is() -> None:
    packet = bytearray(sent(SHA256, PLAIN4))
    for at in (1, 8, 10):  # type of service, time to live, checksum
        packet[at] ^= 0xFF
    assert seen([bytes(packet)], secret(SHA256))[0].authentic
    packet[15] ^= 1  # the source address
    (found,) = seen([bytes(packet)], secret(SHA256))
    assert (found.status, found.authentic) == (Status.BAD_ICV, False)
    assert found.payload


def test_options_and_extension_headers_are_covered_as_scapy_does() -> None:
    routed = IP(src=MOON, dst=SUN, options=[IPOption_Router_Alert(), IPOption_RR()]) / ICMP()
    hops = IPv6(src=MOON6, dst=SUN6) / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest()
    for plain in (routed, hops):
        assert seen([sent(SHA256, plain)], secret(SHA256))[0].authentic, plain.summary()


def test_tunnel_mode_gives_the_inner_packet() -> None:
    (found,) = seen([sent(SHA256, PLAIN4, IP(src="10.9.0.1", dst="10.9.0.2"))], secret(SHA256))
    assert found.mode == "tunnel"
    assert found.inner is not None
    assert (found.inner.src, found.inner.dst) == (MOON, SUN)


def test_a_replay_and_a_stranger_are_told() -> None:
    packet = sent(SHA256, PLAIN4)
    assert [one.replays for one in seen([packet, packet], secret(SHA256))] == [0, 1]
    (found,) = seen([packet])
    assert found.status is Status.UNKNOWN_SPI
    assert found.payload == bytes(PLAIN4.payload)


def test_an_icv_that_reaches_past_the_packet_is_malformed() -> None:
    packet = bytearray(sent(SHA256, PLAIN4))
    packet[21] = 0xFF
    (found,) = seen([bytes(packet)], secret(SHA256))
    assert found.status is Status.MALFORMED
