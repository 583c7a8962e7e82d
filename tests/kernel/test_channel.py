# SPDX-License-Identifier: GPL-2.0-or-later
import errno
import struct

import pytest

from harness.kernel.channel import raise_for
from harness.kernel.errors import MalformedMessage, XfrmError
from harness.kernel.messages import ATTRIBUTE_HEADER, HEADER, Message
from harness.kernel.numbers import MessageType, RequestFlag

CAPPED, ATTRIBUTES = RequestFlag.CAPPED, RequestFlag.ACK_ATTRIBUTES
SENTENCE = b"Requested mode not found\0"
ACKNOWLEDGEMENT = ATTRIBUTE_HEADER.pack(4 + len(SENTENCE), 1) + SENTENCE
REQUEST = HEADER.pack(24, MessageType.NEWSA, 5, 1, 0) + bytes(8)


def error(number: int, rest: bytes, flags: int, kind: int = MessageType.ERROR) -> Message:
    return Message(kind, flags, 1, struct.pack("=i", -number) + rest)


@pytest.mark.parametrize(
    "message",
    [
        error(errno.EINVAL, REQUEST[:16] + ACKNOWLEDGEMENT, CAPPED | ATTRIBUTES),
        error(errno.EINVAL, REQUEST + ACKNOWLEDGEMENT, ATTRIBUTES),
        error(errno.EINVAL, ACKNOWLEDGEMENT, ATTRIBUTES, MessageType.DONE),
    ],
    ids=["capped", "with the whole request", "at the end of a dump"],
)
def test_the_kernels_sentence_is_found_behind_whatever_comes_before_it(message: Message) -> None:
    with pytest.raises(XfrmError) as refused:
        raise_for(message, "adding it")
    assert refused.value.errno == errno.EINVAL
    assert refused.value.reason == "Requested mode not found"
    assert str(refused.value) == "adding it: Requested mode not found (EINVAL)"


def test_without_a_sentence_the_number_speaks() -> None:
    with pytest.raises(XfrmError, match=r"^adding it: No such process \(ESRCH\)$"):
        raise_for(error(errno.ESRCH, REQUEST[:16], CAPPED), "adding it")


def test_a_number_without_a_name_is_shown() -> None:
    with pytest.raises(XfrmError, match=r"^adding it: Unknown error 524 \(errno 524\)$"):
        raise_for(error(524, REQUEST[:16], CAPPED), "adding it")


def test_zero_is_an_acknowledgement() -> None:
    raise_for(error(0, REQUEST[:16] + ACKNOWLEDGEMENT, CAPPED | ATTRIBUTES), "adding it")


@pytest.mark.parametrize(
    ("message", "lack"),
    [
        (Message(MessageType.ERROR, 0, 1, b""), "has no error number"),
        (error(1, b"", ATTRIBUTES), "does not quote the header of the request"),
        (error(1, REQUEST[:16] + b"\1", CAPPED | ATTRIBUTES), "too few for an attribute"),
    ],
)
def test_an_error_that_is_cut_short_is_malformed(message: Message, lack: str) -> None:
    with pytest.raises(MalformedMessage, match=lack):
        raise_for(message, "adding it")
