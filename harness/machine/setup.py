# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes all that a run needs, with the time of each step; ``python -m harness.machine.setup``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from harness.machine.cache import Cache, locate
from harness.machine.errors import Lost, MachineError
from harness.machine.images import obtain_image, obtain_kernel
from harness.machine.labkernel import DEFAULT_KERNEL, open_lab_kernel, own_settings
from harness.machine.progress import Progress, State
from harness.machine.spec import ImageSpec, load_specs
from harness.machine.wheels import obtain_site

# mmdebstrap waits for the network half of its time, and unpacks with one core the other half.
AT_ONCE = 2


class Shown:
    """Progress as lines of text: one when a step that took a while is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.steps = 0

    def __call__(self, step: str, state: State, seconds: float) -> None:
        """Print what is under way on a terminal, and what is done anywhere."""
        with self._lock:
            if state == "done":
                self.steps += 1
                print(f"{step:<44} {seconds:6.1f} s", flush=True)
            elif state == "waiting":
                print(f"{step}: another process is at it; waiting", flush=True)
            elif state == "begun" and sys.stdout.isatty():
                print(f"{step} ...", flush=True)


def prepare(cache: Cache, kernels: Sequence[str], progress: Progress) -> None:
    """Make the images, the kernels and a warm snapshot for each, two images at a time.

    Raises MachineError for the first that cannot be made, when the others under way are done.
    """
    settings = own_settings()
    specs = load_specs(settings.images)
    for name in kernels:
        if name not in specs or specs[name].kind != "kernel":
            known = ", ".join(sorted(load_specs(settings.images, "kernel")))
            raise MachineError(f"--kernel: there is no kernel {name!r}; there are {known}.")
    # The guest first: its Python packages wait for it.
    wanted = [spec for spec in specs.values() if spec.kind == "guest"]
    wanted += [specs[name] for name in kernels]
    wanted += [spec for spec in specs.values() if spec.kind == "peer"]

    def make(spec: ImageSpec) -> None:
        if spec.kind == "kernel":
            obtain_kernel(cache, spec, progress)
        else:
            image = obtain_image(cache, spec, progress)
            if spec.kind == "guest":
                obtain_site(cache, settings.lock, image, progress)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way = [pool.submit(make, spec) for spec in wanted]
        try:
            for future in under_way:
                future.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            # Where it was not typed at a terminal an interrupt comes to this process alone.
            while isinstance(error, KeyboardInterrupt) and not all(map(Future.done, under_way)):
                end_children()
                wait(under_way, timeout=1.0)
            raise
    for name in kernels:
        open_lab_kernel(own_settings(kernel=name), cache, progress)


def end_children() -> None:
    """Ask the programs that this process has started to end, in whichever thread that was."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        # Most of the others end or begin in the meantime; this process's own do not vanish
        # before it has waited for them.
        with suppress(OSError):
            parent = status.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                os.kill(int(status.parent.name), signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it; return 0, or 3 with one sentence on what cannot be done."""
    parser = argparse.ArgumentParser(prog="ci/setup")
    parser.add_argument(
        "--kernel",
        action="append",
        help=f"a lab kernel to make ready, {DEFAULT_KERNEL} if none is named; may be repeated",
    )
    options = parser.parse_args(arguments)
    cache, shown, began = locate(), Shown(), time.monotonic()
    try:
        prepare(cache, options.kernel or [DEFAULT_KERNEL], shown)
    except MachineError as error:
        if isinstance(error, Lost) and error.console_tail:
            print(error.console_tail, file=sys.stderr)
        print(f"ci/setup: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(
            "ci/setup: interrupted; what was made is kept, what was half made is not.",
            file=sys.stderr,
        )
        return 130
    if shown.steps:
        print(f"{'ready':<44} {time.monotonic() - began:6.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
