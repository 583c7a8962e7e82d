# SPDX-License-Identifier: GPL-2.0-or-later
"""An SA's sequence numbers and its window against replays (RFC 4303 section 3.4.3, appendix A)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.kernel.errors import MalformedMessage
from harness.kernel.plain import fields_of
from harness.kernel.structures import REPLAY_STATE, REPLAY_STATE_ESN

WORD_BITS = 32
LARGEST_PLAIN_WINDOW = 32
LARGEST_WINDOW = 4096 * 8
"""XFRMA_REPLAY_ESN_MAX bytes of bitmap."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The counters of an SA: the highest sequence number received and sent, and the window.

    `window` is in packets. The `_hi` halves are those of extended sequence numbers. `bitmap` is the
    kernel's, bit 0 of word 0 first; what a bit stands for depends on the kernel's way to keep it.
    """

    window: int = 0
    seq: int = 0
    oseq: int = 0
    seq_hi: int = 0
    oseq_hi: int = 0
    bitmap: int = 0

    @property
    def received(self) -> int:
        """The highest sequence number received, 64 bits with ESN."""
        return self.seq_hi << 32 | self.seq

    @property
    def sent(self) -> int:
        """The last sequence number sent, 64 bits with ESN."""
        return self.oseq_hi << 32 | self.oseq

    def as_json(self) -> dict[str, int | str]:
        """The counters as plain values, the bitmap in hexadecimal."""
        return fields_of(self) | {"bitmap": f"{self.bitmap:x}"}


NO_REPLAY = Replay()


def needs_long_form(replay: Replay, esn: bool) -> bool:
    """Whether only an xfrm_replay_state_esn can say it: ESN, or a window of more than 32."""
    return esn or replay.window > LARGEST_PLAIN_WINDOW


def read_replay(data: bytes, window: int) -> Replay:
    """The counters in an xfrm_replay_state; raises MalformedMessage."""
    record = REPLAY_STATE.unpack(data)
    return Replay(window, record.seq, record.oseq, bitmap=record.bitmap)


def write_replay(replay: Replay) -> bytes:
    """The counters as an xfrm_replay_state."""
    return REPLAY_STATE.pack(oseq=replay.oseq, seq=replay.seq, bitmap=replay.bitmap)


def read_long_replay(data: bytes) -> Replay:
    """The counters in an xfrm_replay_state_esn; raises MalformedMessage."""
    record = REPLAY_STATE_ESN.unpack(data)
    bitmap = data[REPLAY_STATE_ESN.size :]
    if record.bmp_len * 4 > len(bitmap):
        raise MalformedMessage(
            f"a replay bitmap of {record.bmp_len} words does not fit in {len(bitmap)} bytes"
        )
    words = struct.unpack_from(f"={record.bmp_len}I", bitmap)
    return Replay(
        window=record.replay_window,
        seq=record.seq,
        oseq=record.oseq,
        seq_hi=record.seq_hi,
        oseq_hi=record.oseq_hi,
        bitmap=int.from_bytes(struct.pack(f"<{record.bmp_len}I", *words), "little"),
    )


def write_long_replay(replay: Replay) -> bytes:
    """The counters as an xfrm_replay_state_esn; raises ValueError when the window is too large."""
    if replay.window > LARGEST_WINDOW:
        raise ValueError(f"a replay window of {replay.window} is larger than {LARGEST_WINDOW}")
    words = max(-(-replay.window // WORD_BITS), -(-replay.bitmap.bit_length() // WORD_BITS))
    head = REPLAY_STATE_ESN.pack(
        bmp_len=words,
        oseq=replay.oseq,
        seq=replay.seq,
        oseq_hi=replay.oseq_hi,
        seq_hi=replay.seq_hi,
        replay_window=replay.window,
    )
    bitmap = struct.unpack(f"<{words}I", replay.bitmap.to_bytes(words * 4, "little"))
    return head + struct.pack(f"={words}I", *bitmap)
