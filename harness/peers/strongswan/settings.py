# SPDX-License-Identifier: GPL-2.0-or-later
"""strongswan.conf: what one charon of the lab is told about itself."""

from __future__ import annotations

from collections.abc import Mapping

from harness.peers.connection import Side
from harness.peers.contract import DataPlane

Settings = dict[str, "str | int | Settings"]

VICI_SOCKET = "/run/charon.vici"

# Named one by one: a lab needs few of Debian's sixty plugins, and each costs start-up time. Of two
# that do the same the first is used: OpenSSL's curves take a third of the others' instructions.
PLUGINS = (
    *("random", "nonce", "aes", "sha1", "sha2", "md5", "hmac", "kdf", "mgf1"),
    *("pem", "pkcs1", "pkcs8", "x509", "pubkey", "constraints", "openssl", "gmp", "curve25519"),
    *("gcm", "ccm", "ctr", "cmac", "xcbc", "chapoly"),
)
KERNEL_PLUGINS: Mapping[DataPlane, tuple[str, ...]] = {
    "kernel": ("kernel-netlink",),
    # First come, first served: ESP in user space wins over the kernel's when it is named first.
    "userspace": ("kernel-libipsec", "kernel-netlink"),
}
FILE_PLUGINS = ("pkcs7", "pkcs12", "pgp", "sshkey", "dnskey", "rc2")
"""What else swanctl reads certificates and keys with, before it sends them to charon."""
CONTROL_PLUGINS = ("socket-default", "stroke", "vici", "updown", "counters")

# Of the two logs one is for people; the other holds keys, for the decryptor: those of ESP only
# where no kernel tells them, for each rekeying is a page of dumps. The paths reopen what charon was
# started with; under its own names for them, stdout and stderr, it does not flush.
READABLE: Settings = {
    "path": "/proc/self/fd/1",
    "default": 1,
    "flush_line": "yes",
    "time_format": "%H:%M:%S",
    "ike_name": "yes",
}
WITH_KEYS: Settings = {
    "path": "/proc/self/fd/2",
    "default": -1,
    "ike": 4,
    "flush_line": "yes",
    "ike_name": "yes",
}
ESP_KEYS: Mapping[DataPlane, Settings] = {"kernel": {}, "userspace": {"chd": 4}}


def charon_settings(data_plane: DataPlane, options: Mapping[str, str | int]) -> Settings:
    """The settings of one charon; `options` have dotted names, ``charon.delete_rekeyed_delay``."""
    plugins = (*PLUGINS, *KERNEL_PLUGINS[data_plane], *CONTROL_PLUGINS)
    settings: Settings = {
        "charon": {
            "load": " ".join(plugins),
            "install_virtual_ip": "no",
            "filelog": {
                "readable": dict(READABLE),
                "keys": WITH_KEYS | ESP_KEYS[data_plane],
            },
            "plugins": {"vici": {"socket": f"unix://{VICI_SOCKET}"}},
        },
        "swanctl": {"load": " ".join((*PLUGINS, *FILE_PLUGINS))},
    }
    for name, value in options.items():
        _put(settings, name.split("."), value)
    return settings


def settings_of(side: Side) -> dict[str, str | int]:
    """What of a connection charon takes as a setting of the whole daemon, by dotted names."""
    found: dict[str, str | int] = {}
    if side.child.keep_rekeyed is not None:
        found["charon.delete_rekeyed_delay"] = side.child.keep_rekeyed
    if side.ike.fragment_size is not None:
        found["charon.fragment_size"] = side.ike.fragment_size
    if side.ike.version == 2 and side.ike.reauth:
        # As RFC 7296 2.8.3 has it, which is what charon does by default from 6.0 on.
        found["charon.make_before_break"] = "yes"
    again = side.ike.retransmission
    if again is not None:
        found["charon.retransmit_timeout"] = str(again.first)
        found["charon.retransmit_base"] = str(again.factor)
        found["charon.retransmit_tries"] = again.tries
    return found


def write_settings(settings: Settings, indent: str = "") -> str:
    """The text of a settings file, sections in braces."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name} {{", write_settings(value, indent + "  "), f"{indent}}}"]
        else:
            lines.append(f"{indent}{name} = {value}")
    return "\n".join(lines)


def _put(settings: Settings, path: list[str], value: str | int) -> None:
    for name in path[:-1]:
        inner = settings.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"strongswan.conf: {'.'.join(path)} is set below a value, {name}")
        settings = inner
    settings[path[-1]] = value
