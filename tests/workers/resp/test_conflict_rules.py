"""The rules of docs/redis.md on real nodes, each by name: strings, counters, expiry, keys and transactions."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

from tests.fleet import Fleet
from tests.support import wait_until
from tests.workers.resp.conflicts import BEHIND_MS, RULES, Sides, next_ms, rule

if TYPE_CHECKING:
    from redis import Redis

DOCUMENTED = (Path(__file__).parents[3] / "docs" / "redis.md").read_text("utf-8")


def test_every_documented_rule_has_its_scenario() -> None:
    chapter = DOCUMENTED.split("## What concurrent commands give")[1].split("\n## ")[0]
    rows = [row.split(" | ")[0].strip("| ").replace("`", "") for row in re.findall(r"(?m)^\| .*", chapter)]
    documented = [row for row in rows if row]
    assert len(documented) > 20
    import_module("tests.workers.resp.test_conflict_rules_of_collections")
    assert sorted(RULES) == sorted(documented)


# Strings and counters


@rule("A: SET k x, B: SET k y a millisecond later => y")
def test_lww_the_later_write_wins(sides: Sides, key: str) -> None:
    with sides.apart():
        sides.b.set(key, "x")
        next_ms(sides.b)
        next_ms(sides.a)
        sides.a.set(key, "y")
    assert sides.get(key) == b"y"


def test_a_write_that_has_seen_another_wins_though_its_clock_is_behind(tmp_path: Path, key: str) -> None:
    offset = tmp_path / "offset"
    offset.write_text(f"-{BEHIND_MS}", "ascii")
    fleet = Fleet(tmp_path, nodes=3)
    fleet["n3"].program = [sys.executable, "-m", "tests.skewed", offset]
    with fleet:
        sides = Sides(fleet)
        assert sides.c.time()[0] < sides.a.time()[0] - BEHIND_MS // 2000
        sides.a.set(key, "seen")
        sides.sync()
        sides.c.set(key, "has seen it")
        sides.sync()
        assert sides.get(key) == b"has seen it"
        for node in sides.nodes:
            node.close()


@rule("A: APPEND k 1, B: APPEND k 2 => one of them")
def test_whole_values_do_not_merge(sides: Sides, key: str) -> None:
    sides.a.set(key, "v")
    sides.a.set(key + "range", "v")
    with sides.apart():
        sides.a.append(key, "1")
        sides.b.append(key, "2")
        sides.a.setrange(key + "range", 1, "1")
        sides.b.setrange(key + "range", 2, "2")
    assert sides.get(key) in {b"v1", b"v2"}
    assert sides.get(key + "range") in {b"v1", b"v\x002"}


@rule("A: DEL k, B: SET k v => v")
def test_a_delete_removes_what_it_saw_of_a_string(sides: Sides, key: str) -> None:
    sides.a.set(key, "old")
    with sides.apart():
        sides.b.set(key, "v")
        sides.a.delete(key)
    assert sides.get(key) == b"v"


@rule("A: INCRBY c 7, B: INCRBY c 3 => 10")
def test_increments_add(sides: Sides, key: str) -> None:
    with sides.apart():
        assert (sides.a.incrby(key, 7), sides.b.incrby(key, 3)) == (7, 3)
    assert sides.get(key) == b"10"


@rule("f = 10.5, A: INCRBYFLOAT f .5, B: INCRBYFLOAT f .25 => 11.25")
def test_fractions_add(sides: Sides, key: str) -> None:
    sides.a.set(key, "10.5")
    with sides.apart():
        assert (sides.a.incrbyfloat(key, 0.5), sides.b.incrbyfloat(key, 0.25)) == (11, 10.75)
    assert sides.get(key) == b"11.25"


@rule("f = 10, A: INCRBYFLOAT f .5, B: INCRBY f 5 => 15.5")
def test_fractions_and_integers_add(sides: Sides, key: str) -> None:
    sides.a.set(key, 10)
    with sides.apart():
        assert (sides.a.incrbyfloat(key, 0.5), sides.b.incrby(key, 5)) == (10.5, 15)
    assert sides.get(key) == b"15.5"
    sides.c.delete(key)
    sides.sync()
    assert sides.get(key) is None


@rule("A: SET c 100, B: INCR c => 101")
def test_a_set_replaces_what_it_saw_of_a_counter(sides: Sides, key: str) -> None:
    sides.a.incrby(key, 5)
    with sides.apart():
        sides.a.set(key, 100)
        assert sides.b.incr(key) == 6
    assert sides.get(key) == b"101"
    assert sides.all(lambda node: node.type(key)) == b"string"


@rule("c = 5, A: DEL c, B: INCR c => 1")
def test_a_delete_is_an_observed_reset(sides: Sides, key: str) -> None:
    sides.b.incrby(key, 5)
    with sides.apart():
        sides.a.delete(key)
        assert sides.b.incr(key) == 6
    assert sides.get(key) == b"1"


@rule("A: SET c word, B: INCR c => word")
def test_what_is_no_integer_hides_an_increment_until_it_is_replaced(sides: Sides, key: str) -> None:
    sides.a.set(key, 5)
    with sides.apart():
        sides.a.set(key, "word")
        sides.b.incr(key)
    assert sides.get(key) == b"word"
    sides.c.set(key, 10)
    sides.sync()
    assert sides.get(key) == b"10"


def test_an_overflow_is_an_error_and_never_a_wrap(sides: Sides, key: str) -> None:
    largest = 2**63 - 1
    sides.a.set(key, largest - 1)
    with sides.apart():
        assert sides.a.incr(key) == largest
        assert sides.b.incr(key) == largest
        with pytest.raises(ResponseError, match="increment or decrement would overflow"):
            sides.b.incr(key)
    assert sides.get(key) == b"%d" % (largest + 1)
    for node in sides.nodes:
        with pytest.raises(ResponseError, match="overflow"):
            node.incr(key)
    sides.c.decrby(key, 10)
    sides.sync()
    assert sides.get(key) == b"%d" % (largest - 9)


# Multi-value strings


@rule("A: SET k x, B: SET k y => x and y")
@rule("then GET k => y")
@rule("then SET k z => z")
def test_concurrent_values_are_kept_until_a_write_has_seen_them(sides: Sides, key: str) -> None:
    def writers(node: Redis) -> list[bytes]:
        ((_, _, writes),) = node.execute_command("DELTAIC.SIBLINGS", note)
        return sorted(dot.partition(b":")[0] for dot in writes)

    note = f"note:{key}"
    sides.a.set(note, "old")
    with sides.apart():
        sides.b.set(note, "x")
        next_ms(sides.b)
        next_ms(sides.a)
        sides.a.set(note, "y")
    assert sides.values(note) == [b"y", b"x"]
    assert sides.all(writers) == [b"n1", b"n2"]
    assert sides.get(note) == b"y"
    assert sides.all(lambda node: node.type(note)) == b"string"
    sides.c.set(note, "z")
    sides.sync()
    assert sides.values(note) == [b"z"]


@pytest.mark.parametrize("write", ["APPEND k !", "GETSET k y!", "SETRANGE k 1 !"])
def test_a_write_replaces_only_what_it_has_seen_of_values(sides: Sides, key: str, write: str) -> None:
    """Which of two values a command reads and changes is the newest; a third, which it has not seen, stays."""
    note = f"note:{key}"
    with sides.apart():
        sides.b.set(note, "x")
        next_ms(sides.b)
        next_ms(sides.a)
        sides.a.set(note, "y")
    with sides.apart():
        command, _, *arguments = write.split()
        sides.a.execute_command(command, note, *arguments)
        sides.b.set(note, "unseen")
    assert sorted(sides.values(note)) == [b"unseen", b"y!"]


@rule("A: DEL k, B: SET k v => v")
def test_a_delete_removes_what_it_saw_of_values(sides: Sides, key: str) -> None:
    note = f"note:{key}"
    with sides.apart():
        sides.a.set(note, "one")
        sides.b.set(note, "two")
    assert sorted(sides.values(note)) == [b"one", b"two"]
    with sides.apart():
        sides.b.set(note, "v")
        sides.a.delete(note)
    assert sides.values(note) == [b"v"]


@rule("A: INCR k, B: INCR k => both results")
def test_increments_of_a_multi_value_string_stand_side_by_side(sides: Sides, key: str) -> None:
    note = f"note:{key}"
    sides.a.set(note, 5)
    with sides.apart():
        assert [sides.a.incr(note), sides.a.incr(note)] == [6, 7]
        assert sides.b.incr(note) == 6
    assert sorted(sides.values(note)) == [b"6", b"7"]
    sides.c.delete(note)
    with sides.apart():
        assert [sides.a.incr(note), sides.b.incr(note)] == [1, 1]
    assert sides.get(note) == b"2", "a count that began as one adds"


@rule("A: SET k a EX 100, B: SET k b EX 10 =>")
@pytest.mark.parametrize(("older", "newer"), [(100, 40), (40, 100)])
def test_values_live_as_long_as_the_newest(sides: Sides, key: str, older: int, newer: int) -> None:
    note = f"note:{key}"
    with sides.apart():
        sides.b.set(note, "a", ex=older)
        next_ms(sides.b)
        next_ms(sides.a)
        sides.a.set(note, "b", ex=newer)
    assert sides.values(note) == [b"b", b"a"]
    assert sides.ttl(note) == newer


# Expiry


@rule("A: EXPIRE k 10, B: EXPIRE k 100 => 100")
def test_of_concurrent_expiries_the_longer_wins(sides: Sides, key: str) -> None:
    sides.a.set(key, "v")
    sides.a.set(key + "lasting", "v", ex=50)
    with sides.apart():
        sides.a.expire(key, 100)
        sides.b.expire(key, 10)
        sides.a.persist(key + "lasting")
        sides.b.expire(key + "lasting", 100)
    assert sides.ttl(key) == 100
    assert sides.ttl(key + "lasting") == -1


@rule("EXPIRE k 100, later EXPIRE k 5 => 5")
def test_a_later_expiry_replaces_the_one_it_saw_also_when_it_is_shorter(sides: Sides, key: str) -> None:
    sides.a.sadd(key, "x")
    sides.a.expire(key, 100)
    sides.sync()
    sides.b.expire(key, 40)
    sides.sync()
    assert sides.ttl(key) == 40


@rule("A: SET k v, B: EXPIRE k 5 => v, for ever")
def test_an_expiry_is_about_the_write_that_it_saw(sides: Sides, key: str) -> None:
    sides.a.set(key, "old", ex=100)
    with sides.apart():
        sides.a.set(key, "v")
        sides.b.expire(key, 50)
    assert sides.get(key) == b"v"
    assert sides.ttl(key) == -1


@rule("A: SET k a EX 100, B: SET k b EX 10 => what wins, with its own")
def test_each_set_brings_its_own_time_to_live(sides: Sides, key: str) -> None:
    with sides.apart():
        sides.b.set(key, "a", ex=100)
        next_ms(sides.b)
        next_ms(sides.a)
        sides.a.set(key, "b", ex=40)
    assert sides.get(key) == b"b"
    assert sides.ttl(key) == 40


@rule("the key expires at A, B: SADD k y => {y}, for ever")
def test_a_write_that_is_concurrent_to_the_removal_of_what_has_expired_survives(sides: Sides, key: str) -> None:
    def is_removed() -> bool:
        writes = sides.a.execute_command("DELTAIC.EXPLAIN", key)[b"writes"]
        return all(write[b"says"] == b"null" for write in writes)

    sides.a.sadd(key, "x")
    sides.a.pexpire(key, 1000)
    with sides.apart():
        wait_until(lambda: not sides.b.exists(key), what="the key to expire at B")
        assert sides.b.sadd(key, "y") == 1
        wait_until(is_removed, 30, "A to remove it")
    assert sides.members(key) == {b"y"}
    assert sides.ttl(key) == -1


@rule("c with 900 s, A: DEL c, B: INCR c => 1, with 900 s")
def test_a_write_in_place_carries_the_time_to_live_that_it_saw(sides: Sides, key: str) -> None:
    sides.a.incrby(key, 5)
    sides.a.expire(key, 900)
    sides.a.set(key + "text", "a", ex=900)
    with sides.apart():
        sides.a.delete(key, key + "text")
        assert sides.b.incr(key) == 6
        sides.b.set(key + "text", "b", keepttl=True)
    assert (sides.get(key), sides.get(key + "text")) == (b"1", b"b")
    for node in sides.nodes:
        assert 850 < node.ttl(key) <= 900
        assert 850 < node.ttl(key + "text") <= 900


@rule("c with 900 s, A: EXPIRE c 10, B: INCR c => 10")
def test_what_is_only_carried_gives_way_to_what_was_set(sides: Sides, key: str) -> None:
    sides.a.incr(key)
    sides.a.expire(key, 900)
    sides.a.set(key + "text", "a", ex=900)
    with sides.apart():
        sides.a.expire(key, 100)
        sides.a.expire(key + "text", 100)
        sides.b.incr(key)
        sides.b.append(key + "text", "b")
    assert (sides.get(key), sides.get(key + "text")) == (b"2", b"ab")
    for node in sides.nodes:
        assert 50 < node.ttl(key) <= 100
        assert 50 < node.ttl(key + "text") <= 100


@rule("c with 900 s, A: PERSIST c, B: INCR c => for ever")
def test_what_is_only_carried_gives_way_to_persist(sides: Sides, key: str) -> None:
    sides.a.incr(key)
    sides.a.expire(key, 900)
    with sides.apart():
        sides.a.persist(key)
        sides.b.incr(key)
    assert (sides.get(key), sides.ttl(key)) == (b"2", -1)


# Keys


@rule("A: SADD k x, B: SET k v => the string")
def test_of_two_types_of_one_key_one_shows_everywhere(sides: Sides, key: str) -> None:
    with sides.apart():
        sides.b.sadd(key, "x")
        sides.a.set(key, "v")
        sides.c.hset(key, "f", "v")
    assert sides.all(lambda node: node.type(key)) == b"string"
    assert sides.get(key) == b"v"
    for node in sides.nodes:
        told = node.execute_command("DELTAIC.EXPLAIN", key)
        assert sorted(told[b"hidden"]) == [b"hash", b"orset"]
    sides.b.delete(key)
    sides.sync()
    assert sides.all(lambda node: node.exists(key)) == 0


@rule("A: RENAME k new, B: SET k w => both")
def test_a_rename_leaves_concurrent_writes_under_the_old_name(sides: Sides, key: str) -> None:
    sides.a.set(key, "v")
    with sides.apart():
        sides.a.rename(key, key + "new")
        sides.b.set(key, "w")
    assert (sides.get(key), sides.get(key + "new")) == (b"w", b"v")


@rule("A: FLUSHALL, B: SADD s y => {y}")
def test_a_flush_removes_what_it_saw(sides: Sides, key: str) -> None:
    sides.a.set(key + "string", "v")
    sides.a.sadd(key, "x")
    with sides.apart():
        sides.a.flushall()
        sides.b.sadd(key, "y")
    assert sides.get(key + "string") is None
    assert sides.members(key) == {b"y"}


@rule("A: MULTI, two writes, EXEC => both or neither")
def test_a_transaction_shows_as_a_whole_everywhere(sides: Sides, key: str) -> None:
    def written(node: Redis, number: int) -> None:
        with node.pipeline(transaction=True) as pipe:
            pipe.set(key + "string", number).hset(key + "hash", "f", number).execute()

    def shown(node: Redis) -> tuple[bytes | None, bytes | None]:
        with node.pipeline(transaction=True) as pipe:
            string, field = pipe.get(key + "string").hget(key + "hash", "f").execute()
        assert string == field
        return string, field

    for number in range(50):
        written(sides.a, number)
        for node in sides.nodes:
            shown(node)
    wait_until(lambda: all(shown(node)[0] == b"49" for node in sides.nodes), what="the last one to show")
    with sides.apart():
        written(sides.a, 100)
        written(sides.b, 200)
    assert sides.all(shown)[0] in {b"100", b"200"}


def test_no_effect_shows_before_its_cause(sides: Sides, key: str) -> None:
    """Also where the cause can only come by way of the node that had seen it."""
    sides.sync()
    sides.c.execute_command("DELTAIC.PARTITION", "n1")
    try:
        for number in range(30):
            sides.a.set(key + "cause", number)
            wait_until(lambda number=number: sides.b.get(key + "cause") == b"%d" % number, what="the cause to show")
            sides.b.set(key + "effect", number)
            effect, cause = sides.c.mget(key + "effect", key + "cause")
            assert int(effect or -1) <= int(cause or -1)
        wait_until(lambda: sides.c.get(key + "effect") == b"29", 30, "the effect to show")
        assert sides.c.get(key + "cause") == b"29"
    finally:
        sides.c.execute_command("DELTAIC.HEAL")


# Bits


@rule("A: SETBIT k 0 1, B: SETBIT k 1 1 => one of the two bits")
def test_of_two_bits_that_are_set_concurrently_one_survives(sides: Sides, key: str) -> None:
    with sides.apart():
        sides.a.setbit(key, 0, 1)
        sides.b.setbit(key, 1, 1)
    assert sides.all(lambda redis: redis.bitcount(key)) == 1


@rule("A: BITFIELD k INCRBY u8 0 1, B: BITFIELD k INCRBY u8 0 1 => 1")
def test_increments_in_a_bit_field_do_not_add_up(sides: Sides, key: str) -> None:
    with sides.apart():
        for redis in (sides.a, sides.b):
            assert redis.execute_command("BITFIELD", key, "INCRBY", "u8", 0, 1) == [1]
    assert sides.all(lambda redis: redis.execute_command("BITFIELD_RO", key, "GET", "u8", 0)) == [1]


@rule("A: BITOP NOT k src, B: SETBIT k 0 1 => one of the two results")
def test_a_bit_operation_writes_the_whole_destination(sides: Sides, key: str) -> None:
    sides.a.set(key + "src", b"\xf0")
    with sides.apart():
        assert sides.a.bitop("NOT", key, key + "src") == 1
        assert sides.b.setbit(key, 0, 1) == 0
    assert sides.get(key) in {b"\x0f", b"\x80"}
