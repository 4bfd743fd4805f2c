"""HGETALL and its like: each field once, however many parts it has, and alike in one go and by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import COMMANDS
from crdt_core.commands.session import Session
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.steps import finish
from tests.crdt_core.sites import START_MS

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site


def test_a_field_that_several_nodes_count_is_listed_once(fleet: Fleet) -> None:
    fleet.a("HSET h n 5 other x")
    fleet.sync()
    fleet.a("HINCRBY h n 2")
    fleet.b("HINCRBY h n 3")
    fleet.sync()
    assert fleet.all("HLEN h") == 2
    assert fleet.all("HKEYS h") == ["n", "other"]
    assert fleet.all("HVALS h") == ["10", "x"]
    assert fleet.all("HGETALL h") == {"n": "10", "other": "x"}


def test_a_hash_that_is_not_there_has_nothing(fleet: Fleet) -> None:
    assert fleet.all("HLEN h") == 0
    assert fleet.all("HGETALL h") == {}
    assert fleet.all("HRANDFIELD h") is None
    assert fleet.all("HRANDFIELD h 2") == []


@pytest.fixture
def site(site: Site) -> Site:
    """The lone site, with a hash of 100 fields."""
    site("HSET h " + " ".join(f"f{number} v" for number in range(100)))
    return site


@pytest.mark.parametrize(
    ("name", "args", "parts"),
    [
        (b"HLEN", [b"h"], 20),
        (b"HGETALL", [b"h"], 20),
        (b"HRANDFIELD", [b"h", b"1"], 20),
        (b"HRANDFIELD", [b"h", b"-1000"], 70),
        (b"HRANDFIELD", [b"nothing"], 0),
    ],
)
def test_a_command_knows_before_how_much_it_looks_at(site: Site, name: bytes, args: list[bytes], parts: int) -> None:
    sliced = COMMANDS[name].sliced
    assert sliced is not None
    assert sliced.parts(site.replica, args, START_MS) == parts


@pytest.mark.parametrize(("name", "args"), [(b"HLEN", [b"h"]), (b"HRANDFIELD", [b"h", b"-7"])])
def test_by_part_a_command_says_what_it_says_in_one_go(site: Site, name: bytes, args: list[bytes]) -> None:
    command = COMMANDS[name]
    assert command.sliced is not None
    replies = [
        run(Session.in_turn(site.replica, Stamp(1, 0), START_MS), args)
        for run in (command.run, lambda session, args: finish(command.sliced.steps(session, args)))
    ]
    assert replies[0] == replies[1]
