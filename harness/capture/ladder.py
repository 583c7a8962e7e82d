# SPDX-License-Identifier: GPL-2.0-or-later
"""The ladder of a capture: who sent what when, in the words of the RFCs, as lines of text.

    write_ladder(sys.stdout, decryption.entries)

A message is one line: frame, seconds since the first, the two ends with their ports, exchange, and
payloads as RFC 7296 and RFC 2409 write them: `SK {…}` and `HDR*` were encrypted. Retransmissions
are folded into the line of the first, and so are ESP packets between two messages. Lines are
plain unless colour is asked for; nothing that came from a capture can put control characters into
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TextIO

from harness.capture.entries import Entry, Ike, Ipsec, Keepalive, Status
from harness.capture.frames import dissect_ip
from harness.capture.wrapping import columns_of, wrapped
from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.description import describe, headline, identity, notation
from harness.ike.names import flag_names, hyphened, name_of
from harness.ike.payload import Payload

ARROW_SIZE = 8
FIRST_OF_IKEV2 = 32
"""Payload types above are IKEv2's (RFC 7296 section 3.2)."""

_INDENT = " " * 8
_MODES: dict[int, str] = {
    n1.ExchangeType.IDENTITY_PROTECTION: "Main Mode",
    n1.ExchangeType.AGGRESSIVE: "Aggressive Mode",
    n1.ExchangeType.INFORMATIONAL: "Informational",
    n1.ExchangeType.TRANSACTION: "Transaction",
    n1.ExchangeType.QUICK_MODE: "Quick Mode",
    n1.ExchangeType.NEW_GROUP_MODE: "New Group Mode",
}
_HIDDEN = "(not shown: it may be a password)"
_BROKEN = (Status.NO_KEY, Status.BAD_ICV, Status.UNKNOWN_SPI, Status.MALFORMED, Status.CUT)


@dataclass(frozen=True, slots=True)
class Colours:
    """The escape sequences around parts of a line, all empty where there is no colour."""

    end: str = ""
    dim: str = ""
    exchange: str = ""
    sealed: str = ""
    error: str = ""


PLAIN = Colours()
ANSI = Colours("\033[0m", "\033[2m", "\033[1;36m", "\033[32m", "\033[1;31m")


@dataclass(slots=True)
class _Message:
    """A line for an IKE message; `again` are its repetitions."""

    entry: Entry
    content: Ike
    again: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class _Packets:
    """A line for the ESP or AH packets of one SA, or the keepalives, between two messages."""

    entries: list[Entry] = field(default_factory=list)


_Line = _Message | _Packets


def colours_for(file: TextIO) -> Colours:
    """Colour for a terminal whose user does not forbid it (NO_COLOR), none for a file."""
    return ANSI if file.isatty() and not os.environ.get("NO_COLOR") else PLAIN


def write_ladder(file: TextIO, entries: Iterable[Entry], *, verbose: bool = False) -> None:
    """Write the ladder, in colour and no wider than it is where the file is a terminal.

    Raises OSError.
    """
    columns = columns_of(file)
    for line in ladder(entries, verbose=verbose, colours=colours_for(file)):
        file.writelines(f"{piece}\n" for piece in wrapped(line, columns))


def ladder(
    entries: Iterable[Entry], *, verbose: bool = False, colours: Colours = PLAIN
) -> Iterator[str]:
    """The lines of the ladder; `verbose` adds every field of every payload."""
    lines = _folded(entries)
    if not lines:
        yield "There is no IKE, ESP or AH in this capture."
        return
    start = _first(lines[0]).frame.time_ns
    left, width = _left_ends(lines)
    for line in lines:
        first = _first(line)
        since = (first.frame.time_ns - start) / 1e9
        ends = _ends(first, left, width)
        head = f"{colours.dim}{first.number:>6} {since:>12.6f}{colours.end}  {ends}  "
        if isinstance(line, _Packets):
            yield head + _packets_text(line, colours)
            continue
        yield head + _message_text(line, colours)
        proof = line.content.proof
        if proof is not None:
            colour = colours.error if proof.verified is False else colours.dim
            yield f"{_INDENT}{colour}{safe(str(proof))}{colours.end}"
        for note in _notes(line):
            yield f"{_INDENT}{colours.dim}{note}{colours.end}"
        if verbose:
            yield from _every_field(line.content)


# -- folding ----------------------------------------------------------------------------------


def _folded(entries: Iterable[Entry]) -> list[_Line]:
    lines: list[_Line] = []
    messages: dict[int, _Message] = {}
    packets: dict[object, _Packets] = {}
    for entry in entries:
        match entry.content:
            case Ike(repeats=before) if before in messages:
                messages[before].again.append(entry)
            case Ike() as content:
                line = messages[entry.number] = _Message(entry, content)
                lines.append(line)
                packets = {}
            case Ipsec() as packet:
                key = (packet.protocol, packet.spi, entry.headers.destination, packet.status)
                _fold(lines, packets, key, entry)
            case Keepalive():
                _fold(lines, packets, (entry.headers.source, entry.headers.destination), entry)
    return lines


def _fold(lines: list[_Line], packets: dict[object, _Packets], key: object, entry: Entry) -> None:
    if key not in packets:
        packets[key] = _Packets()
        lines.append(packets[key])
    packets[key].entries.append(entry)


def _first(line: _Line) -> Entry:
    return line.entry if isinstance(line, _Message) else line.entries[0]


# -- the two ends -----------------------------------------------------------------------------


def _name(entry: Entry, sender: bool) -> str:
    name = safe(entry.sender if sender else entry.receiver) or "?"
    if entry.headers.ports is None:
        return name
    port = entry.headers.ports[0 if sender else 1]
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _left_ends(lines: Sequence[_Line]) -> tuple[dict[frozenset[str], str], int]:
    """For each pair of parties the one that stays on the left, and how long names are."""
    left: dict[frozenset[str], str] = {}
    width = 0
    for line in lines:
        entry = _first(line)
        left.setdefault(frozenset((entry.sender, entry.receiver)), entry.sender)
        width = max(width, len(_name(entry, True)), len(_name(entry, False)))
    return left, width


def _ends(entry: Entry, left: dict[frozenset[str], str], width: int) -> str:
    source, destination = _name(entry, True), _name(entry, False)
    if left[frozenset((entry.sender, entry.receiver))] == entry.sender:
        return f"{source:>{width}} {'─' * (ARROW_SIZE - 1)}▶ {destination:<{width}}"
    return f"{destination:>{width}} ◀{'─' * (ARROW_SIZE - 1)} {source:<{width}}"


# -- messages ---------------------------------------------------------------------------------


def _message_text(line: _Message, colours: Colours) -> str:
    content = line.content
    title = _title(content)
    return f"{colours.exchange}{title}{colours.end}: {_content_text(content, colours)}"


def _title(content: Ike) -> str:
    """The exchange as people call it: Main Mode is Identity Protection to RFC 2408 only."""
    header = content.header
    if content.message is None:
        return f"IKE version {header.major_version}.{header.minor_version}"
    name = _MODES.get(header.exchange_type) if header.major_version == 1 else None
    if name is None:
        return headline(content.message)
    number = f" {header.message_id:08x}" if header.message_id else ""
    rest = header.flags & ~n1.Flag.ENCRYPTION
    return f"{name}{number}" + (f" [{flag_names(n1.Flag, rest)}]" if rest else "")


def _word(payload: Payload) -> str:
    """The payload as RFCs write it, with the SPIs that it is about and who it names."""
    text = notation(payload)
    match payload:
        case v1.Delete() | v2.Delete() if payload.spis:
            spis = " ".join(spi.hex() for spi in payload.spis)
            return f"{text}({_protocol(payload.payload_type, payload.protocol)} {spis})"
        case v2.Delete():
            return f"{text}({_protocol(payload.payload_type, payload.protocol)})"
        case v2.Notify() if payload.spi:
            protocol = _protocol(payload.payload_type, payload.protocol)
            return f"{text[:-1]} {protocol} {payload.spi.hex()})"
        case v1.Identification():
            return f"{text}({safe(identity(payload.id_type, payload.data, 1))})"
        case v2.Identification():
            return f"{text}({safe(identity(payload.id_type, payload.data))})"
    return text


def _protocol(payload_type: int, number: int) -> str:
    if payload_type > FIRST_OF_IKEV2:
        return name_of(n2.ProtocolId, number)
    return hyphened(n1.ProtocolId, number).removeprefix("IPSEC-")


def _content_text(content: Ike, colours: Colours) -> str:
    message = content.message
    trouble = ""
    if content.status in _BROKEN:
        reason = f"{content.status}: {safe(content.detail)}"
        trouble = f"{colours.error}{reason}{colours.end}"
    elif content.detail:
        trouble = f"{colours.error}{safe(content.detail)}{colours.end}"
    if message is None:
        return trouble
    if message.encrypted:
        inside = [_word(one) for one in content.payloads]
        star = f"{colours.sealed}HDR*{colours.end}"
        return ", ".join([star, *inside, *([trouble] if trouble else [])])
    sealed = message.sealed
    outside = content.payloads if sealed is None else content.payloads[: len(message.payloads) - 1]
    parts = ["HDR", *(_word(one) for one in outside)]
    if sealed is None:
        return ", ".join([*parts, *([trouble] if trouble else [])])
    inside = [_word(one) for one in content.payloads[len(outside) :]]
    if content.status is Status.FRAGMENT:
        inside = [f"whole in frame {content.whole_in}" if content.whole_in else "never whole"]
    name = notation(sealed) if content.fragment else "SK"
    opened = ", ".join([*inside, *([trouble] if trouble else [])])
    return ", ".join(
        [*parts, f"{colours.sealed}{name} {{{colours.end}{opened}{colours.sealed}}}{colours.end}"]
    )


def _notes(line: _Message) -> Iterator[str]:
    """What else is to say of a message: how often it came, where else, what became of it."""
    start = line.entry.frame.time_ns
    again = [
        one for one in line.again if not (isinstance(one.content, Ike) and one.content.elsewhere)
    ]
    if again:
        times = ", ".join(f"{(one.frame.time_ns - start) / 1e9:.3f}" for one in again[:6])
        more = f" and {len(again) - 6} more times" if len(again) > 6 else ""
        yield f"sent again after {times} s{more}"
    seen = {_path(line.entry)}
    for one in line.again:
        if _path(one) not in seen:
            seen.add(_path(one))
            yield f"on {safe(one.frame.wire)} (frame {one.number}): {_path(one)}"
    if len(line.content.frames) > 1:
        yield f"put together from frames {', '.join(map(str, line.content.frames))}"
    for one in (line.entry, *line.again):
        if one.frame.comment:
            yield f"frame {one.number}: {safe(one.frame.comment)}"


def _path(entry: Entry) -> str:
    """Addresses and ports as they were on the wire, which a NAT changes."""
    source, destination = entry.headers.source, entry.headers.destination
    ports = entry.headers.ports or (0, 0)
    return f"{source} port {ports[0]} to {destination} port {ports[1]}"


# -- ESP, AH, keepalives ----------------------------------------------------------------------


def _packets_text(line: _Packets, colours: Colours) -> str:
    first = line.entries[0].content
    count = len(line.entries)
    times = "" if count == 1 else f", {count} times"
    if not isinstance(first, Ipsec):
        return f"NAT-keepalive{times}"
    found = [one.content for one in line.entries if isinstance(one.content, Ipsec)]
    numbers = [one.sequence for one in found]
    span = f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)}–{max(numbers)}"
    where = f"{first.protocol}{' in UDP' if first.encapsulated else ''} SPI 0x{first.spi:08x}"
    text = f"{colours.exchange}{where}{colours.end} sequence {span}"
    text += f" ({count} packets)" if count > 1 else ""
    replayed = sum(1 for one in found if one.replays)
    if replayed:
        text += f", {colours.error}{replayed} replayed{colours.end}"
    if first.status is not Status.DECRYPTED:
        return f"{text}: {colours.error}{first.status}: {safe(first.detail)}{colours.end}"
    return f"{text}, {first.mode}: {_inside(first)}"


def _inside(packet: Ipsec) -> str:
    if packet.dummy:
        return "dummy"
    inner = dissect_ip(packet.inner_octets)
    if not inner.source:
        return f"next header {packet.next_header}, {len(packet.payload)} octets"
    name = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}.get(
        inner.protocol, f"protocol {inner.protocol}"
    )
    if inner.ports is None:
        return f"{name} {inner.source} → {inner.destination}"
    source, destination = inner.ports
    return f"{name} {inner.source} port {source} → {inner.destination} port {destination}"


# -- every field ------------------------------------------------------------------------------


def _every_field(content: Ike) -> Iterator[str]:
    header = content.header
    kinds = n1.Flag if header.major_version == 1 else n2.Flag
    flags = flag_names(kinds, header.flags)
    yield (
        f"{_INDENT}header: initiator SPI {header.initiator_spi.hex()}, "
        f"responder SPI {header.responder_spi.hex()}, next payload {header.next_payload}, "
        f"version {header.major_version}.{header.minor_version}, "
        f"exchange type {header.exchange_type}, flags {flags}, "
        f"message id {header.message_id:08x}, length {header.length}"
    )
    proof = {True: "verified", False: "wrong", None: "nothing to verify, or no key for it"}
    yield f"{_INDENT}authentication: {proof[content.authentic]}"
    for payload in content.payloads:
        yield f"{_INDENT}{describe(payload)}"
        yield from _fields_of(payload, _INDENT + "    ", isinstance(payload, v1.ModeConfig))


def _fields_of(value: Any, indent: str, hidden: bool) -> Iterator[str]:
    for one in fields(value):
        found = getattr(value, one.name)
        if isinstance(found, tuple) and found and is_dataclass(found[0]):
            for position, each in enumerate(found, 1):
                yield f"{indent}{one.name} {position}: {type(each).__name__}"
                yield from _fields_of(each, indent + "    ", hidden)
        elif found not in (None, ()):
            text = _HIDDEN if hidden and one.name == "value" else _shown(found)
            yield f"{indent}{one.name}: {text}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex() or "empty"
    if isinstance(value, tuple):
        return ", ".join(_shown(one) for one in value)
    return safe(str(value))


def safe(text: str) -> str:
    """The text with every character that could move a terminal's cursor replaced."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)
