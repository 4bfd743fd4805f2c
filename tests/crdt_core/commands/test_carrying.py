"""A write in place carries the deadline that it saw: no client that saw one leaves a key for ever."""

from __future__ import annotations

import pytest

from crdt_core.commands.expiry import DeleteExpired
from tests.crdt_core.sites import Fleet

WRITES = {
    "INCR k": ("INCR k",),
    "INCRBYFLOAT k .5": ("INCRBYFLOAT k .5",),
    "INCR k, that was set": ("SET k 5", "INCR k"),
    "APPEND k w": ("SET k v", "APPEND k w"),
    "SETRANGE k 1 w": ("SET k v", "SETRANGE k 1 w"),
    "SETBIT k 1 1": ("SETBIT k 1 0", "SETBIT k 1 1"),
    "BITFIELD k INCRBY u8 0 1": ("BITFIELD k INCRBY u8 0 1",),
    "SET k w KEEPTTL": ("SET k v", "SET k w KEEPTTL"),
    "SADD k b": ("SADD k a", "SADD k b"),
    "SADD k a, again": ("SADD k a",),
    "HSET k f w": ("HSET k f v", "HSET k f w"),
    "HINCRBY k f 1": ("HINCRBY k f 1",),
    "HINCRBYFLOAT k f .5": ("HINCRBYFLOAT k f .5",),
    "PFADD k b": ("PFADD k a", "PFADD k b"),
    "SMOVE other k b": ("SADD k a", "SADD other b", "SMOVE other k b"),
    "DELTAIC.COUNTER.ADD k 1": ("DELTAIC.COUNTER.ADD k 1",),
    "DELTAIC.SET.ADD k b": ("DELTAIC.SET.ADD k a", "DELTAIC.SET.ADD k b"),
    "DELTAIC.MVSET k w": ("DELTAIC.MVSET k 5", "INCR k"),
    "DELTAIC.RWSADD k b": ("DELTAIC.RWSADD k a", "DELTAIC.RWSADD k b"),
}


@pytest.fixture(params=["deltas", "patches"])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    return Fleet(request.param, (0, 1, 2))


every_write = pytest.mark.parametrize("lines", WRITES.values(), ids=WRITES)


def made(fleet: Fleet, lines: tuple[str, ...]) -> str:
    """Makes `k`, which lives for 900 s, at all sites, and returns the write in place."""
    for line in lines[:-1] or lines:
        fleet.c(line)
    fleet.c("EXPIRE k 900")
    fleet.sync()
    return lines[-1]


@every_write
def test_a_write_in_place_survives_a_delete_with_what_is_left_of_its_time(fleet: Fleet, lines: tuple[str, ...]) -> None:
    """It survived for ever."""
    line = made(fleet, lines)
    fleet.a("DEL k")
    fleet.b(line)
    fleet.sync()
    assert (fleet.all("EXISTS k"), fleet.all("TTL k")) == (1, 900)
    fleet.at(900_000)
    assert fleet.all("EXISTS k") == 0


@every_write
def test_what_is_only_carried_gives_way_to_an_expiry(fleet: Fleet, lines: tuple[str, ...]) -> None:
    line = made(fleet, lines)
    fleet.a("EXPIRE k 10")
    fleet.b(line)
    fleet.sync()
    assert fleet.all("TTL k") == 10


@every_write
def test_what_is_only_carried_gives_way_to_a_persist(fleet: Fleet, lines: tuple[str, ...]) -> None:
    line = made(fleet, lines)
    fleet.a("PERSIST k")
    fleet.b(line)
    fleet.sync()
    assert fleet.all("TTL k") == -1


@every_write
def test_a_write_in_place_survives_an_expiry_elsewhere(fleet: Fleet, lines: tuple[str, ...]) -> None:
    line = made(fleet, lines)
    fleet.a("EXPIRE k 1")
    fleet.b(line)
    fleet.a.wall_ms += 1000
    assert fleet.a.run(DeleteExpired(fleet.a.wall_ms, 100)) == 1
    fleet.sync()
    assert (fleet.c("EXISTS k"), fleet.c("TTL k")) == (1, 900)


@every_write
def test_a_write_in_place_changes_no_deadline(fleet: Fleet, lines: tuple[str, ...]) -> None:
    line = made(fleet, lines)
    for site in (fleet.a, fleet.b, fleet.a):
        site(line)
        assert site("TTL k") == 900
        fleet.sync()
        assert fleet.all("TTL k") == 900


@pytest.mark.parametrize("line", ["INCR k", "APPEND k 1"])
def test_carrying_takes_nothing_from_the_expiry_that_it_carries(fleet: Fleet, line: str) -> None:
    """Of concurrent expiries the longer still wins, though a write has carried it on."""
    fleet.a("SET k 5")
    fleet.sync()
    fleet.a("EXPIRE k 900")
    fleet.a(line)
    fleet.b("EXPIRE k 10")
    fleet.sync()
    assert fleet.all("TTL k") == 900


def test_a_set_still_clears_the_time_to_live_that_another_carries(fleet: Fleet) -> None:
    fleet.a("SET k 5 EX 900")
    fleet.sync()
    fleet.a("SET k 100")
    fleet.b("INCR k")
    fleet.sync()
    assert (fleet.all("GET k"), fleet.all("TTL k")) == ("101", -1)


def test_a_later_write_carries_no_deadline_that_did_not_count(fleet: Fleet) -> None:
    """Deadlines of former values lie beside the one that counts. An APPEND once more does not wake them."""
    fleet.a("SET k v")
    fleet.sync()
    fleet.a("SET k w EX 100")
    fleet.b("EXPIRE k 1000")
    fleet.sync()
    assert fleet.all("TTL k") == 100
    fleet.c("APPEND k x")
    fleet.sync()
    assert (fleet.all("GET k"), fleet.all("TTL k")) == ("wx", 100)


def test_what_carries_nothing_writes_nothing_more(fleet: Fleet) -> None:
    """Reads, removals, keys without a deadline, and keys that are only read."""
    fleet.a("SADD s a b")
    fleet.a("SADD t a")
    fleet.a("EXPIRE s 900")
    before = len(fleet.a.log)
    for line in ("SREM s a", "SMEMBERS s", "SADD t b", "SUNIONSTORE u s t", "INCR n"):
        fleet.a(line)
    assert not any(b'"expiry"' in delta for delta in fleet.a.log[before:])
    fleet.a("INCR n", "EXPIRE n 900", "INCR n")
    assert fleet.a.log[-1].count(b'"expiry"') == 1
    fleet.a("INCR n", "INCR n")
    assert fleet.a.log[-1].count(b'"expiry"') == 1


def test_in_one_transaction_an_add_carries_after_a_remove(fleet: Fleet) -> None:
    fleet.a("SADD s a b")
    fleet.a("EXPIRE s 900")
    fleet.sync()
    fleet.a("DEL s")
    fleet.b("SREM s a", "SADD s a")
    fleet.sync()
    assert (fleet.all("SMEMBERS s"), fleet.all("TTL s")) == ({"a"}, 900)


def test_what_writes_nothing_looks_at_nothing(fleet: Fleet) -> None:
    """A lock that is taken is asked for again and again, in one commit with much else."""
    fleet.a("SET lock v EX 900")
    assert fleet.a("SADD s a b c", "SET lock w NX", "SETNX lock w", "INCR n") == [3, None, 0, 1]
    assert b'"expiry"' not in fleet.a.log[-1]


def test_what_a_member_of_0_1_0_cannot_read_is_not_carried(fleet: Fleet) -> None:
    fleet.a("SET k v EX 900")
    fleet.a("SADD s a")
    fleet.a("EXPIRE s 900")
    fleet.a.replica.cautious = True
    fleet.a("APPEND k w")
    fleet.a("SADD s b")
    fleet.sync()
    assert (fleet.all("TTL k"), fleet.all("TTL s")) == (900, 900)
    assert not any(b'"carried"' in delta for delta in fleet.a.log)
