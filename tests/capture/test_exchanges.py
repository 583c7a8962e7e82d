# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable
from dataclasses import replace

import pytest

from harness.capture.decryption import decrypt
from harness.capture.entries import Ike
from harness.capture.exchanges import (
    CreateChild,
    Delete,
    DeleteIke,
    Exchange,
    IkeAuth,
    IkeSaInit,
    Informational,
    Intermediate,
    Liveness,
    MainMode,
    Other,
    QuickMode,
    Rekey,
    RekeyIke,
    Unreadable,
    exchanges,
)
from harness.capture.secrets import Secrets
from harness.ike import payloads_v2 as v2
from harness.ike.payload import Payload
from tests.capture.packets import clear, frames, header, ike, ike_secret, sealed
from tests.capture.runs import Runs

MOON, SUN = "moon.strongswan.org", "sun.strongswan.org"


@pytest.mark.parametrize("run", ["ikev2-psk", "ikev2-certificates"])
def test_a_run_of_ikev2_is_its_exchanges(runs: Runs, run: str) -> None:
    found = exchanges(runs.decrypted(run).entries)
    auth, first, last = found[1], found[2], found[6]
    assert isinstance(auth, IkeAuth)
    assert isinstance(first, Rekey)
    assert isinstance(last, Rekey)
    old, new = auth.made, first.made
    assert found == [
        IkeSaInit(),
        IkeAuth(MOON, SUN),
        Rekey(old[0]),
        Delete(old[0]),
        RekeyIke(),
        DeleteIke(),
        Rekey(new[1]),
        Delete(new[1]),
        DeleteIke(),
    ]
    assert [one.about.sender for one in found] == ["moon"] * 4 + ["sun"] * 4 + ["moon"]
    assert [one.about.message_id for one in found] == [0, 1, 2, 3, 0, 1, 0, 1, 0]
    (deleted,) = [one for one in found if isinstance(one, Delete)][:1]
    assert deleted.answered == (old[1],)


@pytest.mark.parametrize("run", ["ikev1-psk", "ikev1-certificates"])
def test_a_run_of_ikev1_is_its_exchanges(runs: Runs, run: str) -> None:
    found = exchanges(runs.decrypted(run).entries)
    made = [one.made for one in found if isinstance(one, QuickMode)]
    assert found == [
        MainMode(),
        *[QuickMode()] * 3,
        Delete(made[0][0]),
        Delete(made[1][0]),
        Delete(made[2][1]),
        DeleteIke(),
    ]


def test_what_differs_in_spi_or_error_is_not_equal() -> None:
    assert Rekey(1) != Rekey(2)
    assert Rekey(1) != Rekey(1, error="NO_ADDITIONAL_SAS")
    assert Delete(1, 2) != Delete(1)
    assert Delete(1) != Delete(1, protocol="AH")
    assert repr(Delete(1)) == "Delete(spis=(1,), error='', protocol='ESP', answered=())"


SECRET = ike_secret()
ESP_PROPOSAL = v2.SecurityAssociation((v2.Proposal(1, 3, bytes.fromhex("c0ffee01")),))
REKEY_SA = v2.Notify(16393, b"", 3, bytes.fromhex("c0ffee02"))


def seen(
    exchange: int, request: Iterable[Payload], response: Iterable[Payload] | None
) -> list[Exchange]:
    asked = sealed(SECRET, header(exchange, 5), request)
    packets = [ike(one) for one in asked]
    if response is not None:
        answer = sealed(SECRET, header(exchange, 5, initiator=False, response=True), response)
        packets += [ike(one, back=True) for one in answer]
    return exchanges(decrypt(frames(packets), Secrets(ike_v2=(SECRET,))).entries)


@pytest.mark.parametrize(
    ("exchange", "request_", "response", "expected"),
    [
        (36, [ESP_PROPOSAL], [v2.Notify(14)], CreateChild(error="NO_PROPOSAL_CHOSEN")),
        (36, [REKEY_SA, ESP_PROPOSAL], [v2.Notify(43)], Rekey(0xC0FFEE02, "TEMPORARY_FAILURE")),
        (36, [REKEY_SA, ESP_PROPOSAL], None, Rekey(0xC0FFEE02, "no answer")),
        (37, [], [], Liveness()),
        (37, [v2.Notify(24)], [], Informational(("AUTHENTICATION_FAILED",))),
        (37, [v2.Delete(1)], [], DeleteIke()),
        (37, [v2.Delete(2, (b"\0\0\0\1", b"\0\0\0\2"))], [], Delete(1, 2, protocol="AH")),
        (43, [v2.KeyExchange(36, b"k" * 9)], [v2.KeyExchange(36, b"r" * 9)], Intermediate()),
        (44, [], [], Other("IKE_FOLLOWUP_KE")),
        (250, [], [], Other("250")),
        (35, [v2.Identification(35, 2, b"moon")], [v2.Notify(24)],
         IkeAuth("moon", "", "AUTHENTICATION_FAILED")),
        (35, [v2.Identification(35, 2, b"moon")],
         [v2.Identification(36, 2, b"sun"), v2.Notify(38)],
         IkeAuth("moon", "sun", "TS_UNACCEPTABLE")),
    ],
)  # fmt: skip
def test_every_exchange_has_its_value(
    exchange: int,
    request_: list[Payload],
    response: list[Payload] | None,
    expected: Exchange,
) -> None:
    assert seen(exchange, request_, response) == [expected]


def test_an_init_that_is_asked_again_is_two_exchanges() -> None:
    first = replace(header(34, 0), responder_spi=bytes(8))
    answer = header(34, 0, initiator=False, response=True)
    packets = [
        ike(clear(first, [v2.Nonce(b"n" * 16)])),
        ike(clear(replace(answer, responder_spi=bytes(8)), [v2.Notify(16390, b"c" * 8)]), True),
        ike(clear(first, [v2.Notify(16390, b"c" * 8), v2.Nonce(b"n" * 16)])),
        ike(clear(answer, [v2.Nonce(b"r" * 16)]), True),
    ]
    found = exchanges(decrypt(frames(packets)).entries)
    assert found == [IkeSaInit("COOKIE"), IkeSaInit()]
    assert [one.about.frames for one in found] == [(1, 2), (3, 4)]


def test_requests_of_both_ends_with_one_number_are_two_exchanges() -> None:
    packets = [
        ike(sealed(SECRET, header(37, 0), [])[0]),
        ike(sealed(SECRET, header(37, 0, initiator=False), [v2.Delete(1)])[0], True),
        ike(sealed(SECRET, header(37, 0, response=True), [v2.Notify(7)])[0]),
        ike(sealed(SECRET, header(37, 0, initiator=False, response=True), [])[0], True),
    ]
    found = exchanges(decrypt(frames(packets), Secrets(ike_v2=(SECRET,))).entries)
    assert found == [Liveness(), DeleteIke(error="INVALID_SYNTAX")]


def test_what_cannot_be_read_is_listed(runs: Runs) -> None:
    found = exchanges(decrypt(runs.captured("ikev2-psk").frames).entries)
    assert found[:3] == [IkeSaInit(), Unreadable("no key"), Unreadable("no key")]
    assert len(found) == 17


def test_a_repeated_message_counts_once(runs: Runs) -> None:
    twice = [one for one in runs.captured("ikev2-psk").frames for _ in range(2)]
    again = [one._replace(number=number) for number, one in enumerate(twice, 1)]
    decryption = decrypt(again, runs.keys("ikev2-psk", "moon").secrets)
    assert exchanges(decryption.entries) == exchanges(runs.decrypted("ikev2-psk").entries)
    repeats = [e for e in decryption.entries if isinstance(e.content, Ike) and e.content.repeats]
    assert len(repeats) == 18
