"""Fuzzes every parser for a while, with fresh seeds: `python -m tests.fuzz --seconds 60`, or `make fuzz SECONDS=60`.

Each round takes one target and one seed. A finding is made as small as it can be and printed with the command that
plays it again: `python -m tests.fuzz --target delta --seed 17`. Found bugs become tests with a name.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import random
import sys
import time
import traceback
from collections import Counter

import hypothesis
from hypothesis import HealthCheck, given, settings

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

EXAMPLES = 300
SLOW_S = 2.0
"""Of this process's own time. No input that is made here is so long that an honest parser would take more."""


class Findings:
    """What one round came across."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.last = b""


def play(name: str, seed: int, found: Findings) -> None:
    """One round of `name`; raises what should not have been raised."""
    target = TARGETS[name]

    @hypothesis.seed(seed)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated(target.seeds, target.hostile))
    def run(data: bytes) -> None:
        found.last = data
        started = time.process_time()
        try:
            target.take(data)
            found.outcomes["lived with"] += 1
        except target.errors:
            found.outcomes["refused"] += 1
        spent = time.process_time() - started
        assert spent < SLOW_S, f"{spent:.1f} s for {len(data)} bytes"

    run()


def main() -> int:
    """The number of targets with findings."""
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--target", choices=TARGETS, help="only this one")
    arguments.add_argument("--seed", type=int, help="one round with this seed, instead of rounds until time is up")
    chosen = arguments.parse_args()
    names = [chosen.target] if chosen.target else list(TARGETS)
    started, totals = time.monotonic(), {name: Findings() for name in names}
    failed: dict[str, int] = {}
    for name in itertools.cycle(names):
        if len(failed) == len(names) or (chosen.seed is None and time.monotonic() - started > chosen.seconds):
            break
        if name in failed:
            continue
        seed = random.getrandbits(32) if chosen.seed is None else chosen.seed
        try:
            play(name, seed, totals[name])
        except KeyboardInterrupt:
            break
        except BaseException:  # noqa: BLE001  whatever it is, it is a finding
            failed[name] = seed
            _report(name, seed, totals[name].last)
        if chosen.seed is not None and name == names[-1]:
            break
    for name, findings in totals.items():
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(findings.outcomes.items()))
        print(f"{name:16} {findings.outcomes.total():7} inputs: {outcomes}{'; FAILED' if name in failed else ''}")
    inputs = sum(findings.outcomes.total() for findings in totals.values())
    print(f"{inputs} inputs in {time.monotonic() - started:.0f} s, {len(failed)} targets with findings")
    return len(failed)


def _report(name: str, seed: int, data: bytes) -> None:
    traceback.print_exc(limit=-8)
    print(f"\nFOUND in {name!r}, {len(data)} bytes: {data[:300]!r}")
    print(f"as base64: {base64.b64encode(data[:4000]).decode()}")
    print(f"play it again: python -m tests.fuzz --target {name!r} --seed {seed}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
