# SPDX-License-Identifier: GPL-2.0-or-later
"""Policies as bodies and attributes of NETLINK_XFRM messages, and back."""

from __future__ import annotations

from functools import lru_cache
from socket import AF_INET
from typing import Any

from harness.kernel.addresses import family_of, read_address, write_address
from harness.kernel.errors import MalformedMessage
from harness.kernel.lifetimes import read_lifetimes, read_usage, write_lifetimes, write_usage
from harness.kernel.messages import Attributes
from harness.kernel.numbers import (
    ACTIONS,
    DIRECTIONS,
    MODES,
    POLICY_TYPES,
    PROTOCOLS,
    SHARES,
    Attribute,
    PolicyFlag,
    number,
    word,
)
from harness.kernel.policy import Policy, Template
from harness.kernel.sa import Mark
from harness.kernel.sa_codec import U64, read_mark, read_number, read_u32, write_mark, write_u32
from harness.kernel.selector import Selector, read_selector, write_selector
from harness.kernel.structures import ID, POLICY_INFO, POLICY_TYPE, TEMPLATE

LARGEST_DEPTH = 6
"""XFRM_MAX_DEPTH: how many templates a policy may have."""


def read_policy(body: bytes, attributes: Attributes) -> Policy:
    """The policy in an xfrm_userpolicy_info and its attributes; raises MalformedMessage."""
    info = POLICY_INFO.unpack(body)
    return Policy(
        # A policy of a socket covers all that the socket sends: the kernel gives it no family.
        selector=read_selector(info.sel, AF_INET),
        direction=word(DIRECTIONS, info.dir),
        priority=info.priority,
        index=info.index,
        action=word(ACTIONS, info.action),
        templates=read_templates(attributes.get(Attribute.TMPL, b"")),
        lifetimes=read_lifetimes(info.lft),
        current=read_usage(info.curlft),
        mark=read_mark(attributes),
        if_id=read_u32(attributes, Attribute.IF_ID),
        flags=_read_flags(info.flags),
        share=word(SHARES, info.share),
        type=_read_type(attributes),
        last_used=read_number(attributes, Attribute.LASTUSED, U64),
    )


def write_policy(policy: Policy) -> tuple[dict[str, Any], list[tuple[Attribute, bytes]]]:
    """The policy as the fields of an xfrm_userpolicy_info and attributes; raises ValueError."""
    if len(policy.templates) > LARGEST_DEPTH:
        raise ValueError(
            f"{policy} has {len(policy.templates)} templates, at most {LARGEST_DEPTH} are possible"
        )
    body = POLICY_INFO.values(
        sel=write_selector(policy.selector),
        lft=write_lifetimes(policy.lifetimes),
        curlft=write_usage(policy.current),
        priority=policy.priority,
        index=policy.index,
        dir=number(DIRECTIONS, policy.direction),
        action=number(ACTIONS, policy.action),
        flags=policy.flags,
        share=number(SHARES, policy.share),
    )
    family = family_of(policy.selector.source)
    attributes = []
    if policy.templates:
        templates = b"".join(_write_template(template, family) for template in policy.templates)
        attributes.append((Attribute.TMPL, templates))
    return body, attributes + which_policy(policy.mark, policy.if_id, policy.type)


def write_policy_id(selector: Selector, direction: str, index: int) -> dict[str, Any]:
    """The fields of an xfrm_userpolicy_id; with an index the kernel ignores the selector."""
    return {
        "sel": write_selector(selector),
        "index": index,
        "dir": number(DIRECTIONS, direction),
    }


def which_policy(mark: Mark | None, if_id: int | None, kind: str) -> list[tuple[Attribute, bytes]]:
    """The attributes that tell policies of one selector and direction apart."""
    attributes = []
    if mark:
        attributes.append((Attribute.MARK, write_mark(mark)))
    if if_id is not None:
        attributes.append((Attribute.IF_ID, write_u32(Attribute.IF_ID, if_id)))
    if kind != "main":
        payload = POLICY_TYPE.pack(type=number(POLICY_TYPES, kind))
        attributes.append((Attribute.POLICY_TYPE, payload))
    return attributes


@lru_cache(maxsize=256)
def read_templates(data: bytes) -> tuple[Template, ...]:
    """The templates of an XFRMA_TMPL attribute; raises MalformedMessage."""
    if len(data) % TEMPLATE.size:
        raise MalformedMessage(
            f"{len(data)} bytes of templates are no multiple of the {TEMPLATE.size} that one has"
        )
    return tuple(_read_template(data, offset) for offset in range(0, len(data), TEMPLATE.size))


@lru_cache(maxsize=256)
def _read_flags(octet: int) -> PolicyFlag:
    return PolicyFlag(octet)


def _read_template(data: bytes, offset: int) -> Template:
    record = TEMPLATE.unpack(data, offset)
    identity = ID.unpack(record.id)
    family = record.family or AF_INET
    return Template(
        source=read_address(record.saddr, family),
        destination=read_address(identity.daddr, family),
        protocol=word(PROTOCOLS, identity.proto),
        mode=word(MODES, record.mode),
        reqid=record.reqid,
        spi=identity.spi,
        optional=bool(record.optional),
        share=word(SHARES, record.share),
        integrity_mask=record.aalgos,
        encryption_mask=record.ealgos,
        compression_mask=record.calgos,
    )


def _write_template(template: Template, family: int) -> bytes:
    unspecified = not int(template.source) and not int(template.destination)
    return TEMPLATE.pack(
        id=ID.pack(
            daddr=write_address(template.destination),
            spi=template.spi,
            proto=number(PROTOCOLS, template.protocol),
        ),
        # A template without addresses is of the selector's own IP version (transport mode).
        family=family if unspecified else family_of(template.source),
        saddr=write_address(template.source),
        reqid=template.reqid,
        mode=number(MODES, template.mode),
        share=number(SHARES, template.share),
        optional=template.optional,
        aalgos=template.integrity_mask,
        ealgos=template.encryption_mask,
        calgos=template.compression_mask,
    )


def _read_type(attributes: Attributes) -> str:
    data = attributes.get(Attribute.POLICY_TYPE)
    # Only the first byte counts; a kernel without sub policies sends no type at all.
    return word(POLICY_TYPES, data[0]) if data else "main"
