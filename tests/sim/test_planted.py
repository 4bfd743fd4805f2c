"""The simulator finds every planted bug, one at a time, within a bounded number of seeds."""

from __future__ import annotations

import pytest

from tests.sim.planted import PLANTS
from tests.sim.run import simulate

SEEDS_MAX = 400


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    """A broken promise shows it. An error that the code under test raises by itself shows nothing of the simulator.

    The first seed is the one that the plant names. The next ones are tried where it shows the bug no more.
    """
    first = PLANTS[name].seed
    runs = (simulate(seed, plant=name) for seed in range(first, first + SEEDS_MAX))
    found = next((run for run in runs if run.broken), None)
    assert found, f"{SEEDS_MAX} seeds do not show it"
    print(found.failure.splitlines()[0])
