"""The simulator finds every planted bug, one at a time, within a bounded number of seeds."""

from __future__ import annotations

import pytest

from tests.sim.planted import PLANTS
from tests.sim.run import simulate

SEEDS_MAX = 400


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    failure = next((run.failure for seed in range(SEEDS_MAX) if (run := simulate(seed, plant=name)).failure), "")
    assert failure, f"{SEEDS_MAX} seeds do not show it"
    print(failure.splitlines()[0])
