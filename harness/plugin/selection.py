# SPDX-License-Identifier: GPL-2.0-or-later
"""Which peers a scenario runs with, and which kernel it runs in."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from harness.kernel.capabilities import Capabilities, probe
from harness.kernel.probes import TRIES
from harness.lab.lab import Clock
from harness.machine.labkernel import DEFAULT_KERNEL
from harness.peers.contract import DataPlane
from harness.peers.planes import MARK
from harness.plugin.options import FRONT_ENDS, Options, may_run_on_host, options_of
from harness.scenario import MARKER, Scenario

CAPABILITIES = pytest.StashKey[Capabilities]()
DEFAULT_SEED = 1
ROLES = ("moon", "sun")
FRONT_END = "front_end"
SEIL = "ikelabd"
"""The peer behind the fixture `seil`, which no option changes."""


@dataclass(frozen=True)
class Plan:
    """Where and how one item runs; `kernel` is ``host`` or the name of a lab kernel."""

    kernel: str
    clock: Clock
    seed: int
    missing: str = ""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a scenario with moon and sun once for each pair, one with one of them for each of it.

    Where there is one role, none are exchanged: it is played by the peers that are named for it.
    One that has files for several front ends runs with each that was asked for.
    """
    options = options_of(metafunc.config)
    _with_peers(metafunc, options)
    if FRONT_END in metafunc.fixturenames:
        metafunc.parametrize(FRONT_END, options.front_ends, indirect=True)


def _with_peers(metafunc: pytest.Metafunc, options: Options) -> None:
    if {"moon", "sun"} <= set(metafunc.fixturenames):
        pairs = options.pairs
        names = [f"{moon}-{sun}" for moon, sun in pairs]
        metafunc.parametrize(("moon", "sun"), pairs, indirect=True, ids=names)
        return
    for role, named in (("moon", options.moons), ("sun", options.suns)):
        if role in metafunc.fixturenames:
            peers = list(dict.fromkeys(named))
            metafunc.parametrize(role, peers, indirect=True, ids=peers)


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the scenarios that were asked for; stop when a name is unknown, or used twice."""
    homes = _homes(items)
    _check_needs(items)
    wanted: list[str] = config.option.ikelab_scenarios
    for name in wanted:
        if name not in homes:
            near = difflib.get_close_matches(name, homes, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"there is {', '.join(sorted(homes)) or 'none'}"
            )
            _refuse(config, items, f"there is no scenario {name!r}; {hint}")
            return
    if wanted:
        kept = [item for item in items if (facts := scenario_of(item)) and facts.name in wanted]
        _keep(config, items, kept)
    if config.option.ikelab_in_turns:
        _keep(config, items, _in_turns(items))


def _keep(config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]) -> None:
    chosen = {id(item) for item in kept}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in chosen])
    items[:] = kept


def _in_turns(items: list[pytest.Item]) -> list[pytest.Item]:
    """One item of each scenario: pairs have their turns, and so have parameters of its own."""
    scenarios: dict[str, list[pytest.Item]] = {}
    for item in items:
        scenarios.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return [group[number % len(group)] for number, group in enumerate(scenarios.values())]


def _refuse(config: pytest.Config, items: list[pytest.Item], sentence: str) -> None:
    """Stop a session with a sentence; raises UsageError, but not in a worker of xdist.

    There an error would be the session's own: a worker has nothing to run instead, and the first
    one says why.
    """
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(sentence)
    items[:] = []
    capture = config.pluginmanager.get_plugin("capturemanager")
    if config.workerinput["workerid"] == "gw0" and capture is not None:
        with capture.global_and_fixture_disabled():
            os.write(2, f"ERROR: {sentence}\n".encode())


def _homes(items: list[pytest.Item]) -> dict[str, str]:
    homes: dict[str, str] = {}
    for item in items:
        facts = scenario_of(item)
        if facts is None:
            continue
        home = item.nodeid.partition("[")[0]
        if homes.setdefault(facts.name, home) != home:
            raise pytest.UsageError(
                f"two scenarios are called {facts.name!r}: {homes[facts.name]} and {home}; "
                "rename one of them"
            )
    return homes


def _check_needs(items: list[pytest.Item]) -> None:
    for item in items:
        unknown = [name for name in needs_of(item) if name not in TRIES]
        if unknown:
            near = difflib.get_close_matches(unknown[0], TRIES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(TRIES)}"
            raise pytest.UsageError(
                f"{item.nodeid}: there is no capability {unknown[0]!r} to need; {hint}"
            )


def scenario_of(item: pytest.Item) -> Scenario | None:
    """What an item says of itself as a scenario, or None for a plain test."""
    mark = item.get_closest_marker(MARKER)
    return mark.args[0] if mark is not None else None


def needs_of(item: pytest.Item) -> tuple[str, ...]:
    """The capabilities without which an item cannot run."""
    facts = scenario_of(item)
    marks = [name for mark in item.iter_markers("needs") for name in mark.args]
    return (*(facts.needs if facts else ()), *marks)


def concerns_lab(item: pytest.Item) -> bool:
    """Whether an item is the project's to place: it uses the lab or needs a kernel's ability."""
    return "lab" in getattr(item, "fixturenames", ()) or bool(needs_of(item))


def plan(item: pytest.Item) -> Plan:
    """Where an item runs: on the host if it may and can, else in a lab kernel.

    A seed or a virtual clock that was asked for means a lab kernel: the host has neither. So does
    a long scenario for which neither kernel nor clock was.
    """
    options: Options = options_of(item.config)
    seed = DEFAULT_SEED if options.seed is None else options.seed
    if options.inside is not None:
        return Plan(options.inside, "virtual" if options.clock == "auto" else options.clock, seed)
    kernel = options.kernel
    missing = ""
    if kernel in ("auto", "host"):
        facts = scenario_of(item)
        patient = facts is not None and facts.long and options.clock == "auto"
        wanted = options.clock == "virtual" or options.seed is not None or patient
        missing = _missing(item)
        if kernel == "auto":
            kernel = DEFAULT_KERNEL if wanted or missing else "host"
    if kernel == "host":
        return Plan("host", "real", seed, missing)
    return Plan(kernel, "real" if options.clock == "real" else "virtual", seed)


def peers_of(item: pytest.Item) -> dict[str, str]:
    """The names of the peers of an item, by their role."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return {role: parameters[role] for role in ROLES if role in parameters}


def front_end_of(item: pytest.Item) -> str:
    """The front end that an item is for, else the usual one."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return str(parameters.get(FRONT_END, FRONT_ENDS[0]))


def data_plane(config: pytest.Config) -> DataPlane:
    """Who does ESP here: the kernel if it can, unless something else was asked for."""
    options = options_of(config)
    if options.data_plane != "auto":
        return options.data_plane
    if options.inside is not None:
        return "kernel"
    return "userspace" if capabilities(config).missing("esp") else "kernel"


def capabilities(config: pytest.Config) -> Capabilities:
    """What this kernel can do; probed once a session."""
    if CAPABILITIES not in config.stash:
        config.stash[CAPABILITIES] = probe()
    return config.stash[CAPABILITIES]


def _needs_kernel_esp(item: pytest.Item) -> bool:
    """Whether the command line wants a kernel's ESP: of everybody, or of one of the peers."""
    wanted = {name.partition(MARK)[2] for name in peers_of(item).values()}
    usual = options_of(item.config).data_plane
    return "kernel" in wanted or (
        concerns_lab(item) and usual == "kernel" and wanted != {"userspace"}
    )


OF_EVERY_LAB = ("tun", "overlay")
"""What wires and nodes are made of, so that no scenario runs on a host without it."""


def _missing(item: pytest.Item) -> str:
    if not may_run_on_host():
        return "only root can make namespaces on the host; a lab kernel needs no root"
    needs: Iterable[str] = needs_of(item)
    if "esp" not in needs and _needs_kernel_esp(item):
        needs = (*needs, "esp")
    if "lab" in getattr(item, "fixturenames", ()):
        needs = dict.fromkeys((*needs, *OF_EVERY_LAB))
    reasons = [(name, capabilities(item.config).missing(name)) for name in needs]
    return "; ".join(f"the kernel lacks {name}: {why}" for name, why in reasons if why)
