"""How many parts a command would change beyond those that it names, and the same command run part by part."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from crdt_core.commands import COMMANDS
from crdt_core.commands.policies import CommandOptions
from crdt_core.commands.session import Session
from crdt_core.commands.slicing import fit_by_step, parts_changed, run_by_part
from crdt_core.errors import TooLarge
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.steps import LOOKS_PER_STEP, finish
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


@pytest.mark.parametrize(
    "line",
    [
        "SMEMBERS many",
        "SUNION many set",
        "SINTER many many",
        "SDIFF many set",
        "HKEYS hash",
        "HVALS hash",
        "HGETALL hash",
    ],
)
def test_a_read_by_part_gives_what_a_read_in_one_go_gives(site: Site, line: str) -> None:
    site("SADD many " + " ".join(f"m{number}" for number in range(200)))
    site("HSET hash " + " ".join(f"f{number} {number}" for number in range(200)))
    site("HINCRBY hash f7 5")
    name, *args = line.encode().split()
    row, session = COMMANDS[name], Session(site.replica, START_MS, 0)
    assert row.sliced is not None
    assert row.sliced.parts(site.replica, args, START_MS) >= 200 // LOOKS_PER_STEP
    assert sum(1 for _ in row.sliced.steps(session, args)) >= 200 // LOOKS_PER_STEP
    sliced, whole = finish(row.sliced.steps(session, args)), row.run(session, args)
    assert type(sliced) is type(whole)
    items = [sorted(reply if isinstance(reply, list) else reply.items) for reply in (sliced, whole)]
    assert items[0] == items[1]


def test_a_reply_that_does_not_fit_is_refused_by_part_too(site: Site) -> None:
    session = Session(site.replica, START_MS, 0, CommandOptions(value_bytes_max=10, reply_bytes_max=100))
    for count, fits in ((10, True), (11, False)):
        with nullcontext() if fits else pytest.raises(TooLarge):
            finish(fit_by_step(session, [b"x" * 10] * count))
