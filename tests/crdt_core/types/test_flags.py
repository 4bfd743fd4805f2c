"""Flags: what a concurrent enable and disable give."""

from __future__ import annotations

import pytest

from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE
from crdt_core.replica.replica import Replica
from crdt_core.types import DWFLAG, EWFLAG, SLOT
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.states import do, seen, view_of


@pytest.mark.parametrize(("type_", "enabled"), [(EWFLAG, True), (DWFLAG, False)])
def test_of_a_concurrent_enable_and_disable_one_wins(type_, enabled: bool) -> None:
    a, b = Replica("n1"), Replica("n2")
    do(a, type_, (SLOT, True))
    sync(a, b)
    do(a, type_, type_.take_out(seen(a, type_), SLOT))
    do(b, type_, (SLOT, True))
    sync(a, b)
    assert type_.value(seen(a, type_)) is type_.value(seen(b, type_)) is enabled


@pytest.mark.parametrize("type_", [EWFLAG, DWFLAG])
def test_an_enable_that_has_seen_a_disable_enables(type_) -> None:
    n1 = Replica("n1")
    do(n1, type_, (SLOT, True))
    do(n1, type_, type_.take_out(seen(n1, type_), SLOT))
    assert type_.value(seen(n1, type_)) is False
    do(n1, type_, (SLOT, True))
    assert type_.value(seen(n1, type_)) is True


def test_a_disable_of_what_is_not_enabled_writes_only_where_disabling_wins() -> None:
    assert EWFLAG.take_out(view_of(), SLOT) is None
    assert DWFLAG.take_out(view_of(), SLOT) == (SLOT, WINNING_TOMBSTONE)
    assert EWFLAG.take_out(view_of(slot={("n1", 1): True}), SLOT) == (SLOT, TOMBSTONE)


@pytest.mark.parametrize("type_", [EWFLAG, DWFLAG])
def test_redis_has_no_flags_so_they_are_not_copied_and_a_change_is_a_write(type_) -> None:
    view = view_of(slot={("n1", 1): True})
    assert type_.redis_type == type_.name
    assert type_.contents(view) is None
    assert type_.events(SLOT, None, 1) == [b"write"]
