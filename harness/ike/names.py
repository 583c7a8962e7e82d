# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of the wire in the words of the RFCs, whether anybody has named them or not."""

from enum import IntEnum, IntFlag


def name_of(numbers: type[IntEnum], value: int) -> str:
    """The RFC name of a value, or the bare number where it has none: `NONCE`, `61234`."""
    try:
        return numbers(value).name
    except ValueError:
        return str(value)


def hyphened(numbers: type[IntEnum], value: int) -> str:
    """The name as ISAKMP writes it: `NO-PROPOSAL-CHOSEN`, `R-U-THERE`."""
    return name_of(numbers, value).replace("_", "-")


def flag_names(flags: type[IntFlag], value: int) -> str:
    """The names of the bits that are set, with `+` between them and the rest as hex; `-` for 0."""
    names = [str(one.name) for one in flags if value & one]
    rest = value & ~sum(flags)
    if rest:
        names.append(f"0x{rest:02x}")
    return "+".join(names) or "-"
