# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable
from dataclasses import replace

from harness.lab.lab import Lab
from harness.peers.contract import Configuration, Peer
from scenarios.ikev1_seil.test_console import test_console_status as console_status
from tests.sabotage.controls import turns_red


def with_lines(*lines: str) -> Callable[[str, Configuration], Configuration]:
    """A rewrite that gives the SEIL these lines as well."""

    def rewrite(node: str, configuration: Configuration) -> Configuration:
        if node != "seil":
            return configuration
        (file,) = configuration.files
        text = "".join(f"{line}\n" for line in (*file.text.splitlines(), *lines))
        return replace(configuration, files=(replace(file, text=text),))

    return rewrite


def test_console_status_turns_red_when_the_console_shows_another_algorithm(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.rewrite = with_lines("interface.ipsec0.ike.proposal.phase2.encryption.0.algorithm : aes128")
    turns_red(lab, console_status, seil, sun, because="rijndael-cbc-128")


def test_console_status_turns_red_when_the_router_never_begins(
    lab: Lab, seil: Peer, sun: Peer
) -> None:
    lab.rewrite = with_lines("interface.ipsec0.responder-only : enable")
    turns_red(lab, console_status, seil, sun, because="CHILD_SA ipsec0 up did not come")
