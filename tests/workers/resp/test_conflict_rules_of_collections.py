"""The rules of docs/redis.md on real nodes, each by name: sets of both kinds, flags, hashes and HyperLogLogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers.resp.conflicts import Sides, next_ms, rule

if TYPE_CHECKING:
    from redis import Redis

# Sets


@rule("A: SREM s a, B: SADD s a => a is in")
def test_add_wins_over_a_concurrent_remove(sides: Sides, key: str) -> None:
    sides.a.sadd(key, "a", "other")
    with sides.apart():
        assert sides.a.srem(key, "a") == 1
        assert sides.b.sadd(key, "a") == 0
    assert sides.members(key) == {b"a", b"other"}


def test_a_remove_of_what_was_not_seen_removes_nothing(sides: Sides, key: str) -> None:
    with sides.apart():
        assert sides.a.srem(key, "a") == 0
        assert sides.b.sadd(key, "a") == 1
    assert sides.members(key) == {b"a"}


@rule("A: DEL s, B: SADD s e2 => {e2}")
def test_a_delete_removes_what_it_saw_of_a_set(sides: Sides, key: str) -> None:
    sides.a.sadd(key, "e1")
    with sides.apart():
        sides.a.delete(key)
        sides.b.sadd(key, "e2")
    assert sides.members(key) == {b"e2"}


@rule("A: SUNIONSTORE t s, B: SADD t x => the union, and x")
def test_a_store_is_an_observed_delete_and_adds(sides: Sides, key: str) -> None:
    sides.a.sadd(key, "1", "2")
    sides.a.sadd(key + "t", "old")
    with sides.apart():
        sides.a.sunionstore(key + "t", [key])
        sides.b.sadd(key + "t", "x")
    assert sides.members(key + "t") == {b"1", b"2", b"x"}


@rule("A: SPOP s (x), B: SADD s x => x is in")
def test_a_pop_removes_what_it_saw(sides: Sides, key: str) -> None:
    sides.a.sadd(key, "x")
    sides.a.sadd(key + "twice", "y")
    with sides.apart():
        assert sides.a.spop(key) == b"x"
        sides.b.sadd(key, "x")
        assert sides.a.spop(key + "twice") == sides.b.spop(key + "twice") == b"y"
    assert sides.members(key) == {b"x"}
    assert sides.members(key + "twice") == set()


@rule("A: SMOVE s t x, B: SADD s x => x is in both")
def test_a_move_is_a_remove_and_an_add(sides: Sides, key: str) -> None:
    sides.a.sadd(key, "x")
    with sides.apart():
        sides.a.smove(key, key + "t", "x")
        sides.b.sadd(key, "x")
    assert sides.members(key) == sides.members(key + "t") == {b"x"}


# Sets where removes win


@rule("A: SREM s a, B: SADD s a => a is out")
@rule("then SADD s a => a is in")
def test_remove_wins_over_a_concurrent_add_but_not_over_a_later_one(sides: Sides, key: str) -> None:
    """Also where the add is later by the clock, and at the node of the larger name."""
    there, not_there = f"ban:{key}", f"ban:{key}:new"
    sides.a.sadd(there, "a", "other")
    with sides.apart():
        assert sides.a.srem(there, "a") == 1
        assert sides.a.srem(not_there, "a") == 0
        next_ms(sides.a)
        next_ms(sides.b)
        assert sides.b.sadd(there, "a") == 0
        assert sides.b.sadd(not_there, "a", "other") == 2
    for ban in (there, not_there):
        assert sides.members(ban) == {b"other"}
        assert sides.all(lambda node, ban=ban: node.type(ban)) == b"set"
        assert sides.a.sadd(ban, "a") == 1
    sides.sync()
    assert sides.members(there) == sides.members(not_there) == {b"a", b"other"}


@rule("A: SPOP s (x) or SMOVE s t x, B: SADD s x => x is out of s")
def test_a_pop_and_a_move_are_removes_where_removes_win(sides: Sides, key: str) -> None:
    popped, moved, to = f"ban:{key}:popped", f"ban:{key}:moved", f"ban:{key}:to"
    sides.a.sadd(popped, "x")
    sides.a.sadd(moved, "x")
    with sides.apart():
        assert sides.a.spop(popped) == b"x"
        assert sides.a.smove(moved, to, "x")
        next_ms(sides.a)
        next_ms(sides.b)
        sides.b.sadd(popped, "x", "y")
        sides.b.sadd(moved, "x", "y")
    assert sides.members(popped) == sides.members(moved) == {b"y"}
    assert sides.members(to) == {b"x"}


@rule("A: DEL s, B: SADD s e2 => {e2}")
@pytest.mark.parametrize("delete", ["DEL s", "SUNIONSTORE s none", "PEXPIREAT s 1", "FLUSHALL"])
def test_a_delete_denies_nothing_where_removes_win(sides: Sides, key: str, delete: str) -> None:
    """Also of what is added, which was a member. On another kind of set the command at B would be refused."""
    ban = f"ban:{key}"
    sides.a.sadd(ban, "e1", "e2")
    with sides.apart():
        assert sides.b.execute_command("DELTAIC.RWSADD", ban, "e2") == 0
        sides.a.execute_command(*(ban if word == "s" else word for word in delete.split()))
    assert sides.members(ban) == {b"e2"}


@rule("s = {a, b}, A: SREM s a, DEL s, B: SADD s a => a is in")
def test_after_a_delete_a_set_where_removes_win_starts_anew(sides: Sides, key: str) -> None:
    ban = f"ban:{key}"
    sides.a.sadd(ban, "a", "b")
    with sides.apart():
        assert sides.b.execute_command("DELTAIC.RWSADD", ban, "a") == 0
        assert sides.a.srem(ban, "a") == 1
        assert sides.a.delete(ban) == 1
    assert sides.members(ban) == {b"a"}


@rule("s = {a}, A: SREM s a, DEL s, B: SADD s a => a is out")
def test_a_delete_of_a_set_that_has_become_empty_leaves_its_removes(sides: Sides, key: str) -> None:
    ban = f"ban:{key}"
    sides.a.sadd(ban, "a")
    with sides.apart():
        assert sides.a.srem(ban, "a") == 1
        assert sides.a.delete(ban) == 0
        next_ms(sides.a)
        next_ms(sides.b)
        sides.b.sadd(ban, "a")
    assert sides.members(ban) == set()


# Flags


@pytest.fixture
def two_ways(sides: Sides) -> list[tuple[Redis, Redis]]:
    """Who acts as A and who as B: either may be the node of the larger name."""
    return [(sides.a, sides.b), (sides.b, sides.a)]


@rule("A: DELTAIC.EWDISABLE f, B: DELTAIC.EWENABLE f => enabled")
def test_enable_wins(sides: Sides, two_ways: list[tuple[Redis, Redis]], key: str) -> None:
    flags = [f"{key}:{number}" for number in range(len(two_ways))]
    for flag in flags:
        sides.c.execute_command("DELTAIC.EWENABLE", flag)
    with sides.apart():
        for flag, (a, b) in zip(flags, two_ways, strict=True):
            assert b.execute_command("DELTAIC.EWENABLE", flag) == 0
            next_ms(b)
            next_ms(a)
            assert a.execute_command("DELTAIC.EWDISABLE", flag) == 1
    assert [sides.enabled(flag) for flag in flags] == [1, 1]
    for flag in flags:
        sides.c.execute_command("DELTAIC.EWDISABLE", flag)
    sides.sync()
    assert [sides.enabled(flag) for flag in flags] == [0, 0]


@rule("A: DELTAIC.DWDISABLE f, B: DELTAIC.DWENABLE f => disabled")
@pytest.mark.parametrize("before", [1, 0])
def test_disable_wins(sides: Sides, two_ways: list[tuple[Redis, Redis]], key: str, before: int) -> None:
    flags = [f"{key}:{number}" for number in range(len(two_ways))]
    for flag in flags[: len(flags) * before]:
        sides.c.execute_command("DELTAIC.DWENABLE", flag)
    with sides.apart():
        for flag, (a, b) in zip(flags, two_ways, strict=True):
            assert a.execute_command("DELTAIC.DWDISABLE", flag) == before
            next_ms(a)
            next_ms(b)
            assert b.execute_command("DELTAIC.DWENABLE", flag) == 1 - before
    assert [sides.enabled(flag) for flag in flags] == [0, 0]
    for flag in flags:
        sides.c.execute_command("DELTAIC.DWENABLE", flag)
    sides.sync()
    assert [sides.enabled(flag) for flag in flags] == [1, 1]


@rule("A: DEL f, B: either enable => enabled")
@pytest.mark.parametrize("enable", ["DELTAIC.EWENABLE", "DELTAIC.DWENABLE"])
def test_a_delete_removes_what_it_saw_of_a_flag(sides: Sides, key: str, enable: str) -> None:
    sides.c.execute_command(enable, key)
    with sides.apart():
        assert sides.b.execute_command(enable, key) == 0
        assert sides.a.delete(key) == 1
    assert sides.enabled(key) == 1
    sides.a.delete(key)
    sides.sync()
    assert sides.enabled(key) == 0


# Hashes


@rule("A: HDEL h f, B: HSET h f v2 => v2")
def test_a_field_that_is_set_concurrently_survives_its_delete(sides: Sides, key: str) -> None:
    sides.a.hset(key, "f", "v1")
    with sides.apart():
        sides.b.hset(key, "f", "v2")
        sides.a.hdel(key, "f")
    assert sides.all(lambda node: node.hgetall(key)) == {b"f": b"v2"}


@rule("A: HINCRBY h n 2, B: HINCRBY h n 3 => n + 5")
def test_increments_of_a_field_add(sides: Sides, key: str) -> None:
    sides.a.hset(key, "n", 10)
    with sides.apart():
        assert (sides.a.hincrby(key, "n", 2), sides.b.hincrby(key, "n", 3)) == (12, 13)
    assert sides.all(lambda node: node.hget(key, "n")) == b"15"


@rule("n = 10.5, A: HINCRBYFLOAT h n .5, B: HINCRBYFLOAT h n .25 => 11.25")
def test_fractions_in_a_field_add(sides: Sides, key: str) -> None:
    sides.a.hset(key, mapping={"n": "10.5", "m": "10"})
    with sides.apart():
        assert (sides.a.hincrbyfloat(key, "n", 0.5), sides.b.hincrbyfloat(key, "n", 0.25)) == (11, 10.75)
        sides.a.hincrbyfloat(key, "m", 0.5)
        sides.b.hincrby(key, "m", 5)
    assert sides.all(lambda node: node.hgetall(key)) == {b"n": b"11.25", b"m": b"15.5"}


@rule("n = 5, A: HDEL h n, B: HINCRBY h n 2 => 2")
@pytest.mark.parametrize("delete", ["HDEL", "DEL"])
def test_a_delete_takes_away_what_it_saw_of_a_field_that_counts(sides: Sides, key: str, delete: str) -> None:
    sides.a.hincrby(key, "n", 5)
    with sides.apart():
        sides.a.execute_command(delete, key, *(["n"] if delete == "HDEL" else []))
        assert sides.b.hincrby(key, "n", 2) == 7
    assert sides.all(lambda node: node.hget(key, "n")) == b"2"


# HyperLogLogs


@rule("A: PFADD h a, B: PFADD h b => both count")
def test_concurrent_adds_to_a_hyperloglog_are_united(sides: Sides, key: str) -> None:
    with sides.apart():
        sides.a.pfadd(key, "a")
        sides.b.pfadd(key, "b")
    assert sides.all(lambda redis: redis.pfcount(key)) == 2


@rule("A: DEL h, B: PFADD h a => a counts")
def test_an_add_to_a_hyperloglog_survives_a_concurrent_delete(sides: Sides, key: str) -> None:
    sides.a.pfadd(key, "a", "b")
    with sides.apart():
        sides.a.delete(key)
        assert sides.b.pfadd(key, "a") == 0
    assert sides.all(lambda redis: redis.pfcount(key)) == 1


@rule("A: PFMERGE h other, B: PFADD h a => both count")
def test_a_merge_and_a_concurrent_add_are_united(sides: Sides, key: str) -> None:
    sides.a.pfadd(key + "other", "b")
    with sides.apart():
        sides.a.pfmerge(key, key + "other")
        sides.b.pfadd(key, "a")
    assert sides.all(lambda redis: redis.pfcount(key)) == 2
