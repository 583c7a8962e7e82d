# SPDX-License-Identifier: GPL-2.0-or-later
"""SEIL configurations as an administrator writes them."""

MINIMAL = """\
route.ipv4.1.destination:                                 : 192.168.2.0/24
route.ipv4.1.gateway:                                     : ipsec0
interface.ge0.ipv4.address                                : 10.0.0.1/24
interface.ge1.ipv4.address                                : 192.168.1.1/24
interface.ipsec0.preshared-key                            : xeeB5gohvaYi
interface.ipsec0.ipv4.source                              : 10.0.0.1
interface.ipsec0.ipv4.destination                         : 10.0.0.2
interface.ipsec0.ike.proposal.phase2.proxy-id.ipv4.local  : 192.168.1.0/24
interface.ipsec0.ike.proposal.phase2.proxy-id.ipv4.remote : 192.168.2.0/24
"""

WITHOUT_PROXY_ID = "".join(
    line for line in MINIMAL.splitlines(keepends=True) if "proxy-id" not in line
)

PHASE1 = """\
interface.ipsec0.ike.proposal.phase1.lifetime               : 777
interface.ipsec0.ike.proposal.phase1.encryption.0.algorithm : aes256
interface.ipsec0.ike.proposal.phase1.hash.0.algorithm       : sha256
interface.ipsec0.ike.proposal.phase1.dh-group               : modp1024
"""

SIXTEEN = """\
interface.ipsec0.ike.proposal.phase1.lifetime               : 86400
interface.ipsec0.ike.proposal.phase1.encryption.0.algorithm : aes256
interface.ipsec0.ike.proposal.phase1.encryption.1.algorithm : aes192
interface.ipsec0.ike.proposal.phase1.encryption.2.algorithm : aes128
interface.ipsec0.ike.proposal.phase1.encryption.3.algorithm : 3des
interface.ipsec0.ike.proposal.phase1.hash.0.algorithm       : sha512
interface.ipsec0.ike.proposal.phase1.hash.1.algorithm       : sha384
interface.ipsec0.ike.proposal.phase1.hash.2.algorithm       : sha256
interface.ipsec0.ike.proposal.phase1.hash.3.algorithm       : sha1
interface.ipsec0.ike.proposal.phase1.dh-group               : modp1536
"""

PHASE2 = """\
interface.ipsec0.ike.proposal.phase2.encryption.0.algorithm     : aes256
interface.ipsec0.ike.proposal.phase2.authentication.0.algorithm : hmac-md5
"""
