"""SADD and its like: an add wins over a concurrent remove, and a remove takes away what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet


def test_add_wins_over_a_concurrent_remove(fleet: Fleet) -> None:
    fleet.a("SADD s a")
    fleet.sync()
    fleet.a("SREM s a")
    assert fleet.b("SADD s a") == 0
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"a"}


def test_a_remove_of_what_was_not_seen_removes_nothing(fleet: Fleet) -> None:
    fleet.a("SADD s a")
    assert fleet.b("SREM s a") == 0
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"a"}


def test_a_delete_of_a_set_removes_what_it_saw(fleet: Fleet) -> None:
    fleet.a("SADD s e1")
    fleet.sync()
    fleet.a("DEL s")
    fleet.b("SADD s e2")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"e2"}


def test_pops_remove_only_what_they_saw(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.sync()
    assert fleet.a("SPOP s") == "x"
    fleet.b("SADD s x y")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"x", "y"}


def test_a_move_and_a_concurrent_add_leave_both(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.sync()
    fleet.a("SMOVE s t x")
    fleet.b("SADD s x")
    fleet.sync()
    assert (fleet.all("SMEMBERS s"), fleet.all("SMEMBERS t")) == ({"x"}, {"x"})
