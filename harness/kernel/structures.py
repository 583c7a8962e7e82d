# SPDX-License-Identifier: GPL-2.0-or-later
"""The C structures of linux/xfrm.h: each field's name, width and byte order, said once.

`messages` hands these fields to pyroute2, which writes them; reading goes through `Layout.unpack`,
because the kernels of a lab are dumped all the time: pyroute2 takes 52 ms to take a thousand SAs
apart, one compiled `struct` a structure takes 3 ms.

A field is a name and a `struct` format without alignment; padding is a field of its own named
`pad…`. A structure inside another is its bytes. `>` marks network order; all else is host order.
"""

import struct
from collections import namedtuple
from typing import Any

from harness.kernel.errors import MalformedMessage


class Layout:
    """One C structure of fixed size; packs values by name and unpacks to a named tuple."""

    def __init__(self, name: str, *fields: tuple[str, str]) -> None:
        self.name = name
        self.fields = fields
        self.size = sum(struct.calcsize(f"={form.lstrip('>')}") for _, form in fields)
        # A struct has one byte order: where there are both, network order is taken as bytes first.
        mixed = any(form[-1] not in "sB" and form[0] != ">" for _, form in fields)
        network = [index for index, (_, form) in enumerate(fields) if form[0] == ">"]
        self._network = network if mixed else []
        self._struct = struct.Struct(
            ("=" if mixed else ">")
            + "".join(
                _as_bytes(form) if mixed and form[0] == ">" else form.lstrip(">")
                for _, form in fields
            )
        )
        self._record: Any = namedtuple(name, [field for field, _ in fields])  # type: ignore[misc]
        self._zero = {field: b"" if form[-1] == "s" else 0 for field, form in fields}

    def values(self, **values: Any) -> dict[str, Any]:
        """All fields by name; those not given are zero. Raises TypeError for an unknown name."""
        unknown = values.keys() - self._zero.keys()
        if unknown:
            raise TypeError(f"{self.name} has no field {', '.join(sorted(unknown))}")
        return self._zero | values

    def pack(self, **values: Any) -> bytes:
        """The structure's bytes; raises ValueError when a value does not fit its field."""
        complete = list(self.values(**values).values())
        try:
            for index in self._network:
                complete[index] = struct.pack(self.fields[index][1], complete[index])
            return self._struct.pack(*complete)
        except struct.error:
            raise ValueError(f"{self.name} has no room for {self._misfit(values)}") from None

    def unpack(self, data: bytes, offset: int = 0) -> Any:
        """The fields as a named tuple; raises MalformedMessage when `data` is too short."""
        try:
            values = self._struct.unpack_from(data, offset)
        except struct.error:
            raise MalformedMessage(
                f"{self.name} has {self.size} bytes and only {max(len(data) - offset, 0)} are left"
            ) from None
        if self._network:
            complete = list(values)
            for index in self._network:
                complete[index] = int.from_bytes(complete[index], "big")
            return tuple.__new__(self._record, complete)
        # What `_make` does too, after it has counted values that can only be as many as fields.
        return tuple.__new__(self._record, values)

    def _misfit(self, values: dict[str, Any]) -> str:
        for name, form in self.fields:
            try:
                struct.pack(form, values.get(name, self._zero[name]))
            except struct.error:
                return f"{name} {values[name]!r}"
        raise AssertionError(f"all of {values} fits in {self.name}")


def _as_bytes(form: str) -> str:
    return f"{struct.calcsize(form)}s"


SELECTOR = Layout(
    "xfrm_selector",
    ("daddr", "16s"),
    ("saddr", "16s"),
    ("dport", ">H"),
    ("dport_mask", ">H"),
    ("sport", ">H"),
    ("sport_mask", ">H"),
    ("family", "H"),
    ("prefixlen_d", "B"),
    ("prefixlen_s", "B"),
    ("proto", "B"),
    ("pad", "3s"),
    ("ifindex", "i"),
    ("user", "I"),
)
ID = Layout("xfrm_id", ("daddr", "16s"), ("spi", ">I"), ("proto", "B"), ("pad", "3s"))
LIFETIME_CONFIGURATION = Layout(
    "xfrm_lifetime_cfg",
    ("soft_byte_limit", "Q"),
    ("hard_byte_limit", "Q"),
    ("soft_packet_limit", "Q"),
    ("hard_packet_limit", "Q"),
    ("soft_add_expires_seconds", "Q"),
    ("hard_add_expires_seconds", "Q"),
    ("soft_use_expires_seconds", "Q"),
    ("hard_use_expires_seconds", "Q"),
)
LIFETIME_CURRENT = Layout(
    "xfrm_lifetime_cur", ("bytes", "Q"), ("packets", "Q"), ("add_time", "Q"), ("use_time", "Q")
)
STATISTICS = Layout(
    "xfrm_stats", ("replay_window", "I"), ("replay", "I"), ("integrity_failed", "I")
)
REPLAY_STATE = Layout("xfrm_replay_state", ("oseq", "I"), ("seq", "I"), ("bitmap", "I"))
REPLAY_STATE_ESN = Layout(
    "xfrm_replay_state_esn",
    ("bmp_len", "I"),
    ("oseq", "I"),
    ("seq", "I"),
    ("oseq_hi", "I"),
    ("seq_hi", "I"),
    ("replay_window", "I"),
)
ALGORITHM = Layout("xfrm_algo", ("name", "64s"), ("key_bits", "I"))
ALGORITHM_AUTH = Layout("xfrm_algo_auth", ("name", "64s"), ("key_bits", "I"), ("trunc_bits", "I"))
ALGORITHM_AEAD = Layout("xfrm_algo_aead", ("name", "64s"), ("key_bits", "I"), ("icv_bits", "I"))
ENCAPSULATION = Layout(
    "xfrm_encap_tmpl",
    ("encap_type", "H"),
    ("sport", ">H"),
    ("dport", ">H"),
    ("pad", "2s"),
    ("oa", "16s"),
)
MARK = Layout("xfrm_mark", ("value", "I"), ("mask", "I"))
TEMPLATE = Layout(
    "xfrm_user_tmpl",
    ("id", f"{ID.size}s"),
    ("family", "H"),
    ("pad", "2s"),
    ("saddr", "16s"),
    ("reqid", "I"),
    ("mode", "B"),
    ("share", "B"),
    ("optional", "B"),
    ("pad2", "1s"),
    ("aalgos", "I"),
    ("ealgos", "I"),
    ("calgos", "I"),
)
POLICY_TYPE = Layout(
    "xfrm_userpolicy_type",
    ("type", "B"),
    ("pad", "1s"),
    ("reserved1", "H"),
    ("reserved2", "B"),
    ("pad2", "1s"),
)
SA_INFO = Layout(
    "xfrm_usersa_info",
    ("sel", f"{SELECTOR.size}s"),
    ("id", f"{ID.size}s"),
    ("saddr", "16s"),
    ("lft", f"{LIFETIME_CONFIGURATION.size}s"),
    ("curlft", f"{LIFETIME_CURRENT.size}s"),
    ("stats", f"{STATISTICS.size}s"),
    ("seq", "I"),
    ("reqid", "I"),
    ("family", "H"),
    ("mode", "B"),
    ("replay_window", "B"),
    ("flags", "B"),
    ("pad", "7s"),
)
SA_ID = Layout(
    "xfrm_usersa_id",
    ("daddr", "16s"),
    ("spi", ">I"),
    ("family", "H"),
    ("proto", "B"),
    ("pad", "1s"),
)
SPI_INFO = Layout(
    "xfrm_userspi_info", ("info", f"{SA_INFO.size}s"), ("minimum", "I"), ("maximum", "I")
)
SA_FLUSH = Layout("xfrm_usersa_flush", ("proto", "B"))
POLICY_INFO = Layout(
    "xfrm_userpolicy_info",
    ("sel", f"{SELECTOR.size}s"),
    ("lft", f"{LIFETIME_CONFIGURATION.size}s"),
    ("curlft", f"{LIFETIME_CURRENT.size}s"),
    ("priority", "I"),
    ("index", "I"),
    ("dir", "B"),
    ("action", "B"),
    ("flags", "B"),
    ("share", "B"),
    ("pad", "4s"),
)
POLICY_ID = Layout(
    "xfrm_userpolicy_id",
    ("sel", f"{SELECTOR.size}s"),
    ("index", "I"),
    ("dir", "B"),
    ("pad", "3s"),
)
ACQUIRE = Layout(
    "xfrm_user_acquire",
    ("id", f"{ID.size}s"),
    ("saddr", "16s"),
    ("sel", f"{SELECTOR.size}s"),
    ("policy", f"{POLICY_INFO.size}s"),
    ("aalgos", "I"),
    ("ealgos", "I"),
    ("calgos", "I"),
    ("seq", "I"),
)
EXPIRE = Layout("xfrm_user_expire", ("state", f"{SA_INFO.size}s"), ("hard", "B"), ("pad", "7s"))
POLICY_EXPIRE = Layout(
    "xfrm_user_polexpire", ("pol", f"{POLICY_INFO.size}s"), ("hard", "B"), ("pad", "7s")
)
MAPPING = Layout(
    "xfrm_user_mapping",
    ("id", f"{SA_ID.size}s"),
    ("reqid", "I"),
    ("old_saddr", "16s"),
    ("new_saddr", "16s"),
    ("old_sport", ">H"),
    ("new_sport", ">H"),
)
