"""EXPIRE and its like, and the sweep that deletes what has expired."""

from __future__ import annotations

import pytest

from crdt_core.commands import COMMANDS
from crdt_core.commands.expiry import DeleteExpired
from crdt_core.commands.slicing import parts_changed
from crdt_core.replica.replica import Replica
from tests.crdt_core.sites import START_MS, Fleet, Site


def test_of_concurrent_expiries_the_longer_wins(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.a("SET k v")
    fleet.sync()
    for key in ("s", "k"):
        fleet.a(f"EXPIRE {key} 10")
        fleet.b(f"EXPIRE {key} 100")
    fleet.sync()
    assert fleet.all("TTL s") == 100
    assert fleet.all("TTL k") == 100


def test_persist_counts_as_infinite(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.a("EXPIRE s 10")
    fleet.sync()
    fleet.a("PERSIST s")
    fleet.b("EXPIRE s 100")
    fleet.sync()
    assert fleet.all("TTL s") == -1


def test_a_later_expiry_replaces_the_one_it_saw_also_when_it_is_shorter(fleet: Fleet) -> None:
    fleet.a("SET k v EX 100")
    fleet.sync()
    fleet.b("EXPIRE k 5")
    fleet.sync()
    assert fleet.all("TTL k") == 5


def test_expiry_hides_the_key_at_every_replica_at_its_time(fleet: Fleet) -> None:
    fleet.a("SET k v EX 5")
    fleet.a("SADD s x")
    fleet.a("EXPIRE s 5")
    fleet.sync()
    fleet.at(4_999)
    assert (fleet.all("GET k"), fleet.all("EXISTS k s")) == ("v", 2)
    fleet.at(5_000)
    assert (fleet.all("GET k"), fleet.all("EXISTS k s"), fleet.all("KEYS *")) == (None, 0, [])
    assert fleet.all("DBSIZE") == 2, "as in Redis, until they are removed"


def test_a_write_that_saw_no_time_to_live_survives_the_removal_without_one(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.sync()
    fleet.a("EXPIRE s 5")
    fleet.b("SADD s y")
    fleet.at(5_000)
    assert fleet.a.run(DeleteExpired(fleet.a.wall_ms, 100)) == 1
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"y"}
    assert fleet.all("TTL s") == -1


def test_a_write_to_what_has_expired_starts_anew(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.a("EXPIRE s 5")
    fleet.a("SET c 10 EX 5")
    fleet.sync()
    fleet.at(5_000)
    fleet.b("SADD s y")
    assert fleet.b("INCR c") == 1
    fleet.sync()
    assert (fleet.all("SMEMBERS s"), fleet.all("TTL s")) == ({"y"}, -1)
    assert (fleet.all("GET c"), fleet.all("TTL c")) == ("1", -1)


def test_a_set_clears_the_time_to_live_also_a_concurrent_one(fleet: Fleet) -> None:
    fleet.a("SET k old")
    fleet.sync()
    fleet.a("SET k v")
    fleet.b("EXPIRE k 5")
    fleet.sync()
    assert (fleet.all("GET k"), fleet.all("TTL k")) == ("v", -1)


def test_each_set_brings_its_own_time_to_live(fleet: Fleet) -> None:
    fleet.b.wall_ms += 1
    fleet.a("SET k a EX 100")
    fleet.b("SET k b EX 10")
    fleet.sync()
    fleet.at(1)
    assert (fleet.all("GET k"), fleet.all("TTL k")) == ("b", 10)


def test_increments_keep_the_time_to_live(fleet: Fleet) -> None:
    fleet.a("SET c 1 EX 100")
    fleet.sync()
    fleet.a("INCR c")
    fleet.b("EXPIRE c 50")
    fleet.sync()
    assert (fleet.all("GET c"), fleet.all("TTL c")) == ("2", 50)


def test_what_is_rewritten_keeps_its_time_to_live(fleet: Fleet) -> None:
    fleet.a("SET k v EX 100")
    fleet.sync()
    fleet.b("APPEND k w")
    fleet.sync()
    assert (fleet.all("GET k"), fleet.all("TTL k")) == ("vw", 100)
    fleet.c("SET k x KEEPTTL")
    fleet.sync()
    assert (fleet.all("GET k"), fleet.all("TTL k")) == ("x", 100)


def test_an_expiry_of_what_was_deleted_concurrently_does_not_outlive_it(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.sync()
    fleet.a("DEL s")
    fleet.b("EXPIRE s 100")
    fleet.sync()
    assert fleet.all("EXISTS s") == 0
    fleet.c("SADD s y")
    fleet.sync()
    assert (fleet.all("SMEMBERS s"), fleet.all("TTL s")) == ({"y"}, -1)


def test_the_sweep_leaves_nothing_behind(fleet: Fleet) -> None:
    fleet.a("SET k v EX 5")
    fleet.a("SADD s x")
    fleet.a("EXPIRE s 5")
    fleet.a("SADD gone x")
    fleet.sync()
    fleet.a("DEL gone")
    fleet.b("EXPIRE gone 50")
    fleet.c("SET k w")
    fleet.sync()
    fleet.at(5_000)
    assert [site.run(DeleteExpired(site.wall_ms, 1)) for site in fleet.sites for _ in range(3)].count(1) == 3
    fleet.sync()
    for site in fleet.sites:
        site.replica.stabilise(site.replica.clock, 1000)
        site.replica.take_changes()
        assert list(site.replica.catalogue.heads) == [b"k"]
        assert not site.replica.catalogue.expiring
        assert not site.replica.catalogue.heads[b"k"].type_conflicts


KEYS = [f"k{n}" for n in range(30)]


def members(lines: tuple[str, ...]) -> Fleet:
    """Three sites that know each other as members; each key expires after 5 s."""
    fleet = Fleet("deltas", (0, 1, 2))
    for site in fleet.sites:
        site.replica = Replica(site.replica.id, founders=("n1", "n2", "n3"))
    for key in KEYS:
        for line in lines:
            fleet.a(line.format(key))
    fleet.sync()
    return fleet


@pytest.mark.parametrize("lines", [("SET {} v PX 5000",), ("SADD {} x", "PEXPIRE {} 5000")], ids=["string", "set"])
def test_one_expiry_is_one_delta_in_the_fleet(lines: tuple[str, ...]) -> None:
    """Every node swept every key: three deltas for one expiry."""
    fleet = members(lines)
    fleet.at(5_000)
    assert fleet.all(f"EXISTS {' '.join(KEYS)}") == 0, "hidden everywhere at its time, swept or not"
    swept = [site.run(DeleteExpired(site.wall_ms, 100)) for site in fleet.sites]
    assert sum(swept) == len(KEYS)
    assert 0 not in swept, "the nodes share the work"
    fleet.sync()
    assert [site.run(DeleteExpired(site.wall_ms + 60_000, 100)) for site in fleet.sites] == [0, 0, 0]


def test_what_its_owner_does_not_sweep_the_others_do_one_after_the_other() -> None:
    """Two of three are away. The third hides what has expired at once, and has freed it a few seconds later."""
    fleet = members(("SET {} v PX 5000",))
    swept = 0
    for ms in range(5_000, 10_000, 500):
        fleet.at(ms)
        swept += fleet.b.run(DeleteExpired(fleet.b.wall_ms, 100))
    assert swept == len(KEYS)
    assert not any(fleet.b.replica.showing(key.encode()) for key in KEYS)


def test_a_deadline_whose_key_is_gone_is_deleted_once() -> None:
    fleet = members(("SADD {} x",))
    for key in KEYS:
        fleet.a(f"DEL {key}")
        fleet.b(f"EXPIRE {key} 50")
    fleet.sync()
    before = [len(site.log) for site in fleet.sites]
    for site in fleet.sites:
        site.run(DeleteExpired(site.wall_ms, 100))
    removed = [delta for site, seen in zip(fleet.sites, before, strict=True) for delta in site.log[seen:]]
    assert sum(delta.count(b'"expiry"') for delta in removed) == len(KEYS)


@pytest.mark.parametrize(
    ("line", "is_much"),
    [
        ("EXPIRE set 100", False),
        ("EXPIRE set -1", True),
        ("EXPIRE set x", False),
        ("PEXPIREAT set 1", True),
        (f"PEXPIREAT set {START_MS + 1}", False),
    ],
)
def test_only_a_time_that_is_past_makes_expire_a_large_call(line: str, is_much: bool) -> None:
    site = Site("n1")
    site("SADD set a b c")
    name, *args = line.encode().split()
    assert parts_changed(site.replica, COMMANDS[name], args, START_MS) == (3 if is_much else 0)
