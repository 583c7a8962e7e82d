# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs and policies that the tests of the socket install."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from harness.kernel.algorithms import Algorithm
from harness.kernel.policy import Policy, Template
from harness.kernel.sa import SecurityAssociation
from harness.kernel.selector import Selector

MOON, SUN = ip_address("192.0.2.1"), ip_address("192.0.2.2")
MOON6, SUN6 = ip_address("2001:db8::1"), ip_address("2001:db8::2")
EVERYTHING, EVERYTHING6 = ip_network("0.0.0.0/0"), ip_network("::/0")
ALICE, BOB = ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16")
TUNNEL = Template(MOON, SUN, reqid=1)
OUT = Policy(Selector(ALICE, BOB), "out", priority=5, templates=(TUNNEL,))
GCM = Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128)
CBC = Algorithm("cbc(aes)", bytes(range(16)))
SHA = Algorithm("hmac(sha256)", bytes(range(32)), 128)
ESP = SecurityAssociation(0x1000, MOON, SUN, reqid=1, aead=GCM)
TRANSPORT = replace(ESP, mode="transport", aead=None, encryption=CBC, integrity=SHA)
