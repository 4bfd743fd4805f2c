"""HSET and its like: each field is a string of its own, which counts as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet


def test_a_field_that_is_set_concurrently_survives_its_delete(fleet: Fleet) -> None:
    fleet.a("HSET h f v1")
    fleet.sync()
    fleet.a("HDEL h f")
    fleet.b("HSET h f v2")
    fleet.sync()
    assert fleet.all("HGETALL h") == {"f": "v2"}


def test_fields_are_strings_of_their_own(fleet: Fleet) -> None:
    fleet.b.wall_ms += 1
    fleet.a("HSET h f 1 only-a x")
    fleet.b("HSET h f 2 only-b y")
    fleet.sync()
    assert fleet.all("HGETALL h") == {"f": "2", "only-a": "x", "only-b": "y"}


def test_increments_of_a_field_add(fleet: Fleet) -> None:
    fleet.a("HSET h n 5")
    fleet.sync()
    fleet.a("HINCRBY h n 2")
    fleet.b("HINCRBY h n 3")
    fleet.sync()
    assert fleet.all("HGET h n") == "10"
    assert fleet.all("HLEN h") == 1


@pytest.mark.parametrize("delete", ["HDEL h n", "DEL h"])
def test_a_delete_of_a_field_takes_what_it_saw_of_a_count(fleet: Fleet, delete: str) -> None:
    fleet.b("HINCRBY h n 5")
    fleet.sync()
    fleet.a(delete)
    fleet.b("HINCRBY h n 2")
    fleet.sync()
    assert fleet.all("HGET h n") == "2"
    assert fleet.b("HINCRBY h n 1") == 3


def test_a_second_delete_does_not_forget_what_was_spent_of_a_count(fleet: Fleet) -> None:
    """It cleared the evidence: so the count started anew, and met what B says of its former life."""
    fleet.a("HINCRBY h n 1")
    fleet.sync()
    fleet.b("DEL h")
    fleet.a("DEL h")
    fleet.a("HSET h other v")
    fleet.a("DEL h")
    fleet.a("HINCRBY h n 1")
    fleet.sync()
    assert fleet.all("HGETALL h") == {"n": "1"}


def test_hset_replaces_what_it_saw_of_a_count(fleet: Fleet) -> None:
    fleet.b("HINCRBY h n 5")
    fleet.sync()
    fleet.a("HSET h n 100")
    fleet.b("HINCRBY h n 1")
    fleet.sync()
    assert fleet.all("HGET h n") == "101"
