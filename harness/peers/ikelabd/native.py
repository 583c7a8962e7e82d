# SPDX-License-Identifier: GPL-2.0-or-later
"""A `Side` as the file of ikelabd's own dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from harness.peers.connection import Certificate, PreSharedKey, Side
from harness.peers.contract import Configuration, DataPlane, NativeFile, Unsupported

FILES: Mapping[str, str] = MappingProxyType(
    {dialect: f"/run/ikelabd.{dialect}" for dialect in ("native", "seil", "racoon")}
)
"""Where ikelabd's configuration belongs in a node, by dialect."""


def files_of(configuration: Configuration) -> tuple[NativeFile, ...]:
    """The files of a configuration, the one to begin with first; raises `Unsupported`."""
    if configuration.files:
        return configuration.files
    if configuration.dialect != "native":
        raise Unsupported(
            f"ikelabd writes no {configuration.dialect} configuration by itself; give it a file"
        )
    return (native_file(configuration.side, configuration.data_plane),)


def native_file(side: Side | None, data_plane: DataPlane) -> NativeFile:
    """The configuration with that one connection."""
    lines = [f"data-plane = {_text(data_plane)}"]
    if side is not None:
        lines += _daemon(side) + _connection(side) + _child(side)
    return NativeFile(FILES["native"], "\n".join(lines) + "\n")


def _daemon(side: Side) -> list[str]:
    lines = []
    if side.child.keep_rekeyed is not None:
        lines.append(f"keep-rekeyed = {side.child.keep_rekeyed}")
    if side.ike.fragment_size is not None:
        lines.append(f"fragment-size = {side.ike.fragment_size}")
    again = side.ike.retransmission
    if again is not None:
        values = f"first = {again.first}, factor = {again.factor}, tries = {again.tries}"
        lines.append(f"retransmission = {{ {values} }}")
    return lines


def _connection(side: Side) -> list[str]:
    ike = side.ike
    lines = [
        "",
        f"[connection.{_text(side.name)}]",
        f"version = {ike.version}",
        f"local = {_text(side.local.address)}",
        f"remote = {_text(side.remote.address)}",
        f"local-id = {_text(side.local.identity)}",
        f"remote-id = {_text(side.remote.identity)}",
        f"proposals = {_texts(ike.proposals)}",
        f"dpd = {ike.dpd_delay}",
        f"encapsulate = {_flag(ike.force_encapsulation)}",
    ]
    match side.authentication:
        case PreSharedKey(secret):
            lines.append(f"secret = {_text(secret)}")
        case Certificate(certificate, private_key, authority, intermediates):
            lines.append(f"certificate = {_text(''.join((certificate, *intermediates)))}")
            lines.append(f"private-key = {_text(private_key)}")
            lines.append(f"authority = {_text(authority)}")
    if ike.version == 1:
        return lines + _lifetime_v1(side)
    replaced = max(ike.rekey, ike.reauth)
    return [
        *lines,
        f"mobike = {_flag(ike.mobike)}",
        f"childless = {_flag(ike.childless)}",
        f"rekey = {ike.rekey}",
        f"reauth = {ike.reauth}",
        f"life = {replaced + ike.overrun if replaced else 0}",
        f"jitter = {ike.jitter}",
    ]


def _lifetime_v1(side: Side) -> list[str]:
    """IKEv1 has one fraction for both phases: the child's."""
    again, child = side.ike.reauth or side.ike.rekey, side.child
    part = child.rekey / child.life if child.life and child.rekey else 0.8
    return [f"life = {round(again / part)}", f"rekey-at = {part}", f"rekeys = {_flag(again > 0)}"]


def _child(side: Side) -> list[str]:
    child = side.child
    lines = [
        "",
        f"[connection.{_text(side.name)}.child.{_text(child.name)}]",
        f"mode = {_text(child.mode)}",
        f"proposals = {_texts(child.proposals)}",
        f"life = {child.life}",
    ]
    if side.local.subnets:
        lines.append(f"local = {_texts(side.local.subnets)}")
    if side.remote.subnets:
        lines.append(f"remote = {_texts(side.remote.subnets)}")
    if side.ike.version == 2:
        lines += [f"rekey = {child.rekey}", f"jitter = {child.jitter}"]
    return lines


def _text(text: str) -> str:
    # A JSON string is a TOML string, but for the one character that TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(text) for text in texts) + "]"


def _flag(value: bool) -> str:
    return "true" if value else "false"
