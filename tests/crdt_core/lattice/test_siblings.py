"""The sibling rule: a write replaces what it has seen and leaves what is concurrent; joins and forgetting follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, VersionVector
from crdt_core.lattice.replica_index import ReplicaIndex, covered
from crdt_core.lattice.siblings import (
    TOMBSTONE,
    ObservedReset,
    drop,
    fold,
    forget,
    is_tombstone,
    join,
    lasting,
    shows,
    unfold,
    write,
)

ROSTER = ReplicaIndex()
DOTS = st.builds(ROSTER.pack, st.sampled_from(["n1", "n2", "n3"]), st.integers(1, 4))
PAYLOADS = st.sampled_from([True, "x", "y", TOMBSTONE, ObservedReset(5, 0)])
SIBLINGS = st.dictionaries(DOTS, PAYLOADS, max_size=4)
HORIZONS = st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), st.integers(1, 4)).map(ROSTER.dense_clock)

A1, A2, B1, C1 = (ROSTER.pack(name, counter) for name, counter in (("n1", 1), ("n1", 2), ("n2", 1), ("n3", 1)))


def seen(**clock: int) -> list[int]:
    """A horizon."""
    return ROSTER.dense_clock(clock)


def held(dots: dict, dense_clock: list[int]) -> dict:
    """What of `dots` a replica at `dense_clock` can hold."""
    return {dot: payload for dot, payload in dots.items() if covered(dot, dense_clock)}


# Dots and forms.


@given(st.sampled_from(["n1", "n2", "n9"]), st.integers(1, 2**50))
def test_a_packed_dot_unpacks_to_itself(replica: str, counter: int) -> None:
    replica_index = ReplicaIndex()
    replica_index.index("n0")
    assert replica_index.unpack(replica_index.pack(replica, counter)) == Dot(replica, counter)


@given(st.dictionaries(st.sampled_from(["n1", "n2", "n9"]), st.integers(1, 9)), st.integers(1, 9))
def test_a_horizon_covers_what_its_clock_covers(clock: dict[str, int], counter: int) -> None:
    replica_index = ReplicaIndex()
    dense_clock = replica_index.dense_clock(clock)
    for replica in ("n1", "n2", "n9", "n10"):
        dot = replica_index.pack(replica, counter)
        assert covered(dot, dense_clock) == VersionVector(clock).covers(Dot(replica, counter))


def test_a_roster_that_is_full_refuses_whoever_comes_next() -> None:
    """By an error that sets the message aside, not by one that stops the worker each time it reads it."""
    replica_index = ReplicaIndex()
    for number in range(4096):
        assert replica_index.index(f"n{number}") == number
    with pytest.raises(Malformed):
        replica_index.pack("n4096", 1)
    assert replica_index.index("n4095") == 4095


@given(SIBLINGS)
def test_siblings_are_kept_in_the_least_form_that_holds_them(siblings: dict) -> None:
    folded = fold(dict(siblings))
    assert unfold(folded) == siblings
    if len(siblings) == 1:
        assert type(folded) is (int if True in siblings.values() else tuple)
    assert (folded is None) == (not siblings)


# Writing.


@given(SIBLINGS, HORIZONS, PAYLOADS)
def test_a_write_replaces_what_it_has_seen_and_leaves_the_rest(
    siblings: dict, deps: list[int], payload: object
) -> None:
    dot = ROSTER.pack("n1", 9)
    after = unfold(write(fold(dict(siblings)), deps, dot, payload))
    assert after == {**{d: p for d, p in siblings.items() if not covered(d, deps)}, dot: payload}
    assert unfold(write(fold(dict(siblings)), None, dot, payload)) == {dot: payload}


@given(SIBLINGS, HORIZONS)
def test_a_clear_removes_what_it_has_seen(siblings: dict, deps: list[int]) -> None:
    assert unfold(drop(fold(dict(siblings)), deps)) == {d: p for d, p in siblings.items() if not covered(d, deps)}


# Joining.


def test_a_join_keeps_what_both_hold_and_what_the_other_has_not_seen() -> None:
    mine, theirs = {A1: "both", B1: "mine"}, {A1: "both", C1: "theirs"}
    assert unfold(join(mine, seen(n1=1, n2=1), theirs, seen(n1=1, n3=1))) == {A1: "both", B1: "mine", C1: "theirs"}


def test_a_join_drops_what_the_other_has_seen_and_does_not_hold() -> None:
    assert join({A1: "removed there"}, seen(n1=1), {}, seen(n1=1, n2=1)) is None
    assert join(None, seen(n1=1, n2=1), {A1: "removed here"}, seen(n1=1)) is None


@given(SIBLINGS, HORIZONS, HORIZONS)
def test_a_join_is_commutative_and_idempotent(dots: dict, one: list[int], other: list[int]) -> None:
    """Two replicas at `one` and `other`, each holding any part of what it has seen."""
    mine, theirs = held(dots, one), held(dict(list(dots.items())[1:]), other)
    there = join(fold(dict(theirs)), other, mine, one)
    here = join(fold(dict(mine)), one, theirs, other)
    assert unfold(here) == unfold(there)
    upper = [
        max(pair)
        for pair in zip(*(dense_clock + [0] * (3 - len(dense_clock)) for dense_clock in (one, other)), strict=True)
    ]
    assert unfold(join(here, upper, theirs, other)) == unfold(here)


# What shows, lasts, and may be forgotten.


@given(SIBLINGS)
def test_a_part_shows_if_one_of_its_siblings_is_no_removal(siblings: dict) -> None:
    assert shows(fold(dict(siblings))) == any(not is_tombstone(payload) for payload in siblings.values())


def test_plain_removals_do_not_last_and_spent_totals_last_beside_a_share() -> None:
    assert lasting(fold({A1: TOMBSTONE})) == {}
    assert lasting({A1: TOMBSTONE, B1: "live"}) == {B1: "live"}
    assert lasting(fold({A1: ObservedReset(5, 0)})) == {}
    assert lasting({A1: ObservedReset(5, 0), B1: "share"}) == {A1: ObservedReset(5, 0), B1: "share"}


@given(SIBLINGS, HORIZONS)
def test_forgetting_leaves_what_lasts_and_what_is_not_stable(siblings: dict, stable: list[int]) -> None:
    left = unfold(forget(fold(dict(siblings)), stable))
    assert left.items() <= siblings.items()
    assert lasting(fold(dict(left))) == lasting(fold(dict(siblings)))
    assert all(dot in left for dot in siblings if not covered(dot, stable))


def test_spent_totals_are_forgotten_together_or_not_at_all() -> None:
    """A share that starts anew must not meet evidence about its former life."""
    both = {A1: ObservedReset(5, 0), B1: ObservedReset(6, 0)}
    assert unfold(forget(dict(both), seen(n1=1))) == both
    assert forget(dict(both), seen(n1=1, n2=1)) is None
    beside_a_share = {A1: ObservedReset(5, 0), A2: "share"}
    assert unfold(forget(dict(beside_a_share), seen(n1=2))) == beside_a_share
