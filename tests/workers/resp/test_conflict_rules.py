"""The rules of docs/redis.md on real nodes, each by name: they part, act through redis-py, and hear each other again.

`sides.apart()` is a partition by `DELTAIC.PARTITION`, ended by `DELTAIC.HEAL`; after it every node has waited for the
tokens of all others, so all that any of them had done is there, and is the same everywhere.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.fleet import Fleet
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Test = Callable[..., None]

DOCUMENTED = (Path(__file__).parents[3] / "docs" / "redis.md").read_text("utf-8")
RULES: list[str] = []

POLICIES = """
[policies."ban:"]
sets = "remove-wins"
[policies."note:"]
strings = "multi-value"
"""

ARRIVAL_MS = 20_000
BEHIND_MS = 30_000


def rule(text: str) -> Callable[[Test], Test]:
    """Names the rule that a scenario shows, as docs/redis.md has it in the first cell of a row."""
    RULES.append(text)
    return lambda test: test


class Sides:
    """Three nodes, of which `a` and `b` act and all show. A replica's name is larger from `a` to `c`."""

    def __init__(self, fleet: Fleet) -> None:
        self.nodes = [Redis(port=node.resp_port, protocol=3) for node in fleet.nodes.values()]
        self.a, self.b, self.c = self.nodes

    def sync(self) -> None:
        """Returns when every node has all that any other had done by now."""
        for one, other in permutations(self.nodes, 2):
            assert other.execute_command("DELTAIC.AWAIT", one.execute_command("DELTAIC.TOKEN"), ARRIVAL_MS) == b"OK"

    @contextmanager
    def apart(self) -> Iterator[None]:
        """From a synced state, nobody hears anybody; then all hear all, and have done so."""
        self.sync()
        for node in self.nodes:
            node.execute_command("DELTAIC.PARTITION")
        try:
            yield
        finally:
            for node in self.nodes:
                node.execute_command("DELTAIC.HEAL")
        self.sync()

    def all(self, read: Callable[[Redis], Any]) -> Any:
        """What every node shows, which is the same."""
        shown = [read(node) for node in self.nodes]
        assert all(value == shown[0] for value in shown), shown
        return shown[0]

    def get(self, key: str) -> Any:
        return self.all(lambda node: node.get(key))

    def members(self, key: str) -> Any:
        return self.all(lambda node: node.smembers(key))

    def values(self, key: str) -> Any:
        """What stands side by side in a multi-value string, the newest first."""
        return self.all(lambda node: node.execute_command("DELTAIC.MVGET", key))

    def enabled(self, key: str) -> Any:
        """1 or 0, of a flag."""
        return self.all(lambda node: node.execute_command("DELTAIC.ENABLED", key))

    def ttl(self, key: str) -> Any:
        """Seconds to live, to ten, as the nodes are not asked at one moment; -1: for ever."""
        return self.all(lambda node: -1 if node.ttl(key) == -1 else round(node.ttl(key), -1))


def next_ms(node: Redis) -> None:
    """Returns when the node's clock has gone on."""
    before = node.time()
    wait_until(lambda: node.time() > before, what="the clock to go on")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("rules"), nodes=3, settings=POLICIES) as fleet:
        yield fleet


@pytest.fixture
def sides(three: Fleet) -> Iterator[Sides]:
    nodes = Sides(three)
    yield nodes
    for node in nodes.nodes:
        node.close()


def test_every_documented_rule_has_its_scenario() -> None:
    chapter = DOCUMENTED.split("## What concurrent commands give")[1].split("\n## ")[0]
    rows = [row.split(" | ")[0].strip("| ").replace("`", "") for row in re.findall(r"(?m)^\| .*", chapter)]
    documented = [row for row in rows if row]
    assert len(documented) > 20
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


@rule("n = 5, A: HDEL h n, B: HINCRBY h n 2 => 2")
@pytest.mark.parametrize("delete", ["HDEL", "DEL"])
def test_a_delete_takes_away_what_it_saw_of_a_field_that_counts(sides: Sides, key: str, delete: str) -> None:
    sides.a.hincrby(key, "n", 5)
    with sides.apart():
        sides.a.execute_command(delete, key, *(["n"] if delete == "HDEL" else []))
        assert sides.b.hincrby(key, "n", 2) == 7
    assert sides.all(lambda node: node.hget(key, "n")) == b"2"


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
