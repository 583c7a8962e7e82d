# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of linux/netlink.h and linux/xfrm.h under their names, and the words for them.

`IntEnum` members are what the kernel sends and takes; the dictionaries give the words that the rest
of the harness uses (those of iproute2), and their inverse.
"""

from enum import IntEnum, IntFlag

NETLINK_XFRM = 6

UNLIMITED = (1 << 64) - 1
"""XFRM_INF: a lifetime in bytes or packets that never ends."""


class MessageType(IntEnum):
    """Types of netlink message."""

    ERROR = 2
    DONE = 3
    NEWSA = 0x10
    DELSA = 0x11
    GETSA = 0x12
    NEWPOLICY = 0x13
    DELPOLICY = 0x14
    GETPOLICY = 0x15
    ALLOCSPI = 0x16
    ACQUIRE = 0x17
    EXPIRE = 0x18
    UPDPOLICY = 0x19
    UPDSA = 0x1A
    POLEXPIRE = 0x1B
    FLUSHSA = 0x1C
    FLUSHPOLICY = 0x1D
    NEWAE = 0x1E
    GETAE = 0x1F
    REPORT = 0x20
    MIGRATE = 0x21
    MAPPING = 0x26


class RequestFlag(IntFlag):
    """Flags of a netlink header that the harness sets or reads."""

    REQUEST = 0x01
    ACK = 0x04
    DUMP = 0x300
    # On an error or done message: the message is cut short, attributes follow.
    CAPPED = 0x100
    ACK_ATTRIBUTES = 0x200


class Group(IntEnum):
    """Multicast groups (enum xfrm_nlgroups)."""

    ACQUIRE = 1
    EXPIRE = 2
    SA = 3
    POLICY = 4
    AEVENTS = 5
    REPORT = 6
    MIGRATE = 7
    MAPPING = 8


class Attribute(IntEnum):
    """Attributes of a message (enum xfrm_attr_type_t)."""

    ALG_AUTH = 1
    ALG_CRYPT = 2
    ALG_COMP = 3
    ENCAP = 4
    TMPL = 5
    SA = 6
    POLICY = 7
    SEC_CTX = 8
    LTIME_VAL = 9
    REPLAY_VAL = 10
    REPLAY_THRESH = 11
    ETIMER_THRESH = 12
    SRCADDR = 13
    COADDR = 14
    LASTUSED = 15
    POLICY_TYPE = 16
    MIGRATE = 17
    ALG_AEAD = 18
    KMADDRESS = 19
    ALG_AUTH_TRUNC = 20
    MARK = 21
    TFCPAD = 22
    REPLAY_ESN_VAL = 23
    SA_EXTRA_FLAGS = 24
    PROTO = 25
    ADDRESS_FILTER = 26
    PAD = 27
    OFFLOAD_DEV = 28
    SET_MARK = 29
    SET_MARK_MASK = 30
    IF_ID = 31
    MTIMER_THRESH = 32
    # Linux 6.10 and later.
    SA_DIR = 33


class SaFlag(IntFlag):
    """Flags of an SA (XFRM_STATE_…); ESN is a field of the SA, not a flag, in the harness."""

    NOECN = 1
    DECAP_DSCP = 2
    NOPMTUDISC = 4
    WILDRECV = 8
    ICMP = 16
    AF_UNSPEC = 32
    ALIGN4 = 64
    ESN = 128


class SaExtraFlag(IntFlag):
    """Flags of an SA that came later (XFRM_SA_XFLAG_…)."""

    DONT_ENCAP_DSCP = 1
    OSEQ_MAY_WRAP = 2


class PolicyFlag(IntFlag):
    """Flags of a policy (XFRM_POLICY_…)."""

    LOCALOK = 1
    ICMP = 2


NO_SA_FLAGS = SaFlag(0)
NO_EXTRA_FLAGS = SaExtraFlag(0)
NO_POLICY_FLAGS = PolicyFlag(0)

PROTOCOLS = {50: "esp", 51: "ah", 108: "comp", 4: "ipip", 41: "ipv6", 43: "route2", 60: "hao"}
MODES = {0: "transport", 1: "tunnel", 2: "ro", 3: "in_trigger", 4: "beet", 5: "iptfs"}
DIRECTIONS = {0: "in", 1: "out", 2: "fwd", 3: "socket-in", 4: "socket-out", 5: "socket-fwd"}
ACTIONS = {0: "allow", 1: "block"}
SHARES = {0: "any", 1: "session", 2: "user", 3: "unique"}
POLICY_TYPES = {0: "main", 1: "sub"}
ENCAPSULATIONS = {1: "espinudp-nonike", 2: "espinudp", 7: "espintcp"}
SA_DIRECTIONS = {1: "in", 2: "out"}


def word(words: dict[int, str], number: int) -> str:
    """The word for a number, or the number in decimal where there is none."""
    return words.get(number) or str(number)


def number(words: dict[int, str], text: str) -> int:
    """The number for a word or for a number in decimal; raises ValueError."""
    for value, name in words.items():
        if name == text:
            return value
    if text.isdecimal():
        return int(text)
    raise ValueError(f"{text!r} is none of {', '.join(words.values())}")
