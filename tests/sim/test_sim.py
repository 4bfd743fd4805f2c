"""The simulator finds nothing on seeds that stay the same. `make sim` runs seeds that nobody has tried before."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from crdt_core.replica.replica import Replica
from crdt_core.types import object as objects
from tests.sim import clients, jobs
from tests.sim.__main__ import main
from tests.sim.plan import Plan, Setup
from tests.sim.rest import bring_to_rest
from tests.sim.run import simulate
from tests.sim.starting import start
from tests.sim.world import World

BATCH = 25
FOUND = [1104, 1484, 1708, 20887, 200440, 200473, 200822, 500219, 500578, 51223188, 75695223, 77000547, 77001178]
FOUND += [77001363, 803906815, 910080, 920231, 920329, 920345, 920380, 92000029, 950896, 951968, 952004]
FOUND += [960751, 961586, 961711, 970176, 970456, 980306, 980652, 981455, 981583, 982179, 982299, 983422]
FOUND += [1300582, 1400876, 1402238, 1404582, 1408027]
FOUND += [1601436, 1700716, 1701135, 1703938, 1712096, 1740572, 1760422, 1760760]
"""Seeds that found a mistake, of the product or of the simulator. A named test tells each that was mended, too."""


def fail_at_the_first(seeds: list[int]) -> None:
    """Runs the seeds; the report of the first that fails, replay command included, is the failure."""
    for seed in seeds:
        run = simulate(seed)
        if run.failure:
            pytest.fail(run.failure, pytrace=False)


@pytest.mark.parametrize("first", range(0, 6 * BATCH, BATCH))
def test_seeds_that_stay_the_same_are_clean(first: int) -> None:
    fail_at_the_first(list(range(first, first + BATCH)))


def test_seeds_that_found_something_are_clean() -> None:
    fail_at_the_first(FOUND)


def test_seeds_whose_collections_are_large_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts are kept in many dicts: here, as few as two are many."""
    monkeypatch.setattr(objects, "SPLIT_FROM", 2)
    fail_at_the_first(list(range(BATCH)))


def test_seeds_whose_work_is_done_in_slices_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deltas, patches and calls that are too large for one turn: here, nearly all are."""
    draw = Setup.draw

    def draw_small(rng: Random) -> Setup:
        drawn = draw(rng)
        return replace(drawn, options=replace(drawn.options, parts_per_turn=2, delta_bytes_per_turn=100))

    monkeypatch.setattr(Setup, "draw", draw_small)
    fail_at_the_first(list(range(BATCH)))


def test_the_same_seed_is_the_same_run() -> None:
    assert simulate(7).trace == simulate(7).trace
    assert simulate(7).trace != simulate(8).trace


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    traces = set()
    for hash_seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-m", "tests.sim", "--seed", "11"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        traces |= set(re.findall(r"^trace (\w+)$", ran.stdout, re.MULTILINE))
    assert traces == {simulate(11).trace}


def test_a_failure_says_what_where_and_how_to_see_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "0", "--plant", "half a transaction"]) == 1
    told = capsys.readouterr()
    assert re.match(r"seed 0, step \d+: Violation: \w", told.err)
    assert "replay it alone: python -m tests.sim --seed 0 --plant 'half a transaction' --verbose" in told.err
    assert "1 of 1 seeds failed" in told.out


def test_an_error_that_the_code_raises_is_a_failure_and_no_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug that crashed the code counted as found, whether or not the simulator would have noticed it."""

    def crash(*_: object) -> None:
        raise RuntimeError("of its own")

    monkeypatch.setattr(Replica, "commit", crash)
    run = simulate(0)
    assert "RuntimeError: of its own" in run.failure
    assert not run.broken


def test_many_seeds_are_run_side_by_side_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "4", "--steps", "200", "--jobs", "2"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("4 seeds, ")
    assert "\nsyncs " in told
    assert told.endswith("nothing was violated\n")


@pytest.mark.parametrize("mix", ["churn", "counting"])
def test_endless_adding_and_taking_away_needs_no_more_and_more_room(mix: str) -> None:
    """While all goes well, what is held depends on what lives, not on how often it came and went."""
    plan = replace(Plan.draw(Random(0)), nodes=("n1", "n2", "n3"), mix=mix, latency_ms=2, loss=0.0, jobs_every_ms=20)
    world = World(1, plan=plan)
    for host in world.hosts.values():
        start(host)
    world.every(5, partial(clients.act, world))
    world.every(plan.jobs_every_ms, partial(jobs.job, world))
    rooms = []
    for _ in range(8):
        world.run(2500)
        rooms.append(max(room(world, name) for name in plan.nodes))
    bring_to_rest(world)
    assert sum(world.history.made().values()) > 500
    assert max(rooms[4:]) < 2 * max(rooms[:4])
    assert max(room(world, name) for name in plan.nodes) < 1500


def room(world: World, name: str) -> int:
    """The bytes of the state in a node's store, and of the messages that wait."""
    store = world.hosts[name].store
    fields = [item for hash_ in store.hashes.values() for pair in hash_.items() for item in pair]
    return sum(map(len, [*fields, *store.inbox.values(), *store.header.values()]))
