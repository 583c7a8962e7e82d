# SPDX-License-Identifier: GPL-2.0-or-later
"""Any octets against everything that takes octets, a million times on every core.

The seed is printed first; the same seed gives the same inputs. Of an input that does harm it
prints the trace, the octets and the command that runs into it again, and goes on; exits 1 then.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.fuzz.batch import Found, run_batch, target_named
from tests.fuzz.targets import TARGETS

Work = tuple[str, int, int]
MOST_FOUND = 20
STEP = 5


def shared_out(inputs: int, names: tuple[str, ...]) -> Iterator[Work]:
    """Target, number and size of each batch, in turns, `inputs` in all or a few more."""
    targets = [one for one in TARGETS if one.name in names]
    whole = sum(one.share for one in targets)
    left = {one.name: -(-inputs * one.share // (whole * one.size)) for one in targets}
    number = 0
    while any(left.values()):
        for one in targets:
            if left[one.name]:
                left[one.name] -= 1
                yield one.name, number, one.size
        number += 1


def run(seed: str, inputs: int, names: tuple[str, ...], console: Console) -> int:
    """Run that many inputs; returns how many of the batches found something."""
    work = list(shared_out(inputs, names))
    found = 0
    columns = (TextColumn("inputs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        ProcessPoolExecutor(os.cpu_count()) as pool,
    ):
        line = progress.add_task("inputs", total=sum(size for *_, size in work))
        sizes = {pool.submit(run_batch, name, seed, number): size for name, number, size in work}
        told = 0.0
        for done in as_completed(sizes):
            result: Found | None = done.result()
            progress.advance(line, sizes[done])
            task = progress.tasks[line]
            if not console.is_terminal and task.percentage >= told + STEP:
                # A log has no line that moves.
                told = task.percentage // STEP * STEP
                console.print(f"{told:.0f} %, {task.completed:,.0f} inputs", highlight=False)
            if result is not None:
                found += 1
                console.print(str(result), markup=False, highlight=False)
                if found >= MOST_FOUND:
                    pool.shutdown(cancel_futures=True)
                    break
    return found


def main() -> int:
    names = tuple(one.name for one in TARGETS)
    parser = argparse.ArgumentParser(prog="ci/nightly", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many in all")
    parser.add_argument("--seed", default="", help="a word; without one it is drawn")
    parser.add_argument("--target", choices=names, help="one alone instead of all")
    parser.add_argument("--batch", type=int, help="one batch of a target, here and now")
    options = parser.parse_args()
    if options.batch is not None and not (options.target and options.seed):
        parser.error("--batch is one of a target and a seed; give --target and --seed, too")
    seed = options.seed or secrets.token_hex(4)
    console = Console()
    console.print(f"seed {seed}", highlight=False)
    if options.batch is not None:
        result = run_batch(target_named(options.target).name, seed, options.batch)
        console.print("nothing found" if result is None else str(result), markup=False)
        return int(result is not None)
    chosen = (options.target,) if options.target else names
    found = run(seed, options.inputs, chosen, console)
    console.print(f"{found} of the batches found something" if found else "nothing found")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
