# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be said on pytest's command line, and what becomes of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from harness.machine.errors import MachineError
from harness.machine.labkernel import DEFAULT_KERNEL
from harness.machine.spec import load_specs
from harness.peers.contract import Peer
from harness.peers.registry import UnknownPeer, find_peer, known_peers
from harness.plugin.results import Results

HERE = Path(__file__).parents[2]
IMAGES = HERE / "images"
DEFAULT_PEER = "strongswan@6.0.1"
FRONT_ENDS = ("ipsec.conf", "swanctl.conf")
"""The dialects of a strongSwan for which a scenario can have files: the first is usual."""


@dataclass(frozen=True)
class Options:
    """The project's own options, checked."""

    moons: tuple[str, ...]
    suns: tuple[str, ...]
    named: tuple[tuple[str, str], ...]
    both_ways: bool
    kernel: str
    clock: Literal["auto", "virtual", "real"]
    seed: int | None
    data_plane: Literal["auto", "kernel", "userspace"]
    front_ends: tuple[str, ...]
    out: Path
    strict: bool
    inside: str | None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every pair of peers that was asked for, moon first, none twice."""
        pairs = list(self.named) or [(moon, sun) for moon in self.moons for sun in self.suns]
        if self.both_ways:
            pairs += [(sun, moon) for moon, sun in pairs]
        return list(dict.fromkeys(pairs))


CHECKED = pytest.StashKey[Options]()
PEERS = pytest.StashKey[Mapping[str, Peer]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the project; their destinations are what a job in a guest sets."""
    group = parser.getgroup("ikelab", "IPsec interoperability")
    group.addoption(
        "--moon", dest="ikelab_moon", metavar="PEER[,PEER]", default=None,
        help=f"peers that take the role of moon (default: {DEFAULT_PEER})",
    )  # fmt: skip
    group.addoption(
        "--sun", dest="ikelab_sun", metavar="PEER[,PEER]", default=None,
        help=f"peers that take the role of sun (default: {DEFAULT_PEER})",
    )  # fmt: skip
    group.addoption(
        "--pair", dest="ikelab_pairs", metavar="MOON:SUN", action="append", default=[],
        help="a pair of peers (may be given more than once), instead of --moon and --sun, which "
        "stand for every pair of theirs",
    )  # fmt: skip
    group.addoption(
        "--scenario", dest="ikelab_scenarios", metavar="NAME", action="append", default=[],
        help="run only the scenario of this name (may be given more than once)",
    )  # fmt: skip
    group.addoption(
        "--in-turns", dest="ikelab_in_turns", action="store_true",
        help="run each scenario with one pair only: the pairs take turns",
    )  # fmt: skip
    group.addoption(
        "--both-ways", dest="ikelab_both_ways", action="store_true",
        help="run every pair with the roles exchanged too",
    )  # fmt: skip
    group.addoption(
        "--kernel", dest="ikelab_kernel", metavar="auto|host|NAME", default="auto",
        help="the kernel to run in: the host's, a lab kernel such as debian-6.1, or auto: the "
        "host's where it has what a scenario needs (default: %(default)s)",
    )  # fmt: skip
    group.addoption(
        "--clock", dest="ikelab_clock", choices=("auto", "virtual", "real"), default="auto",
        help="virtual time (a lab kernel only), real time, or auto: virtual in a lab kernel",
    )  # fmt: skip
    group.addoption(
        "--seed", dest="ikelab_seed", type=int, default=None,
        help="where all randomness of a lab kernel comes from (default: 1)",
    )  # fmt: skip
    group.addoption(
        "--data-plane", dest="ikelab_data_plane", choices=("auto", "kernel", "userspace"),
        default="auto", help="who does ESP: the kernel, the daemon, or auto: the kernel if it can",
    )  # fmt: skip
    group.addoption(
        "--front-end", dest="ikelab_front_end", metavar="DIALECT[,DIALECT]", default=FRONT_ENDS[0],
        help="how a strongSwan gets its files where a scenario has them for both: through "
        "ipsec.conf, or through swanctl.conf and so VICI (default: %(default)s)",
    )  # fmt: skip
    group.addoption(
        "--longest-first", dest="ikelab_longest_first", action="store_true",
        help="with several processes: start with what took the longest in the results of --out",
    )  # fmt: skip
    group.addoption(
        "--out", dest="ikelab_out", metavar="DIR", default="out",
        help="the folder for results.json and one folder a run (default: %(default)s)",
    )  # fmt: skip
    group.addoption(
        "--ladder", dest="ikelab_ladder", action="store_true",
        help="show the ladder of every run, and not only that of a run on its own",
    )  # fmt: skip
    group.addoption(
        "--strict-verdicts", dest="ikelab_strict", action="store_true",
        help="unsupported and not-run count as failures",
    )  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options once, before anything is collected."""
    config.addinivalue_line("markers", "scenario(facts): a scenario of the catalogue")
    config.addinivalue_line("markers", "needs(capability, ...): runs where the kernel has them")
    try:
        config.stash[PEERS] = described_peers()
        options = check(config)
        for name in {name for pair in options.pairs for name in pair}:
            find_peer(name, config.stash[PEERS])
        _check_kernel(options.kernel)
    except (UnknownPeer, MachineError, ValueError) as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[CHECKED] = options
    if options.inside is None and not hasattr(config, "workerinput"):
        results = Results(options.out, HERE, ladders=config.option.ikelab_ladder)
        config.pluginmanager.register(results, "ikelab-results")


def options_of(config: pytest.Config) -> Options:
    """The options of a session; inside a guest those of its job, which comes after the start."""
    inside = getattr(config.option, "ikelab_inside", None)
    return config.stash[CHECKED] if inside is None else check(config)


def check(config: pytest.Config) -> Options:
    """The options as values; raises ValueError with one sentence."""
    option = config.option
    inside = getattr(option, "ikelab_inside", None)
    seed = option.ikelab_seed
    if seed is not None and not 0 <= seed < 2**63:
        raise ValueError(f"--seed {seed}: a seed is a whole number from 0 to 2^63-1")
    if option.ikelab_kernel == "host" and option.ikelab_clock == "virtual":
        raise ValueError("--clock virtual: the host has only real time; leave --kernel host out")
    out = Path(option.ikelab_out)
    named = _pairs(option)
    return Options(
        moons=tuple(moon for moon, _ in named) or _names("--moon", option.ikelab_moon),
        suns=tuple(sun for _, sun in named) or _names("--sun", option.ikelab_sun),
        named=named,
        both_ways=option.ikelab_both_ways,
        kernel=option.ikelab_kernel,
        clock=option.ikelab_clock,
        seed=seed,
        data_plane=option.ikelab_data_plane,
        front_ends=_front_ends(option.ikelab_front_end),
        out=out if out.is_absolute() else config.invocation_params.dir / out,
        strict=option.ikelab_strict,
        inside=inside,
    )


def described_peers() -> dict[str, Peer]:
    """Every peer that an image is described for, by name; raises MachineError."""
    specs = load_specs(IMAGES, "peer")
    return known_peers((spec.name, spec.version) for spec in specs.values())


def may_run_on_host() -> bool:
    """Whether this user can make namespaces here: only root can."""
    return os.geteuid() == 0


def _check_kernel(name: str) -> None:
    if name in ("auto", "host"):
        return
    kernels = sorted(load_specs(IMAGES, "kernel"))
    if name not in kernels:
        raise ValueError(
            f"--kernel {name}: there is no such kernel; there is auto, host, {', '.join(kernels)}"
            f" ({DEFAULT_KERNEL} is what auto takes)"
        )


def _front_ends(text: str) -> tuple[str, ...]:
    names = _names("--front-end", text, FRONT_ENDS[0])
    for name in names:
        if name not in FRONT_ENDS:
            there = ", ".join(FRONT_ENDS)
            raise ValueError(f"--front-end {name}: there is no such front end; there is {there}")
    return tuple(dict.fromkeys(names))


def _pairs(option: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in option.ikelab_pairs:
        moon, _, sun = (name.strip() for name in text.partition(":"))
        if not (moon and sun) or ":" in sun or "," in text:
            raise ValueError(
                f"--pair {text}: name a moon and a sun, such as ikelabd:{DEFAULT_PEER}; "
                "for another pair give --pair again"
            )
        pairs.append((moon, sun))
    if pairs:
        for role in ("moon", "sun"):
            if getattr(option, f"ikelab_{role}") is not None:
                raise ValueError(
                    f"--{role} and --pair: a pair has its {role} already; leave one of the two out"
                )
    return tuple(pairs)


def _names(option: str, text: str | None, example: str = DEFAULT_PEER) -> tuple[str, ...]:
    if text is None:
        return (DEFAULT_PEER,)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ValueError(f"{option}: name at least one, such as {example}")
    return names
