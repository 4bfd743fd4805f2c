"""What other faces ask as of a time of day: expired is expired, swept or not."""

from __future__ import annotations

import pytest

from crdt_core.commands.operations import (
    AddToSet,
    AdjustCounter,
    Delete,
    GetCounter,
    GetFlag,
    GetRegister,
    GetSet,
    Inspect,
    RemoveFromSet,
    SetFlag,
    SetRegister,
)
from crdt_core.commands.unexpired import At, ReadAt
from crdt_core.replica.committed_view import CommittedView
from tests.crdt_core.sites import START_MS, Site

MADE = {
    b"c": (AdjustCounter(b"c", 5), GetCounter(b"c"), (5, "pncounter"), (0, "")),
    b"s": (AddToSet(b"s", b"x"), GetSet(b"s"), ([b"x"], "orset"), ([], "")),
    b"f": (SetFlag(b"f", True), GetFlag(b"f"), True, False),
}


@pytest.fixture
def site() -> Site:
    """Everything in it expires in 100 ms."""
    made = Site("n1")
    for key, (operation, *_) in MADE.items():
        made.run(operation)
        made(f"PEXPIRE {key.decode()} 100")
    made.run(SetRegister(b"r", b"v", 7))
    made("PEXPIRE r 100")
    made.replica.take_changes()
    made.replica.catalogue.confirm()
    return made


@pytest.mark.parametrize("key", MADE)
def test_a_read_does_not_show_what_has_expired_and_is_not_swept(site: Site, key: bytes) -> None:
    _, read, there, gone = MADE[key]
    for state in (site.replica, CommittedView(site.replica.catalogue)):
        assert ReadAt(START_MS + 99, read).read(state) == there
        assert ReadAt(START_MS + 100, read).read(state) == gone
        assert ReadAt(START_MS + 100, Inspect(key)).read(state).type == ""


def test_a_register_that_has_expired_is_none(site: Site) -> None:
    assert ReadAt(START_MS + 99, GetRegister(b"r")).read(site.replica).values == [b"v"]
    assert ReadAt(START_MS + 100, GetRegister(b"r")).read(site.replica).values == []


def test_a_write_starts_anew_where_something_has_expired(site: Site) -> None:
    now_ms = START_MS + 100
    assert site.run(At(now_ms, AdjustCounter(b"c", 2))) == 2
    assert site.run(At(now_ms, AddToSet(b"s", b"y"))) is True
    assert site.run(At(now_ms, GetSet(b"s"))) == ([b"y"], "orset")
    assert site.run(At(now_ms, RemoveFromSet(b"s", b"x"))) is False
    assert site.run(At(now_ms, Delete(b"f"))) is False
    assert site.run(At(now_ms, SetRegister(b"r", b"old", 1))) is True
    site.wall_ms = now_ms
    assert [site(f"TTL {key}") for key in ("c", "s", "r")] == [-1, -1, -1]


def test_before_its_time_a_write_goes_on(site: Site) -> None:
    assert site.run(At(START_MS + 99, AdjustCounter(b"c", 2))) == 7
    assert site("PTTL c") == 100
