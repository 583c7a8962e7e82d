# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab kernels of a session: opened when the first item needs one, with progress shown."""

from __future__ import annotations

import contextlib
import os

import pytest

from harness.machine.cache import locate
from harness.machine.errors import MachineError
from harness.machine.labkernel import LabKernel, Settings, open_lab_kernel
from harness.machine.project import OWN_PATHS, ProjectTree
from harness.plugin.options import HERE, options_of
from harness.plugin.progress import shown
from harness.plugin.selection import Plan

HELD = pytest.StashKey[int]()
OPENED = pytest.StashKey[dict[tuple[str, str], LabKernel]]()
PLUGIN = "harness.plugin"


def lab_kernel(config: pytest.Config, where: Plan) -> LabKernel:
    """The lab kernel of a plan; raises MachineError when it cannot be made."""
    opened = config.stash.setdefault(OPENED, {})
    key = (where.kernel, where.clock)
    if key not in opened:
        hold_cache(config)
        opened[key] = open_lab_kernel(_settings(config, where), locate(), shown(config))
    return opened[key]


def hold_cache(config: pytest.Config) -> None:
    """Keep the cache from being cleaned for as long as this session lasts."""
    if HELD in config.stash:
        return
    # Who cannot write to a cache cannot be kept from cleaning it, nor can others like them.
    with contextlib.suppress(MachineError):
        held = config.stash[HELD] = locate().hold()
        config.add_cleanup(lambda: os.close(held))


def _settings(config: pytest.Config, where: Plan) -> Settings:
    own = config.rootpath == HERE
    paths = tuple(dict.fromkeys((*(OWN_PATHS if own else ()), *_paths(config))))
    return Settings(
        tree=ProjectTree(config.rootpath, paths, without=options_of(config).out),
        kernel=where.kernel,
        clock="real" if where.clock == "real" else "virtual",
        plugins=(PLUGIN,),
        # Of the many tests of the project few run in a guest: they are collected when asked for.
        warm=tuple(path for path in paths if path not in ("tests", ".")) if own else paths,
    )


def _paths(config: pytest.Config) -> tuple[str, ...]:
    """The first folders below the rootdir of what the command line names; `.` for the rootdir.

    A file in the rootdir stands for all of it: it may import what is beside it.
    """
    paths = {
        (config.invocation_params.dir / argument.partition("::")[0]).resolve()
        for argument in config.args
    }
    relative = (path.relative_to(config.rootpath).parts for path in paths)
    firsts = {parts[0] if parts else "." for parts in relative}
    return tuple(sorted({name if (config.rootpath / name).is_dir() else "." for name in firsts}))
