"""The sibling rule: a write replaces what it has seen and leaves what is concurrent. Joins and forgetting follow it."""

from __future__ import annotations

from itertools import zip_longest

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.replica_index import ReplicaIndex, covered
from crdt_core.lattice.siblings import (
    TOMBSTONE,
    WINNING_TOMBSTONE,
    ObservedReset,
    drop,
    fold,
    forget,
    has_tombstone,
    is_tombstone,
    join,
    lasting,
    shows,
    unfold,
    write,
)

INDEX = ReplicaIndex()
DOTS = st.builds(INDEX.pack, st.sampled_from(["n1", "n2", "n3"]), st.integers(1, 4))
PAYLOADS = st.sampled_from([True, "x", "y", TOMBSTONE, ObservedReset(5, 0)])
SIBLINGS = st.dictionaries(DOTS, PAYLOADS, max_size=4)
CLOCKS = st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), st.integers(1, 4)).map(INDEX.dense_clock)

A1, A2, B1, C1 = (INDEX.pack(name, counter) for name, counter in (("n1", 1), ("n1", 2), ("n2", 1), ("n3", 1)))


def seen(**clock: int) -> list[int]:
    """A dense clock."""
    return INDEX.dense_clock(clock)


def held(dots: dict, dense_clock: list[int]) -> dict:
    """Return those of `dots` that a replica at `dense_clock` can hold."""
    return {dot: payload for dot, payload in dots.items() if covered(dot, dense_clock)}


def upper(*clocks: list[int]) -> list[int]:
    """Return the pointwise maximum of dense clocks."""
    return [max(counters) for counters in zip_longest(*clocks, fillvalue=0)]


# Forms.


@given(SIBLINGS)
def test_siblings_are_kept_in_the_least_form_that_holds_them(siblings: dict) -> None:
    folded = fold(dict(siblings))
    assert unfold(folded) == siblings
    if len(siblings) == 1:
        assert type(folded) is (int if True in siblings.values() else tuple)
    assert (folded is None) == (not siblings)


# Writing.


@given(SIBLINGS, CLOCKS, PAYLOADS)
def test_a_write_replaces_what_it_has_seen_and_leaves_the_rest(
    siblings: dict, deps: list[int], payload: object
) -> None:
    dot = INDEX.pack("n1", 9)
    after = unfold(write(fold(dict(siblings)), deps, dot, payload))
    assert after == {**{d: p for d, p in siblings.items() if not covered(d, deps)}, dot: payload}
    assert unfold(write(fold(dict(siblings)), None, dot, payload)) == {dot: payload}


@given(SIBLINGS, CLOCKS)
def test_a_clear_removes_what_it_has_seen(siblings: dict, deps: list[int]) -> None:
    assert unfold(drop(fold(dict(siblings)), deps)) == {d: p for d, p in siblings.items() if not covered(d, deps)}


# Joining.


def test_a_join_keeps_what_both_hold_and_what_the_other_has_not_seen() -> None:
    mine, theirs = {A1: "both", B1: "mine"}, {A1: "both", C1: "theirs"}
    assert unfold(join(mine, seen(n1=1, n2=1), theirs, seen(n1=1, n3=1))) == {A1: "both", B1: "mine", C1: "theirs"}


def test_a_join_drops_what_the_other_has_seen_and_does_not_hold() -> None:
    assert join({A1: "removed there"}, seen(n1=1), {}, seen(n1=1, n2=1)) is None
    assert join(None, seen(n1=1, n2=1), {A1: "removed here"}, seen(n1=1)) is None


@given(SIBLINGS, CLOCKS, CLOCKS)
def test_a_join_is_commutative_and_idempotent(dots: dict, one: list[int], other: list[int]) -> None:
    """Two replicas at `one` and `other`, each holding any part of what it has seen."""
    mine, theirs = held(dots, one), held(dict(list(dots.items())[1:]), other)
    there = join(fold(dict(theirs)), other, mine, one)
    here = join(fold(dict(mine)), one, theirs, other)
    assert unfold(here) == unfold(there)
    assert unfold(join(here, upper(one, other), theirs, other)) == unfold(here)


@given(SIBLINGS, CLOCKS, CLOCKS, CLOCKS)
def test_a_join_is_associative(dots: dict, one: list[int], two: list[int], three: list[int]) -> None:
    """Three replicas, each of which has removed another third of what it has seen."""
    held_by = [held(dict(list(dots.items())[at::3]), clock) for at, clock in enumerate((one, two, three))]
    a, b, c = (fold(dict(parts)) for parts in held_by)
    left = join(join(a, one, held_by[1], two), upper(one, two), held_by[2], three)
    right = join(a, one, unfold(join(b, two, unfold(c), three)), upper(two, three))
    assert unfold(left) == unfold(right)


# What shows, lasts, and may be forgotten.


@given(SIBLINGS)
def test_a_part_shows_if_one_of_its_siblings_is_no_removal(siblings: dict) -> None:
    assert shows(fold(dict(siblings))) == any(not is_tombstone(payload) for payload in siblings.values())
    assert has_tombstone(fold(dict(siblings))) == any(is_tombstone(payload) for payload in siblings.values())


def test_a_winning_tombstone_hides_what_is_concurrent_to_it() -> None:
    both = {A1: WINNING_TOMBSTONE, B1: True}
    assert not shows(dict(both))
    assert lasting(dict(both)) == {}
    assert has_tombstone(dict(both))
    assert unfold(write(dict(both), seen(n1=1), C1, True)) == {B1: True, C1: True}, (
        "a write that has seen it replaces it"
    )


def test_a_winning_tombstone_is_forgotten_together_with_what_it_hides() -> None:
    """Otherwise what it hid would show again."""
    both = {A1: WINNING_TOMBSTONE, B1: True}
    assert unfold(forget(dict(both), seen(n1=1))) == both
    assert forget(dict(both), seen(n1=1, n2=1)) is None


def test_plain_tombstones_do_not_last_and_observed_resets_last_beside_a_share() -> None:
    assert lasting(fold({A1: TOMBSTONE})) == {}
    assert lasting({A1: TOMBSTONE, B1: "live"}) == {B1: "live"}
    assert lasting(fold({A1: ObservedReset(5, 0)})) == {}
    assert lasting({A1: ObservedReset(5, 0), B1: "share"}) == {A1: ObservedReset(5, 0), B1: "share"}


@given(SIBLINGS, CLOCKS)
def test_forgetting_leaves_what_lasts_and_what_is_not_stable(siblings: dict, stable: list[int]) -> None:
    left = unfold(forget(fold(dict(siblings)), stable))
    assert left.items() <= siblings.items()
    assert lasting(fold(dict(left))) == lasting(fold(dict(siblings)))
    assert all(dot in left for dot in siblings if not covered(dot, stable))


def test_observed_resets_are_forgotten_together_or_not_at_all() -> None:
    """A share that starts anew must not meet a reset from its former life."""
    both = {A1: ObservedReset(5, 0), B1: ObservedReset(6, 0)}
    assert unfold(forget(dict(both), seen(n1=1))) == both
    assert forget(dict(both), seen(n1=1, n2=1)) is None
    beside_a_share = {A1: ObservedReset(5, 0), A2: "share"}
    assert unfold(forget(dict(beside_a_share), seen(n1=2))) == beside_a_share
