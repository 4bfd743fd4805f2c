"""What concurrent commands give, each rule by name: replicas act apart from a synced state, and then hear each other.

Every scenario ends the same at every replica, however it hears: delta by delta in any order, or by patches. The rules
are those of docs/redis.md.
"""

from __future__ import annotations

import pytest

from crdt_core.commands.expiry import DeleteExpired
from tests.crdt_core.sites import START_MS, WAYS, Fleet, way_name

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.fixture(params=WAYS, ids=way_name)
def fleet(request: pytest.FixtureRequest) -> Fleet:
    return Fleet(*request.param)


# Strings


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


def test_a_delete_of_what_nobody_else_touched_deletes(fleet: Fleet) -> None:
    fleet.a("SET k old")
    fleet.sync()
    fleet.b("DEL k")
    fleet.sync()
    assert fleet.all("EXISTS k") == 0


def test_getdel_and_a_concurrent_set_leave_the_set(fleet: Fleet) -> None:
    fleet.a("SET k old")
    fleet.sync()
    assert fleet.a("GETDEL k") == "old"
    fleet.b("SET k v")
    fleet.sync()
    assert fleet.all("GET k") == "v"


# Counters on strings


def test_increments_add(fleet: Fleet) -> None:
    fleet.a("INCRBY c 7")
    fleet.b("INCRBY c 3")
    fleet.c("DECR c")
    fleet.sync()
    assert fleet.all("GET c") == "9"
    assert fleet.all("TYPE c") == "string"


def test_what_increments_took_beyond_64_bits_is_brought_back_by_decrements(fleet: Fleet) -> None:
    """It once counted as no integer, so that nothing but a SET could end it."""
    largest = 2**63 - 1
    fleet.a(f"SET c {largest - 1}")
    fleet.a(f"HSET h n {largest - 1}")
    fleet.sync()
    for site in (fleet.a, fleet.b):
        site("INCR c")
        site("HINCRBY h n 1")
    fleet.sync()
    assert fleet.all("GET c") == fleet.all("HGET h n") == str(largest + 1)
    assert fleet.all("INCR c") == fleet.all("HINCRBY h n 1") == "ERR increment or decrement would overflow"
    assert fleet.a("DECRBY c 10") == fleet.b("HINCRBY h n -10") == largest - 9
    fleet.sync()
    assert fleet.all("GET c") == fleet.all("HGET h n") == str(largest - 9)


def test_set_replaces_what_it_saw_and_a_concurrent_increment_stays(fleet: Fleet) -> None:
    fleet.b("INCRBY c 5")
    fleet.sync()
    fleet.a("SET c 100")
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "101"


def test_increments_of_a_value_that_was_set_add(fleet: Fleet) -> None:
    fleet.a("SET c 10")
    fleet.sync()
    for site in fleet.sites:
        assert site("INCR c") == 11
    fleet.sync()
    assert fleet.all("GET c") == "13"


def test_delete_is_an_observed_reset(fleet: Fleet) -> None:
    fleet.b("INCRBY c 5")
    fleet.sync()
    fleet.a("DEL c")
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "1"


def test_two_resets_take_away_once(fleet: Fleet) -> None:
    fleet.c("INCRBY c 5")
    fleet.sync()
    fleet.a("DEL c")
    fleet.b("DEL c")
    fleet.c("INCRBY c 2")
    fleet.sync()
    assert fleet.all("GET c") == "2"
    assert fleet.a("INCR c") == 3


def test_two_sets_and_an_increment_give_the_later_set_plus_the_increment(fleet: Fleet) -> None:
    fleet.c("INCRBY c 5")
    fleet.sync()
    fleet.b.wall_ms += 1
    fleet.a("SET c 100")
    fleet.b("SET c 200")
    fleet.c("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "201"


def test_a_value_that_is_no_integer_hides_concurrent_increments(fleet: Fleet) -> None:
    fleet.a("SET c word")
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "word"
    assert fleet.b("INCR c") == "ERR value is not an integer or out of range"
    fleet.b("SET c 1")
    fleet.sync()
    assert fleet.all("GET c") == "1"


def test_counters_and_registers_of_other_faces_are_strings(fleet: Fleet) -> None:
    fleet.a("DELTAIC.COUNTER.ADD c 5")
    fleet.a("DELTAIC.REGISTER.SET r v TIMESTAMP 3")
    fleet.sync()
    assert fleet.b("INCR c") == 6
    fleet.c("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "7"
    assert fleet.all("GET r") == "v"
    assert fleet.all("TYPE r") == "string"
    assert fleet.a("SET c 1") == "OK"
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "1", "the counter shows what the SET has not seen, before the string of the SET"
    assert fleet.b("SET c 2") == "OK"
    fleet.sync()
    assert fleet.all("GET c") == "2"


# Sets


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


def test_a_store_is_an_observed_delete_and_adds(fleet: Fleet) -> None:
    fleet.a("SADD s x y")
    fleet.a("SADD target old")
    fleet.sync()
    fleet.a("SUNIONSTORE target s")
    fleet.b("SADD target new")
    fleet.c("SREM s x")
    fleet.sync()
    assert fleet.all("SMEMBERS target") == {"x", "y", "new"}


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


def test_a_set_of_another_face_that_only_grows_is_read_and_grows(fleet: Fleet) -> None:

    fleet.a("DELTAIC.SET.ADD s x KIND gset")
    fleet.sync()
    fleet.b("SADD s y")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"x", "y"}
    assert fleet.a("SREM s x") == "ERR nothing can be removed from a grow-only set"


# Hashes


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


# Expiry


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
    assert (fleet.all("GET k"), fleet.all("EXISTS k s"), fleet.all("DBSIZE"), fleet.all("KEYS *")) == (None, 0, 0, [])


def test_a_write_that_is_concurrent_to_the_removal_survives_without_time_to_live(fleet: Fleet) -> None:
    fleet.a("SADD s x")
    fleet.a("EXPIRE s 5")
    fleet.sync()
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
        assert list(site.replica.catalogue.objects) == [b"k"]
        assert not site.replica.catalogue.expiring
        assert not site.replica.catalogue.objects[b"k"].type_conflicts


# Keys


def test_a_key_of_two_types_shows_one_of_them_everywhere(fleet: Fleet) -> None:
    fleet.a("SADD k x")
    fleet.b("HSET k f v")
    fleet.c("SET k v")
    fleet.sync()
    assert fleet.all("TYPE k") == "string"
    assert fleet.all("SADD k y") == WRONG_TYPE
    fleet.a("DEL k")
    fleet.sync()
    assert fleet.all("EXISTS k") == 0


def test_a_rename_and_a_concurrent_write_leave_both(fleet: Fleet) -> None:
    fleet.a("SET k v EX 100")
    fleet.sync()
    fleet.a("RENAME k new")
    fleet.b("SET k w")
    fleet.sync()
    assert (fleet.all("GET k"), fleet.all("GET new")) == ("w", "v")
    assert (fleet.all("TTL k"), fleet.all("TTL new")) == (-1, 100)


def test_a_flush_removes_what_it_saw_and_no_member(fleet: Fleet) -> None:
    fleet.a("SET k v")
    fleet.a("SADD s x")
    fleet.sync()
    fleet.a("FLUSHALL")
    fleet.b("SADD s y")
    fleet.sync()
    assert fleet.all("KEYS *") == ["s"]
    assert fleet.all("SMEMBERS s") == {"y"}


def test_a_transaction_shows_as_a_whole(fleet: Fleet) -> None:
    assert fleet.a("SET k v", "INCR c", "SADD k x", "HSET h f v") == ["OK", 1, WRONG_TYPE, 1]
    assert len(fleet.a.log) == 1
    fleet.sync()
    assert fleet.all("EXISTS k c h") == 3


def test_types_that_redis_has_not_are_told_by_their_own_name(fleet: Fleet) -> None:
    fleet.a("DELTAIC.FLAG.SET on 1")
    fleet.sync()
    assert fleet.all("TYPE on") == "ewflag"
    assert fleet.all("GET on") == WRONG_TYPE
    assert fleet.all("DEL nothing") == 0


# What explains it


def test_explain_says_who_won_and_why(fleet: Fleet) -> None:
    fleet.c("INCRBY c 5")
    fleet.sync()
    fleet.b.wall_ms += 1
    fleet.a("SET c 100 EX 60")
    fleet.b("SET c 200")
    fleet.c("INCR c")
    fleet.sync()
    told = fleet.all("DELTAIC.EXPLAIN c")
    reasons = [(write["type"], write["part"], write["dot"], write["so"]) for write in told.pop("writes")]
    assert told == {"type": "string", "expires_ms": None, "hidden": [], "parts": 3}
    assert reasons == [
        ("string", "", "n1:1", "loses to n2:1, which is concurrent and later"),
        ("string", "", "n2:1", "wins: it is the latest"),
        ("string", "n3", "n1:1", "takes away 5 of what n3 has added"),
        ("string", "n3", "n2:1", "takes away 5 of what n3 has added"),
        ("string", "n3", "n3:2", "adds 1"),
        ("expiry", "", "n1:1", "does not count: it is about n1:1, and what shows is n2:1"),
    ]
    siblings = {(name, part): dots for name, part, dots in fleet.all("DELTAIC.SIBLINGS c")}
    assert siblings["string", "n3"] == {"n1:1": '{"spent":[5,0]}', "n2:1": '{"spent":[5,0]}', "n3:2": "[6,0]"}
    assert siblings["string", ""]["n2:1"] == f'["200",{START_MS + 1},0]'


def test_explain_names_what_is_hidden(fleet: Fleet) -> None:
    fleet.a("SADD k x")
    fleet.b("SET k v EX 5")
    fleet.sync()
    told = fleet.all("DELTAIC.EXPLAIN k")
    assert (told["type"], told["hidden"]) == ("string", ["orset"])
    assert [write["so"] for write in told["writes"]] == [
        "shows",
        "is hidden: string prevails over orset",
        "the key expires in 5000 ms",
    ]
    fleet.at(5_000)
    assert fleet.all("DELTAIC.EXPLAIN k")["type"] == "none"
    assert fleet.all("DELTAIC.EXPLAIN nothing") is None
    assert fleet.all("DELTAIC.SIBLINGS nothing") == []


def test_strings_and_hashes_can_be_inspected(fleet: Fleet) -> None:
    fleet.a("SET k v EX 5")
    fleet.a("HINCRBY h n 5")
    fleet.sync()
    string, fields = fleet.b("DELTAIC.INSPECT k"), fleet.b("DELTAIC.INSPECT h")
    assert (string["type"], string["value"], string["conflicts"]) == ("string", '"v"', [])
    assert (fields["type"], fields["value"]) == ("hash", '{"n":"5"}')
    assert fields["siblings"] == '{"n\\u0000n1":{"n1:2":[5,0]}}'
