# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is lost, late, doubled or out of order: both ends agree once the line is good again."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ike.retransmission import Retransmission
from harness.ike.v2.connection import Settings
from harness.ike.v2.suites import ChildProposal
from tests.ike.v2.pair import (
    ECP_256,
    ESP,
    ESP_PFS,
    IKE,
    MOON_NET,
    NET,
    NET_MIRRORED,
    SUN_NET,
    End,
    Pair,
)

PATIENT = Settings(retransmission=Retransmission(first=1.0, factor=1.2, tries=14))
COMMANDS = ("rekey_child", "rekey_ike", "create_child", "delete_child", "liveness")
FAULTS = ("deliver", "deliver", "deliver", "lose", "double", "last", "time")

# None, one key exchange, and one that needs IKE_FOLLOWUP_KE behind it.
CHILDREN = (ESP, ESP_PFS, replace(ESP_PFS, additional=((ECP_256,),)))

steps = st.lists(
    st.tuples(st.sampled_from(("moon", "sun")), st.sampled_from(COMMANDS))
    | st.tuples(st.just("line"), st.sampled_from(FAULTS)),
    min_size=3,
    max_size=30,
)


def command(pair: Pair, end: End, what: str) -> None:
    """Begin something, if the end has anything to do it with."""
    alive = [sa for sa in end.endpoint.all_sas() if sa.alive and sa.announced]
    if not alive:
        return
    sa = alive[0]
    commands = end.endpoint.commands
    children = [record.sa.inbound_spi for record in sa.children]
    match what:
        case "rekey_ike":
            commands.rekey_ike(sa.spi, pair.now)
        case "create_child":
            commands.create_child(sa.spi, "net", pair.now)
        case "liveness":
            commands.check_liveness(sa.spi, pair.now)
        case "rekey_child" if children:
            commands.rekey_child(sa.spi, children[0], pair.now)
        case "delete_child" if children:
            commands.delete_child(sa.spi, children[-1], pair.now)


def disturb(pair: Pair, how: str) -> None:
    """What happens to a datagram that is under way, or to time."""
    if how == "time":
        pair.pass_deadline()
    elif pair.collect():
        match how:
            case "deliver":
                pair.deliver()
            case "last":
                pair.deliver(pair.queue[-1])
            case "lose":
                pair.queue.pop(0)
            case "double":
                letter = pair.queue[0]
                pair.deliver(letter)
                pair.deliver(letter)


def play(pair: Pair, schedule: list[tuple[str, str]]) -> None:
    for who, what in schedule:
        if who == "line":
            disturb(pair, what)
        else:
            command(pair, getattr(pair, who), what)
    pair.rest()


@settings(max_examples=int(os.environ.get("IKELAB_EXAMPLES", "300")))
@given(steps, st.integers(0, 1_000_000), st.sampled_from(CHILDREN))
def test_both_ends_agree_after_any_schedule(
    schedule: list[tuple[str, str]], seed: int, esp: ChildProposal
) -> None:
    additional = esp.additional
    mine = replace(MOON_NET, children=(replace(NET, proposals=(esp,)),))
    yours = replace(SUN_NET, children=(replace(NET_MIRRORED, proposals=(esp,)),))
    ike = replace(IKE, additional=additional)
    mine, yours = (replace(one, proposals=(ike,)) for one in (mine, yours))
    pair = Pair((mine,), (yours,), seed=seed, settings=PATIENT).up()
    play(pair, schedule)
    pair.agree()
    assert pair.moon.ike_sas()
