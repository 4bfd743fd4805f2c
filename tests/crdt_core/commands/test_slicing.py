"""How many parts a command would change beyond those that it names, and the same command run part by part."""

from __future__ import annotations

import pytest

from crdt_core.commands import COMMANDS
from crdt_core.commands.session import Session
from crdt_core.commands.slicing import parts_changed, run_by_part
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.steps import finish
from tests.crdt_core.sites import START_MS, Site

LATER_MS = START_MS + 10_000


@pytest.fixture
def site() -> Site:
    """A set of nine members, one that has expired by `LATER_MS`, and one that is left."""
    site = Site("n1")
    for key in ("set", "brief", "lasting"):
        site(f"SADD {key} 1 2 3 4 5 6 7 8 9")
    site("PEXPIRE brief 5000")
    site("PEXPIRE lasting 50000")
    return site


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("DEL set", 9),
        ("SADD set 10", 0),
        ("SADD brief 10", 10),
        ("SADD lasting 10", 0),
        ("SMOVE set brief 1", 10),
        ("SADD set brief", 0),
        ("SMEMBERS brief", 0),
        ("SADD", 0),
    ],
)
def test_what_a_command_would_change_is_known_before(site: Site, line: str, parts: int) -> None:
    name, *args = line.encode().split()
    assert parts_changed(site.replica, COMMANDS[name], args, LATER_MS) == parts


def test_what_has_expired_is_deleted_and_counted_once(site: Site) -> None:
    session = Session.in_turn(site.replica, Stamp(1, 0), LATER_MS)
    steps = run_by_part(session, COMMANDS[b"DEL"], [b"brief", b"brief"])
    assert sum(1 for _ in steps) > 9
    assert finish(run_by_part(session, COMMANDS[b"SADD"], [b"brief", b"x"])) == 1
    assert site.replica.expired_keys == 1
    assert site.replica.value(b"brief") == [b"x"]
