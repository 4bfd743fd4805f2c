"""The simulator's record of a run, where a mistake of its own was taken for one of the product."""

from __future__ import annotations

import pytest

from crdt_core.codec.deltas import encode_delta
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Write
from tests.sim.history import History
from tests.sim.violation import Violation


def spend(history: History, counter: int, ms: int, *, set_right: bool = False) -> None:
    """Have `n1` make a commit at the time `ms`."""
    seen = VersionVector(n1=counter - 1) if counter > 1 else VersionVector()
    delta = Delta(Dot("n1", counter), seen, Stamp(ms, 0), (Write(b"cart", "orset", b"a", True),))
    history.spent(encode_delta(delta), seen, [], set_right=set_right)


def test_a_clock_that_was_set_right_stays_so_although_the_commit_after_it_is_lost() -> None:
    """The header that Redis still had was younger than the last commit that it had, and held the clock set right."""
    history = History()
    spend(history, 1, ms=9000)
    spend(history, 2, ms=100, set_right=True)
    history.resumed("n1", 1)
    spend(history, 2, ms=200)
    with pytest.raises(Violation, match="hybrid clocks only grow"):
        spend(history, 3, ms=150)


def test_a_clock_that_was_set_right_before_a_commit_that_is_still_there_only_grows_from_then_on() -> None:
    history = History()
    spend(history, 1, ms=9000)
    spend(history, 2, ms=100, set_right=True)
    spend(history, 3, ms=300)
    history.resumed("n1", 2)
    with pytest.raises(Violation, match="hybrid clocks only grow"):
        spend(history, 3, ms=50)
