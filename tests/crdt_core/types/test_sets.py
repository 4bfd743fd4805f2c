"""Sets: what concurrent adds and removes give, kind by kind."""

from __future__ import annotations

import pytest

from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE
from crdt_core.replica.replica import Replica
from crdt_core.types import GSET, ORSET, RWSET
from tests.crdt_core.histories import NOW
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.states import KEY, do, seen, view_of


def raced(type_) -> list[bytes]:
    """The members after A removes x, and B adds x anew, apart; both had seen it."""
    a, b = Replica("n1"), Replica("n2")
    do(a, type_, (b"x", True), (b"y", True))
    sync(a, b)
    do(a, type_, type_.take_out(seen(a, type_), b"x"))
    do(b, type_, (b"x", True))
    sync(a, b)
    assert a.value(KEY) == b.value(KEY)
    return list(a.value(KEY))


def test_where_adds_win_a_concurrent_add_survives_and_where_removes_win_it_does_not() -> None:
    assert raced(ORSET) == [b"x", b"y"]
    assert raced(RWSET) == [b"y"]


def test_a_remove_of_what_is_not_there_writes_only_where_removes_win() -> None:
    view = view_of(x={("n1", 1): True})
    assert ORSET.take_out(view, b"x") == (b"x", TOMBSTONE)
    assert ORSET.take_out(view, b"none") is None
    assert RWSET.take_out(view, b"x") == (b"x", WINNING_TOMBSTONE)
    assert RWSET.take_out(view, b"none") == (b"none", WINNING_TOMBSTONE)


def test_an_add_that_has_seen_a_winning_remove_replaces_it() -> None:
    n1 = Replica("n1")
    do(n1, RWSET, (b"x", WINNING_TOMBSTONE))
    assert RWSET.value(seen(n1, RWSET)) == []
    do(n1, RWSET, (b"x", True))
    assert RWSET.value(seen(n1, RWSET)) == [b"x"]


def test_members_are_sorted_bytes() -> None:
    view = view_of(b={("n1", 1): True}, a={("n1", 2): True}, c={("n1", 3): TOMBSTONE})
    assert GSET.value(view) == [b"a", b"b"]
    assert sorted(GSET.contents(view)) == [b"a", b"b"]
    assert list(ORSET.rewrite(view_of(), [b"b", b"a"], NOW)) == [(b"b", True), (b"a", True)]


@pytest.mark.parametrize("type_", [GSET, ORSET, RWSET])
def test_a_member_that_comes_or_goes_is_told(type_) -> None:
    removed = (2, type_.take_out(view_of(x={("n1", 1): True}), b"x")[1])
    assert type_.events(b"x", None, 1) == type_.events(b"x", removed, 3) == [b"sadd"]
    assert type_.events(b"x", 1, removed) == type_.events(b"x", 1, None) == [b"srem"]
    assert type_.events(b"x", 1, 2) == type_.events(b"x", removed, None) == []


def test_only_one_kind_never_shrinks_and_only_one_lets_removes_win() -> None:
    assert [type_.grow_only for type_ in (GSET, ORSET, RWSET)] == [True, False, False]
    assert [type_.removes_win for type_ in (GSET, ORSET, RWSET)] == [False, False, True]
    assert [type_.plain for type_ in (GSET, ORSET, RWSET)] == [False, True, True]
