# SPDX-License-Identifier: GPL-2.0-or-later
"""A history tells what an engine did, in the words of a SEIL's console."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.daemon.console.reading import read_ipsec, read_isakmp, read_policies
from harness.daemon.console.text import ipsec_lines, isakmp_lines, policy_lines
from harness.daemon.history import KEPT, History
from harness.daemon.seil.dialect import read_seil
from harness.daemon.status import Interface, Policy
from harness.ike.address import Address
from harness.ike.script import ALWAYS
from harness.ike.transforms import key_exchange
from harness.ike.v1.configuration import Child, Phase1
from harness.ike.v1.events import IsakmpSaEstablished, Refused
from harness.ike.v1.identity import ANYTHING
from tests.daemon.seil.test_wire import narrowed
from tests.daemon.seil_files import MINIMAL, WITHOUT_PROXY_ID
from tests.ike.v1.pair import Pair, swan


@dataclass
class Watched:
    """A SEIL and its peer, and the history of the SEIL."""

    text: str = MINIMAL
    peer: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        configuration = read_seil(self.text, "seil.conf")
        self.pair = Pair(configuration.v1[0], swan(**self.peer))
        self.history = History(configuration, lambda: self.pair.now, lambda *names: 7)
        self._told = 0

    def begin(self) -> Watched:
        self.pair.initiate("ipsec0")
        return self

    def run(self) -> Watched:
        self.pair.run()
        return self.tell()

    def tell(self) -> Watched:
        for event in self.pair.a.events[self._told :]:
            self.history.take(event)
        self._told = len(self.pair.a.events)
        return self

    @property
    def log(self) -> list[str]:
        return [line.text for line in self.history.status().log]


def test_before_anything_happens_only_the_configuration_shows():
    status = Watched().history.status()
    assert (status.isakmp, status.ipsec, status.log) == ((), (), ())
    assert status.interfaces == (Interface("ipsec0", "10.0.0.1", "10.0.0.2", False),)
    assert status.policies == (
        Policy("192.168.2.0/24", "192.168.1.0/24", "in", 7, ("10.0.0.2", "10.0.0.1")),
        Policy("192.168.1.0/24", "192.168.2.0/24", "out", 7, ("10.0.0.1", "10.0.0.2")),
    )


def test_what_is_up_is_shown_with_its_cookies_spis_and_times():
    watched = Watched().begin().run()
    watched.pair.now += 12
    status = watched.history.status()
    established = watched.pair.a.only(IsakmpSaEstablished)
    (isakmp,) = status.isakmp
    assert isakmp.cookie_i == int.from_bytes(established.cookie_i, "big")
    assert isakmp.cookie_r == int.from_bytes(established.cookie_r, "big")
    assert (isakmp.initiator, isakmp.children, isakmp.created) == (True, 1, 1000)
    (sa,) = watched.pair.a.sas
    inbound, outbound = status.ipsec
    assert (inbound.source, inbound.destination) == ("10.0.0.2", "10.0.0.1")
    assert inbound.spi == int.from_bytes(sa.inbound_spi, "big")
    assert outbound.spi == int.from_bytes(sa.outbound_spi, "big")
    assert (inbound.encryption, inbound.authentication) == ("rijndael-cbc-256", "hmac-sha256")
    assert (outbound.age, outbound.hard, outbound.soft) == (12, 28800, 23040)
    assert status.interfaces[0].up
    assert watched.log[0] == (
        "ISAKMP-SA established 10.0.0.1[500]-10.0.0.2[500]"
        f" [ISAKMP:{established.cookie_i.hex()}:{established.cookie_r.hex()}]"
    )
    assert watched.log[1].startswith(
        f"IPsec-SA established: ESP/Tunnel 10.0.0.2[500]->10.0.0.1[500] spi={inbound.spi}(0x"
    )


def test_what_the_console_shows_reads_as_what_there_is():
    status = Watched().begin().run().history.status()
    assert read_isakmp("\n".join(isakmp_lines(status))) == status.isakmp
    assert read_ipsec("\n".join(ipsec_lines(status))) == status.ipsec
    assert read_policies("\n".join(policy_lines(status))) == status.policies


def test_identities_that_do_not_match_are_logged_as_a_seil_logs_them():
    watched = Watched(WITHOUT_PROXY_ID, {"children": (Child("lan", ANYTHING, ANYTHING),)})
    watched.pair.b.script.sent(times=ALWAYS).replace(narrowed)
    watched.begin().run()
    assert watched.log[1:3] == ["mismatched ID was returned.", "failed to pre-process packet."]
    assert watched.log[3].startswith("phase2 negotiation failed: mismatched ID was returned: ")
    assert watched.history.status().ipsec == ()


def test_a_refused_phase_1_is_logged_with_its_notify():
    group = Phase1(groups=(key_exchange("MODP_1024"),))
    watched = Watched(peer={"phase1": group}).begin().run()
    assert any("NO-PROPOSAL-CHOSEN" in line for line in watched.log)
    assert any(line.startswith("phase1 negotiation failed: ") for line in watched.log)
    assert watched.history.status().isakmp == ()


def test_what_is_deleted_is_gone_and_logged_with_the_reason():
    watched = Watched().begin().run()
    watched.pair.b.endpoint.shut_down(watched.pair.now)
    watched.run()
    status = watched.history.status()
    assert (status.isakmp, status.ipsec, status.interfaces[0].up) == ((), (), False)
    assert any(
        line.startswith("IPsec-SA deleted: ") and line.endswith(": the peer deleted it")
        for line in watched.log
    )


def test_a_dead_peer_leaves_nothing():
    watched = Watched().begin().run()
    watched.pair.advance(150, run=False)
    watched.tell()
    assert watched.history.status().ipsec == ()
    assert any("did not answer R-U-THERE" in line for line in watched.log)


def test_the_log_remembers_the_last_lines_with_their_numbers():
    watched = Watched()
    for number in range(KEPT + 5):
        watched.history.take(Refused(Address("10.0.0.9"), f"nonsense {number}"))
    log = watched.history.status().log
    assert (len(log), log[0].number, log[-1].number) == (KEPT, 6, KEPT + 5)
    assert log[-1].text == f"invalid isakmp packet from 10.0.0.9[500]: nonsense {KEPT + 4}"
    assert log[-1].level == "warning"
