"""Spoilt bytes into every parser: an error of the tree, or something that can be lived with. Never anything else.

A short, reproducible run; `make fuzz SECONDS=60` runs long, with fresh seeds.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

EXAMPLES = 150


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_bytes_are_an_error_of_the_tree_or_can_be_lived_with(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None)
    @given(mutated(target.seeds, target.hostile))
    def run(data: bytes) -> None:
        with suppress(*target.errors):
            target.take(data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_sound(name: str) -> None:
    """A seed that is refused would leave all that lies behind the first check untried."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].take(seed)


@given(st.binary(max_size=200))
@settings(max_examples=100, derandomize=True, database=None, deadline=None)
def test_bytes_of_nobody_s_making(data: bytes) -> None:
    for target in TARGETS.values():
        with suppress(*target.errors):
            target.take(data)
