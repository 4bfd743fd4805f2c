"""How long a node that failed is left alone."""

from __future__ import annotations

from itertools import pairwise

from deltaic.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_never_beyond() -> None:
    backoff = Backoff(longest_s=2.0, chance=lambda: 0.0)
    pauses = [backoff.failed("n1", 0.0) for _ in range(40)]
    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert pauses[-1] == 2.0


def test_chance_shortens_a_pause_by_up_to_half() -> None:
    assert Backoff(2.0, chance=lambda: 1.0).failed("n1", 10.0) == 10.025


def test_success_makes_the_next_pause_short_again() -> None:
    backoff = Backoff(2.0, chance=lambda: 0.0)
    for _ in range(5):
        backoff.failed("n1", 0.0)
    assert backoff.has_failed("n1")
    backoff.succeeded("n1")
    assert not backoff.has_failed("n1")
    assert backoff.is_due("n1", 0.0)
    assert backoff.failed("n1", 0.0) == 0.05


def test_nodes_are_apart() -> None:
    backoff = Backoff(2.0, chance=lambda: 0.0)
    backoff.failed("n1", 0.0)
    assert not backoff.is_due("n1", 0.01)
    assert backoff.is_due("n2", 0.01)


def test_a_claim_keeps_others_from_a_node_that_had_failed_and_from_no_other() -> None:
    backoff = Backoff(2.0, chance=lambda: 0.0)
    backoff.claim("n1", 0.0)
    assert backoff.is_due("n1", 0.0)
    backoff.failed("n1", 0.0)
    backoff.claim("n1", 1.0)
    assert not backoff.is_due("n1", 1.05)
    assert backoff.is_due("n1", 1.1)
