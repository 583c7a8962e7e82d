# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong between the harness and NETLINK_XFRM."""

import errno as errno_numbers
import os


class XfrmError(Exception):
    """The kernel refused a request.

    `errno` is the kernel's number (`errno.EEXIST`), `reason` its own sentence: the extended
    acknowledgement where it gave one, else the C library's text for the number. The text of the
    exception is one sentence that also says what was asked.
    """

    def __init__(self, errno: int, reason: str, doing: str = "") -> None:
        self.errno = errno
        self.reason = reason
        self.doing = doing
        name = errno_numbers.errorcode.get(errno, f"errno {errno}")
        sentence = f"{reason} ({name})"
        super().__init__(f"{doing}: {sentence}" if doing else sentence)


class MalformedMessage(ValueError):
    """Bytes that are not a message of NETLINK_XFRM; the text says which part, and its size."""


def sentence_of(errno: int) -> str:
    """The C library's text for an error number."""
    return os.strerror(errno)
