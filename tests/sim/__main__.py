"""`python -m tests.sim --seeds 1000`: many runs on all cores; `--seed 4711 --verbose`: one, told as it happens."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from functools import partial

from tests.sim.run import STEPS, Run, simulate
from tests.sim.summary import summary

_CHUNK = 4


def main() -> int:
    """Runs what was asked for and says what was run; 1 if anything was violated."""
    asked = arguments()
    if asked.seed is not None:
        seeds = range(asked.seed, asked.seed + 1)
    else:
        seeds = range(asked.first, asked.first + asked.seeds)
    began_s = time.monotonic()
    if len(seeds) == 1:
        tell = partial(print, flush=True) if asked.verbose else None
        runs = [simulate(seeds[0], asked.steps, verbose=tell)]
    else:
        runs = side_by_side(seeds, asked.steps, asked.jobs)
    failed = [run for run in runs if run.failure]
    for run in failed:
        print(run.failure, file=sys.stderr)
    counts: Counter[str] = sum((run.counts for run in runs), Counter())
    print(summary(counts, len(runs), sum(run.steps for run in runs), time.monotonic() - began_s))
    if len(runs) == 1:
        print(f"trace {runs[0].trace}")
    print(f"{len(failed)} of {len(runs)} seeds failed" if failed else "nothing was violated")
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (default 100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps per run before it rests (default {STEPS})")
    parser.add_argument("--verbose", action="store_true", help="tell everything that happens; for one seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes (default: all cores)")
    return parser.parse_args()


def side_by_side(seeds: range, steps: int, jobs: int) -> list[Run]:
    """The runs of `seeds` on `jobs` processes, up to the first that fails; progress is told on a terminal."""
    runs = []
    with multiprocessing.Pool(jobs) as pool:
        for run in pool.imap_unordered(partial(simulate, steps=steps), seeds, _CHUNK):
            runs.append(run)
            if sys.stderr.isatty():
                print(f"\r{len(runs)} of {len(seeds)} seeds", end="", file=sys.stderr, flush=True)
            if run.failure:
                break
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return runs


if __name__ == "__main__":
    sys.exit(main())
