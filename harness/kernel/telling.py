# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel told, as it came, and read only when somebody asks for it.

In an hour of rekeys there are ten thousand messages, and hardly one that anybody waits for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.kernel.errors import MalformedMessage
from harness.kernel.events import READERS, Event, EventsLost, SaAdded, SaUpdated
from harness.kernel.messages import Message

Told = Message | EventsLost
"""A message of one of the types in `READERS`, or the news that some are missing."""

UNREAD = "xfrm"
"""The key of what `write_unread` has written."""

_ENCODE = json.JSONEncoder().encode


def kind_of(told: Told) -> type[Event]:
    """The class of the event that this tells of."""
    return READERS[told.type][0] if isinstance(told, Message) else EventsLost


def read(told: Told) -> Event:
    """The event that this tells of; `EventsLost` where the message cannot be read."""
    if isinstance(told, EventsLost):
        return told
    try:
        return READERS[told.type][1](told)
    except MalformedMessage as error:
        return EventsLost(f"one could not be read: {error}")


def write_unread(message: Message) -> str:
    """A member of a JSON object that holds a message: its type, and its payload in hexadecimal."""
    return f'"{UNREAD}": [{message.type}, "{message.payload.hex()}"]'


def write_event(event: object) -> str:
    """Members of a JSON object: `event` in words and, of an SA that was installed, `sa`.

    `sa` is `SecurityAssociation.keys_as_json`.
    """
    text = f'"event": {_ENCODE(str(event))}'
    if isinstance(event, SaAdded | SaUpdated):
        text += f', "sa": {_ENCODE(event.sa.keys_as_json())}'
    return text


def spelled_out(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object with such a member with what `write_event` writes instead; others as they are.

    Raises ValueError where it has the member, but no message in it.
    """
    if UNREAD not in line:
        return line
    match line[UNREAD]:
        case [int() as kind, str() as payload] if kind in READERS:
            event = read(Message(kind, 0, 0, bytes.fromhex(payload)))
        case _:
            raise ValueError(f"its {UNREAD!r} is no message of the kernel")
    members: dict[str, Any] = json.loads(f"{{{write_event(event)}}}")
    return {name: value for name, value in line.items() if name != UNREAD} | members
