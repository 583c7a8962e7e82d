# SPDX-License-Identifier: GPL-2.0-or-later
"""Sequence numbers of received packets: the anti-replay window and the missing half of an ESN."""

from dataclasses import dataclass

HALF = 1 << 32


@dataclass(slots=True)
class ReplayWindow:
    """Which sequence numbers have been seen, up to `size` behind the highest (RFC 4303 3.4.3).

    `size` is in packets; 0 turns the check off. `highest` is the highest number accepted, 64
    bits with ESN. Numbers are tried with `acceptable` before the ICV is checked and entered with
    `accept` after it, so a forgery never moves the window.
    """

    size: int = 64
    highest: int = 0
    seen: int = 0

    def acceptable(self, sequence: int) -> bool:
        """Whether a packet of that number may still come: new, or in the window and not seen."""
        if not self.size:
            return True
        if sequence > self.highest:
            return True
        behind = self.highest - sequence
        return behind < self.size and sequence > 0 and not self.seen >> behind & 1

    def accept(self, sequence: int) -> None:
        """Enter a number whose packet had a good ICV."""
        ahead = sequence - self.highest
        if ahead <= 0:
            if -ahead < self.size:
                self.seen |= 1 << -ahead
            return
        self.highest = sequence
        if not self.size:
            return
        if ahead >= self.size:
            self.seen = 1
        else:
            self.seen = (self.seen << ahead | 1) & ((1 << self.size) - 1)


def extended_sequence(low: int, highest: int, size: int) -> int:
    """The 64-bit number whose low half is `low`, as RFC 4303 appendix A2.2 infers it.

    `highest` is the highest number accepted so far and `size` the window. A result below zero
    becomes that of the first subspace.
    """
    width = max(size, 1)
    top, bottom = highest >> 32, highest % HALF
    if bottom >= width - 1:
        # The window lies within one subspace: what is below it belongs to the next.
        high = top if low >= bottom - width + 1 else top + 1
    else:
        # The window reaches back into the subspace before.
        high = top - 1 if low >= (bottom - width + 1) % HALF else top
    return max(high, 0) * HALF + low
