# SPDX-License-Identifier: GPL-2.0-or-later
"""What a diagnosis says to change is changed in the text of the configuration, and it comes up.

Both ends are engines that do what their texts say: strongSwan's two dialects and a SEIL's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.daemon.seil.dialect import read_seil
from harness.ike.address import Address
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v1 import configuration as v1
from harness.ike.v1.identity import address_identity, subnet_identity
from harness.ike.v2.connection import Identity, SharedKey
from harness.ike.v2.suites import ChildProposal, IkeProposal
from harness.verdict.diagnosis.alternatives import NONE, Alternative, Aspect, SaKind
from harness.verdict.diagnosis.findings import Diagnosis, Remedy
from harness.verdict.diagnosis.ipsec_conf import read_ipsec_conf
from harness.verdict.diagnosis.seil import read_seil_file
from harness.verdict.diagnosis.swanctl_conf import read_swanctl_conf
from harness.verdict.diagnosis.wishes import Wishes
from tests.daemon.seil_files import MINIMAL, PHASE1
from tests.ike.v1 import pair as pair_v1
from tests.ike.v2 import pair as pair_v2
from tests.verdict.diagnosis.engines import Tap, tried_v1, tried_v2

THIRD = settings(max_examples=max(1, settings.default.max_examples // 3))
"""An example here is several handshakes."""


# -- the two texts and what the engines make of them ---------------------------------------------


@dataclass(frozen=True)
class Text:
    """A configuration: its dialect's reader, and the text."""

    node: str
    dialect: str
    text: str

    @property
    def wishes(self) -> Wishes:
        (found,) = READERS[self.dialect](self.text, self.node)
        return found

    def mended(self, remedy: Remedy) -> Text:
        """With the one line changed as it is said, or added where there is none to change."""
        new, old = remedy.spelled.text, remedy.spelled.instead
        if self.dialect == "swanctl.conf":
            new, old = (one.rpartition(".")[2] for one in (new, old))
        lines = self.text.splitlines()
        number = remedy.spelled.where.rpartition(" line ")[2]
        if number.isdigit():
            place = int(number) - 1
            assert squeezed(old) in squeezed(lines[place])
            lines[place] = new
        elif self.dialect == "swanctl.conf":
            raise AssertionError("every setting of these texts has its line")
        else:
            lines.append(new)
        return replace(self, text="\n".join(lines) + "\n")


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("::", ":")


def ipsec_conf(text: str, node: str) -> tuple[Wishes, ...]:
    return read_ipsec_conf(text, node, secrets=": PSK xeeB5gohvaYi\n")


READERS: Mapping[str, Callable[[str, str], tuple[Wishes, ...]]] = {
    "ipsec.conf": ipsec_conf,
    "swanctl.conf": read_swanctl_conf,
    "seil": lambda text, node: read_seil_file(text, node, "seil.conf"),
}


def swan(node: str, version: int, ike: list[str], esp: list[str], **more: str) -> Text:
    """The ipsec.conf of an end of the moon and sun topology."""
    ends = ["moon", "sun"] if node == "moon" else ["sun", "moon"]
    addresses = {"moon": "192.0.2.1", "sun": "192.0.2.2"}
    subnets = {"moon": "10.1.0.0/16", "sun": "10.2.0.0/16"}
    values = {
        "keyexchange": f"ikev{version}",
        "authby": "secret",
        "ike": ",".join(ike) + "!",
        "esp": ",".join(esp) + "!",
        "type": "tunnel",
    }
    for side, end in zip(("left", "right"), ends, strict=True):
        values[side] = addresses[end]
        values[f"{side}id"] = f"@{end}.example"
        values[f"{side}subnet"] = subnets[end]
    values |= more
    lines = ["# made by a test", "conn net", *(f"    {k}={v}" for k, v in values.items())]
    return Text(node, "ipsec.conf", "\n".join(lines) + "\n")


def swanctl(node: str, ike: list[str], esp: list[str]) -> Text:
    """The same as a swanctl.conf."""
    here, there = ("moon", "sun") if node == "moon" else ("sun", "moon")
    addresses = {"moon": "192.0.2.1", "sun": "192.0.2.2"}
    subnets = {"moon": "10.1.0.0/16", "sun": "10.2.0.0/16"}
    text = f"""\
connections {{
  net {{
    version = 2
    local_addrs = {addresses[here]}
    remote_addrs = {addresses[there]}
    proposals = {", ".join(ike)}
    local {{
      auth = psk
      id = {here}.example
    }}
    remote {{
      auth = psk
      id = {there}.example
    }}
    children {{
      net {{
        mode = tunnel
        esp_proposals = {", ".join(esp)}
        local_ts = {subnets[here]}
        remote_ts = {subnets[there]}
      }}
    }}
  }}
}}
secrets {{
  ike-net {{
    secret = "xeeB5gohvaYi"
  }}
}}
"""
    return Text(node, "swanctl.conf", text)


def engine_v2(text: Text):
    """An end of IKEv2 that does what a text says."""
    wishes = text.wishes
    base = pair_v2.MOON_NET if text.node == "moon" else pair_v2.SUN_NET
    (child,) = base.children
    key = SharedKey(wishes.secret)
    return replace(
        base,
        proposals=tuple(ike_proposal(one) for one in wishes.alternatives(SaKind.IKE_SA)),
        children=(
            replace(
                child,
                proposals=tuple(
                    child_proposal(one) for one in wishes.alternatives(SaKind.CHILD_SA)
                ),
                local=selectors(wishes.local_subnets),
                remote=selectors(wishes.remote_subnets),
            ),
        ),
        local_id=Identity.of(wishes.local_identity.lstrip("@")),
        remote_id=Identity.of(wishes.remote_identity.lstrip("@")),
        local_auth=key,
        remote_auth=key,
    )


def selectors(subnets):
    from ipaddress import ip_network

    from harness.ike.traffic_selectors import TrafficSelector

    return tuple(TrafficSelector.of(ip_network(one)) for one in subnets)


def some(alternative: Alternative, aspect: Aspect, find):
    return tuple(find(name) for name in alternative[aspect] if name != NONE)


def ike_proposal(one: Alternative) -> IkeProposal:
    return IkeProposal(
        some(one, Aspect.ENCRYPTION, encryption),
        some(one, Aspect.PRF, prf),
        some(one, Aspect.GROUP, key_exchange),
        some(one, Aspect.INTEGRITY, integrity),
    )


def child_proposal(one: Alternative) -> ChildProposal:
    return ChildProposal(
        some(one, Aspect.ENCRYPTION, encryption), some(one, Aspect.INTEGRITY, integrity)
    )


def engine_v1(text: Text) -> v1.Connection:
    """An end of IKEv1 that does what a text says: a SEIL's, or strongSwan's with one proposal."""
    if text.dialect == "seil":
        (connection,) = read_seil(text.text, "seil.conf").v1
        return connection
    wishes = text.wishes
    (ike,), (esp,) = (wishes.alternatives(one) for one in (SaKind.ISAKMP_SA, SaKind.IPSEC_SA))
    pfs = some(esp, Aspect.PFS, key_exchange)
    child = v1.Child(
        "lan",
        subnet_identity(wishes.local_subnets[0]),
        subnet_identity(wishes.remote_subnets[0]),
        some(esp, Aspect.ENCRYPTION, encryption),
        some(esp, Aspect.INTEGRITY, integrity),
        pfs[0] if pfs else None,
    )
    phase_1 = v1.Phase1(
        some(ike, Aspect.ENCRYPTION, encryption),
        some(ike, Aspect.HASH, prf),
        some(ike, Aspect.GROUP, key_exchange),
    )
    return v1.Connection(
        "swan",
        Address(wishes.addresses[0]),
        Address(wishes.peer_addresses[0]),
        v1.PreSharedKey(wishes.secret),
        address_identity(wishes.addresses[0]),
        address_identity(wishes.peer_addresses[0]),
        phase1=phase_1,
        children=(child,),
    )


def tried(moon: Text, sun: Text) -> Tap:
    """What becomes of the two, of whichever version they are."""
    if "seil" in (moon.dialect, sun.dialect):
        tap = tried_v1(engine_v1(moon), engine_v1(sun), child=None)
    else:
        tap = tried_v2(engine_v2(moon), engine_v2(sun))
    return tap


def is_up(tap: Tap) -> bool:
    if isinstance(tap.pair, pair_v1.Pair):
        return bool(tap.pair.a.sas and tap.pair.b.sas)
    return bool(tap.pair.moon.children() and tap.pair.sun.children())


def explained(moon: Text, sun: Text) -> Diagnosis | None:
    """Why the two do not come up, None when they do."""
    tap = tried(moon, sun)
    if is_up(tap):
        return None
    return tap.diagnosis(wishes=(moon.wishes, sun.wishes))


def mended_until_up(moon: Text, sun: Text, node: str) -> list[Diagnosis]:
    """Do on one node what the diagnosis says until it comes up; IKE's mismatch hides a child's."""
    found = []
    for _ in range(4):
        diagnosis = explained(moon, sun)
        if diagnosis is None:
            return found
        found.append(diagnosis)
        remedies = [one for one in diagnosis.remedies if one.node == node]
        assert remedies, diagnosis.sentence
        for remedy in remedies:
            if node == "moon":
                moon = moon.mended(remedy)
            else:
                sun = sun.mended(remedy)
    raise AssertionError(f"it never comes up: {[one.sentence for one in found]}")


# -- claims -------------------------------------------------------------------------------------


@st.composite
def ike_texts(draw: st.DrawFn) -> str:
    cipher = draw(st.sampled_from(("aes128", "aes256", "camellia128", "aes128gcm16")))
    group = draw(st.sampled_from(("x25519", "ecp256", "ecp384")))
    hashes = st.sampled_from(("sha256", "sha384", "sha1"))
    if cipher.endswith("gcm16"):
        return f"{cipher}-prf{draw(hashes)}-{group}"
    own_prf = draw(st.sampled_from(("", "-prfsha512")))
    second = draw(st.sampled_from(("", "-ecp521")))
    return f"{cipher}-{draw(hashes)}{own_prf}-{group}{second}"


@st.composite
def esp_texts(draw: st.DrawFn) -> str:
    cipher = draw(st.sampled_from(("aes128", "aes256", "aes256gcm16")))
    mac = "" if cipher.endswith("gcm16") else f"-{draw(st.sampled_from(('sha256', 'sha1')))}"
    return f"{cipher}{mac}{draw(st.sampled_from(('', '-x25519')))}"


LISTS = {"min_size": 1, "max_size": 3, "unique": True}


@THIRD
@given(
    st.lists(ike_texts(), **LISTS),
    st.lists(esp_texts(), **LISTS),
    st.lists(ike_texts(), **LISTS),
    st.lists(esp_texts(), **LISTS),
    st.sampled_from(("moon", "sun")),
    st.sampled_from(("ipsec.conf", "swanctl.conf")),
)
def test_any_two_lists_of_proposals_come_up_once_one_side_is_changed_as_told(
    ike_moon: list[str],
    esp_moon: list[str],
    ike_sun: list[str],
    esp_sun: list[str],
    node: str,
    dialect: str,
) -> None:
    if dialect == "ipsec.conf":
        moon, sun = swan("moon", 2, ike_moon, esp_moon), swan("sun", 2, ike_sun, esp_sun)
    else:
        moon, sun = swanctl("moon", ike_moon, esp_moon), swanctl("sun", ike_sun, esp_sun)
    for diagnosis in mended_until_up(moon, sun, node):
        assert diagnosis.differing
        assert all(row.offered != row.wanted for row in diagnosis.differing)


def seil(lines: str = "", *, without: str = "nothing") -> Text:
    kept = [line for line in MINIMAL.splitlines() if without not in line]
    return Text("moon", "seil", "\n".join(kept) + "\n" + lines)


def beside_seil(ike: str = "aes256-sha256-modp1536", esp: str = "aes256-sha256", **more: str):
    """strongSwan's ipsec.conf as the seed has it."""
    text = f"""\
# strongSwan config - /etc/ipsec.conf
conn %default
        authby=secret
        keyexchange=ikev1
conn seil
        left=10.0.0.2
        leftsubnet=192.168.2.0/24
        right=10.0.0.1
        rightsubnet=192.168.1.0/24
        ike={ike}!
        esp={esp}!
        auto=add
"""
    for key, value in more.items():
        text = text.replace(f"        {key}=", f"        {key}={value}\n        # was {key}=")
    return Text("sun", "ipsec.conf", text)


def test_the_seeds_phase_1_mismatch_is_mended_in_the_words_of_either_side() -> None:
    found = explained(seil(PHASE1), beside_seil())
    assert found.difference("DH group") == ("MODP 1024", "MODP 1536")
    moons, suns = found.remedies
    assert (moons.node, suns.node) == ("moon", "sun")
    key = "interface.ipsec0.ike.proposal.phase1.dh-group"
    assert moons.spelled.text == f"{key} : modp1536"
    assert (moons.spelled.instead, moons.spelled.where) == (
        f"{key} : modp1024",
        "seil.conf line 13",
    )
    assert suns.spelled.text == "ike=aes256-sha256-modp1024!"
    assert (suns.spelled.instead, suns.spelled.where) == (
        "ike=aes256-sha256-modp1536!",
        "ipsec.conf line 10",
    )
    for node in ("moon", "sun"):
        assert len(mended_until_up(seil(PHASE1), beside_seil(), node)) == 1


@pytest.mark.parametrize("changed", ["moon", "sun"])
@pytest.mark.parametrize(
    ("router", "swan", "what"),
    [
        (seil(), beside_seil("aes192-sha256-modp1536"), "key length"),
        (seil(), beside_seil("aes256-sha512-modp1536"), "hash"),
        (seil(), beside_seil("aes256-sha256-modp2048"), "DH group"),
        (seil(), beside_seil("aes192-sha384-modp2048"), "DH group"),
        (seil(), beside_seil(esp="aes256-md5"), "integrity"),
        (seil(), beside_seil(esp="aes192-sha1"), "key length"),
        (seil(without="proxy-id"), beside_seil(), "traffic of moon"),
    ],
    ids=["key length", "hash", "group", "three", "integrity", "esp key length", "proxy-id"],
)
def test_each_mismatch_with_a_seil_is_mended_on_either_side(
    router: Text, swan: Text, what: str, changed: str
) -> None:
    found = mended_until_up(router, swan, changed)
    assert what in [row.what for row in found[0].differing]
    if changed == "moon":
        assert all(
            one.spelled.text.startswith("interface.ipsec0.")
            for diagnosis in found
            for one in diagnosis.remedies
            if one.node == changed
        )


@st.composite
def seil_lines(draw: st.DrawFn) -> str:
    """Lists of a SEIL, each left out or with one to three of what it knows."""
    lines = []
    for key, words in (
        ("phase1.encryption.{}.algorithm", ("aes256", "aes192", "aes128", "3des")),
        ("phase1.hash.{}.algorithm", ("sha256", "sha1", "sha512")),
        ("phase2.encryption.{}.algorithm", ("aes256", "aes192", "aes128")),
        ("phase2.authentication.{}.algorithm", ("hmac-sha256", "hmac-sha1", "hmac-md5")),
    ):
        chosen = draw(st.lists(st.sampled_from(words), max_size=3, unique=True))
        lines += [
            f"interface.ipsec0.ike.proposal.{key.format(at)} : {word}"
            for at, word in enumerate(chosen)
        ]
    group = draw(st.sampled_from(("", "modp1024", "modp1536", "modp768")))
    if group:
        lines.append(f"interface.ipsec0.ike.proposal.phase1.dh-group : {group}")
    return "\n".join(lines) + "\n"


@THIRD
@given(
    seil_lines(),
    st.sampled_from(("aes256", "aes192", "aes128")),
    st.sampled_from(("sha256", "sha384", "sha1")),
    st.sampled_from(("modp1024", "modp1536", "modp768")),
    st.sampled_from(("aes256", "aes192")),
    st.sampled_from(("sha256", "sha1", "md5")),
    st.sampled_from(("moon", "sun")),
)
def test_any_seil_comes_up_with_strongswan_once_one_side_is_changed_as_told(
    lines: str, cipher: str, digest: str, group: str, esp: str, mac: str, node: str
) -> None:
    moon, sun = seil(lines), beside_seil(f"{cipher}-{digest}-{group}", f"{esp}-{mac}")
    found = mended_until_up(moon, sun, node)
    assume(found)
    assert all(diagnosis.differing for diagnosis in found)


@pytest.mark.parametrize("changed", ["moon", "sun"])
def test_identities_and_selectors_are_mended_on_either_side(changed: str) -> None:
    moon = swan(
        "moon", 2, ["aes128-sha256-x25519"], ["aes128-sha256"],
        leftid="@mars.example", rightsubnet="10.3.0.0/16",
    )  # fmt: skip
    sun = swan("sun", 2, ["aes128-sha256-x25519"], ["aes128-sha256"])
    found = mended_until_up(moon, sun, changed)
    assert [one.cause.value for one in found] == [
        "another identity is expected",
        "no common traffic selectors",
    ]
