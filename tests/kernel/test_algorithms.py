# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.kernel.algorithms import (
    Algorithm,
    read_aead,
    read_algorithm,
    read_integrity,
    write_aead,
    write_algorithm,
    write_integrity,
)
from harness.kernel.errors import MalformedMessage
from harness.kernel.structures import ALGORITHM

GCM = Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128)


def test_a_key_is_shown_only_where_it_is_asked_for() -> None:
    assert GCM.key.hex() not in f"{GCM} {GCM!r}"
    assert str(GCM) == "rfc4106(gcm(aes)) with a key of 160 bits, ICV 128 bits"
    assert GCM.as_json()["key"] == GCM.key.hex()


def test_key_sizes_are_bits_on_the_wire() -> None:
    assert write_algorithm(GCM)[64:68] == (160).to_bytes(4, "little")
    assert read_aead(write_aead(GCM)) == GCM
    assert read_integrity(write_integrity(GCM)) == GCM


def test_a_key_of_odd_bits_takes_the_whole_last_byte() -> None:
    assert read_algorithm(ALGORITHM.pack(name=b"x", key_bits=9) + b"ab").key == b"ab"


@pytest.mark.parametrize("name", ["", "x" * 64, "ä" * 32])
def test_a_name_that_the_kernel_has_no_room_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no algorithm name: the kernel takes 1 to 63 bytes"):
        Algorithm(name)


@pytest.mark.parametrize("name", [b"", b"x" * 64, b"\xff"])
def test_a_name_that_no_kernel_sends_is_malformed(name: bytes) -> None:
    with pytest.raises(MalformedMessage, match="is no algorithm name"):
        read_algorithm(ALGORITHM.pack(name=name))


def test_a_key_longer_than_its_attribute_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="a key of 128 bits does not fit in the 3 bytes"):
        read_algorithm(ALGORITHM.pack(name=b"cbc(aes)", key_bits=128) + b"abc")
