"""The registers and the estimate of HyperLogLog. The tests of all types hold its laws, specification and codec."""

from __future__ import annotations

import pytest

from crdt_core.types.hyperloglogs import RANK_MAX, REGISTERS, estimate, place
from tests.crdt_core.types.models.hyperloglogs import PLACES


@pytest.mark.parametrize(("element", "wanted"), PLACES.items())
def test_an_element_has_the_register_and_the_rank_that_redis_gives_it(element: bytes, wanted: tuple[int, int]) -> None:
    assert place(element) == wanted


@pytest.mark.parametrize("count", [1, 10, 1000, 20_000, 100_000])
def test_the_estimate_is_within_four_standard_errors(count: int) -> None:
    ranks: dict[int, int] = {}
    for number in range(count):
        register, rank = place(b"element %d" % number)
        ranks[register] = max(rank, ranks.get(register, 0))
    assert max(ranks) < REGISTERS
    assert max(ranks.values()) <= RANK_MAX
    assert abs(estimate(ranks.values()) - count) <= 4 * 0.0081 * count + 0.5


def test_registers_that_are_all_full_have_an_estimate() -> None:
    assert estimate([RANK_MAX] * REGISTERS) == 2**63 - 1
