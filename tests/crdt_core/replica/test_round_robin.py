"""A mapping whose entries are looked at in rounds, and of which none is moved with all others."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.deltas import checksum
from crdt_core.replica.round_robin import RoundRobin
from tests.crdt_core.hash_seeds import printed

ADDRESSES = [(b"%d" % (number // 3), "orset", (None, b"", b"x")[number % 3]) for number in range(12)]
KEYS = st.sampled_from(ADDRESSES)
DEEDS = st.one_of(
    st.tuples(st.just("__setitem__"), KEYS, st.integers()),
    st.tuples(st.just("setdefault"), KEYS, st.integers()),
    st.tuples(st.just("pop"), KEYS, st.integers()),
    st.tuples(st.just("get"), KEYS, st.integers()),
    st.tuples(st.just("look"), st.integers(0, 40)),
    st.tuples(st.just("peek"), st.integers(0, 40)),
    st.tuples(st.just("isdisjoint"), st.lists(KEYS, max_size=2)),
)


def put(made: RoundRobin[object, int], keys: list) -> None:
    for key in keys:
        made[key] = 1


@given(st.lists(DEEDS))
def test_it_does_what_a_dict_does(deeds: list[tuple[str, ...]]) -> None:
    expected: dict[object, int] = {}
    made = RoundRobin(checksum)
    for name, *arguments in deeds:
        found = getattr(made, name)(*arguments)
        if name in ("look", "peek"):
            assert len({*found} & expected.keys()) == len(found) == min(arguments[0], len(expected))
        elif name == "isdisjoint":
            assert found == expected.keys().isdisjoint(*arguments)
        else:
            assert found == getattr(expected, name)(*arguments)
        assert {key: made.get(key, None) for key in made} == expected
        assert (len(made), made.size, bool(made)) == (len(expected), len(expected), bool(expected))
        assert [address for address in ADDRESSES if address in made] == [one for one in ADDRESSES if one in expected]


@pytest.mark.parametrize("most", [1, 3, 5, 11, 12, 40])
def test_rounds_come_to_each_in_turn(most: int) -> None:
    """Nothing is looked at twice in one call, nor twice before all others are once."""
    made, looks = RoundRobin(checksum), Counter(dict.fromkeys(ADDRESSES, 0))
    put(made, ADDRESSES)
    for _ in range(50):
        peeked = made.peek(most)
        seen = made.look(most)
        assert peeked == seen
        assert len({*seen}) == len(seen) == min(most, len(ADDRESSES))
        looks.update(seen)
        assert max(looks.values()) - min(looks.values()) <= 1


def test_who_joins_a_round_late_waits_for_the_next() -> None:
    made = RoundRobin(checksum)
    put(made, ADDRESSES[:4])
    (first,) = made.look(1)
    late = ADDRESSES[5]
    made[late] = 1
    assert {*made.look(3)} == {*ADDRESSES[:4]} - {first}
    assert {*made.look(5)} == {*ADDRESSES[:4], late}


def test_the_rounds_are_the_same_in_every_process() -> None:
    program = (
        "from crdt_core.lattice.deltas import checksum; from crdt_core.replica.round_robin import RoundRobin;"
        "made = RoundRobin(checksum); [made.setdefault((b'k%d' % n, 'orset', b'%d' % n), n) for n in range(99)];"
        "print(made.look(50))"
    )
    assert len(printed(program)) == 1


def test_no_dict_holds_more_than_a_fraction_of_many_tombstones() -> None:
    """One dict of all moved 700 000 entries at once, as a node flushed a million keys: 30 to 150 ms."""
    made = RoundRobin(checksum)
    for number in range(20_000):
        made.setdefault((b"key:%d" % number, "string", b""), 0)
        made.setdefault((b"one key", "orset", b"%d" % number), 0)
    dicts = [shard for shards in gc.get_referents(made) for shard in gc.get_referents(shards) if type(shard) is dict]
    assert max(map(len, dicts)) < len(made) / 30
