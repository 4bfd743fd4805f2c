"""The simulator: `--seeds 1000` runs many seeds on all cores; `--seed 4711 --verbose` one, told as it happens."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from tests.sim.planted import PLANTS
from tests.sim.run import STEPS, Run, simulate
from tests.sim.summary import summary

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_CHUNK = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what was asked for and says what was run; 1 if anything was violated."""
    asked = arguments(argv)
    began_s = time.monotonic()
    runs = one(asked) if asked.seed is not None else many(asked)
    failed = [run for run in runs if run.failure]
    for run in failed:
        print(run.failure, file=sys.stderr)
    counts: Counter[str] = sum((run.counts for run in runs), Counter())
    print(summary(counts, len(runs), sum(run.steps for run in runs), time.monotonic() - began_s))
    if len(runs) == 1:
        print(f"trace {runs[0].trace}")
    print(f"{len(failed)} of {len(runs)} seeds failed" if failed else "nothing was violated")
    return 1 if failed else 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (default 100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps per run before it rests (default {STEPS})")
    parser.add_argument("--verbose", action="store_true", help="with --seed: tell everything that happens")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes (default: all cores)")
    parser.add_argument("--plant", choices=PLANTS, default="", metavar="BUG", help="have this known bug in the code")
    return parser.parse_args(argv)


def one(asked: argparse.Namespace) -> list[Run]:
    """The run of one seed."""
    tell = partial(print, flush=True) if asked.verbose else None
    return [simulate(asked.seed, asked.steps, plant=asked.plant, verbose=tell)]


def many(asked: argparse.Namespace) -> list[Run]:
    """The runs of several seeds side by side, up to the first that fails; progress is told on a terminal."""
    seeds = range(asked.first, asked.first + asked.seeds)
    runs = []
    with multiprocessing.Pool(asked.jobs) as pool:
        for run in pool.imap_unordered(partial(simulate, steps=asked.steps, plant=asked.plant), seeds, _CHUNK):
            runs.append(run)
            if sys.stderr.isatty():
                print(f"\r{len(runs)} of {asked.seeds} seeds", end="", file=sys.stderr, flush=True)
            if run.failure:
                break
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return runs


if __name__ == "__main__":
    sys.exit(main())
