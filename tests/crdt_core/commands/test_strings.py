"""Strings that are written whole: what concurrent writes give, and replies of a lone site."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet


def test_lww_the_larger_hybrid_time_wins(fleet: Fleet) -> None:
    fleet.b.wall_ms += 1
    fleet.a("SET k x")
    fleet.b("SET k y")
    fleet.sync()
    assert fleet.all("GET k") == "y"


def test_lww_at_the_same_time_the_higher_replica_id_wins(fleet: Fleet) -> None:
    fleet.b("SET k y")
    fleet.a("SET k x")
    fleet.sync()
    assert fleet.all("GET k") == "y"


def test_a_write_that_has_seen_another_wins_whatever_the_clocks_say(fleet: Fleet) -> None:
    fleet.b.wall_ms += 3_600_000
    fleet.b("SET k early")
    fleet.sync()
    fleet.a("SET k late")
    fleet.sync()
    assert fleet.all("GET k") == "late"


def test_whole_values_append_does_not_merge(fleet: Fleet) -> None:
    fleet.a("SET k v")
    fleet.sync()
    fleet.b.wall_ms += 1
    fleet.a("APPEND k 1")
    fleet.b("APPEND k 2")
    fleet.sync()
    assert fleet.all("GET k") == "v2"


def test_a_delete_removes_what_it_saw_and_a_concurrent_set_stays(fleet: Fleet) -> None:
    fleet.a("SET k old")
    fleet.sync()
    fleet.a.wall_ms += 1000
    fleet.a("DEL k")
    fleet.b("SET k v")
    fleet.sync()
    assert fleet.all("GET k") == "v"


def test_getdel_and_a_concurrent_set_leave_the_set(fleet: Fleet) -> None:
    fleet.a("SET k old")
    fleet.sync()
    assert fleet.a("GETDEL k") == "old"
    fleet.b("SET k v")
    fleet.sync()
    assert fleet.all("GET k") == "v"
