"""The order of a scan: every name once, whatever comes and goes meanwhile, at the cost of what a step returns."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.replica.scan_order import ScanOrder, page

NAMES = [b"%d" % number for number in range(3000)]
ALIKE = [b"plumless", b"buckeroo"]
"""Two names with one hash."""
FORGED = [b"".join(words) for words in product(ALIKE, repeat=11)]
"""Names with one hash, which anybody can make so many of."""


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=400),
    st.integers(0, 2**32 - 1),
    st.integers(1, 50),
)
def test_it_is_a_set_whose_pages_are_those_of_its_names(
    deeds: list[tuple[bool, bytes]], cursor: int, count: int
) -> None:
    order, expected = ScanOrder(NAMES[:1000]), {*NAMES[:1000]}
    for adds, name in deeds:
        if adds and name not in expected:
            order.add(name)
            expected.add(name)
        elif not adds and name in expected:
            order.remove(name)
            expected.remove(name)
    assert (len(order), {*order}) == (len(expected), expected)
    following = sorted((at, name) for name in expected if (at := crc32(name)) >= cursor)
    after = following[count][0] if len(following) > count else 0
    assert order.page(cursor, count) == page(expected, cursor, count)
    assert order.page(cursor, count) == (after, [name for _, name in following[:count]])


@given(st.integers(0, 2**32), st.integers(1, 300))
def test_who_is_there_all_the_time_is_found_once(seed: int, count: int) -> None:
    random = Random(seed)
    order, stays = ScanOrder(NAMES), {*NAMES[::2]}
    there, seen = [*NAMES[1::2]], Counter[bytes]()
    cursor = 0
    while True:
        cursor, found = order.page(cursor, count)
        seen.update(found)
        if not cursor:
            break
        for number in range(random.randrange(40)):
            if there and random.random() < 0.5:
                order.remove(there.pop(random.randrange(len(there))))
            else:
                there.append(b"new %d %d" % (cursor, number))
                order.add(there[-1])
    assert {seen[name] for name in stays} == {1}


def test_names_that_stand_for_one_thing_are_found_together() -> None:
    parts = [b"hits n%d" % number for number in range(300)] + [b"fruit"]
    order = ScanOrder(parts, lambda part: part.split()[0])
    cursor, found = order.page(0, 1)
    rest = order.page(cursor, 1)
    assert sorted(map(len, (found, rest[1]))) == [1, 300]
    assert rest[0] == 0
    for name in parts:
        order.remove(name)
    assert order.page(0, 1) == (0, [])


def test_a_page_is_short_whatever_the_hashes() -> None:
    """One step of SCAN returned all names with equal hashes."""
    assert len({*map(crc32, FORGED)}) == 1
    order, seen, cursor = ScanOrder(FORGED + NAMES), Counter[bytes](), 0
    while True:
        cursor, found = order.page(cursor, 50)
        seen.update(found)
        assert len(found) <= 50
        assert cursor < 2**63, "which all clients can read as a number"
        if not cursor:
            break
    assert seen == Counter(FORGED + NAMES)


class Counted(bytes):
    """A name that counts how often it is compared with others."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__eq__(other)

    __hash__ = bytes.__hash__


class Looks:
    """What names stand for: themselves. `taken` returns how often that was asked since it was called last."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, name: bytes) -> bytes:
        self._count += 1
        return name

    def taken(self) -> int:
        count, self._count = self._count, 0
        return count


def test_a_name_comes_and_goes_at_one_cost_whatever_the_hashes() -> None:
    """One that came sorted all names with its hash again, and one that went was compared with all of them."""
    looks = Looks()
    order = ScanOrder(element=looks)
    for name in FORGED:
        order.add(name)
    assert looks.taken() <= 10 * len(FORGED)
    Counted.compared = 0
    for name in reversed(FORGED):
        order.remove(Counted(name))
    assert looks.taken() == len(FORGED)
    assert Counted.compared <= 128 * len(FORGED)
    assert not order


@given(st.integers(0, 2**32), st.integers(10, 100))
def test_among_equal_hashes_who_is_there_all_the_time_is_found_once(seed: int, count: int) -> None:
    """Also by who goes on at another node, which was filled in another order, or in a collection that became small."""
    random = Random(seed)
    there = random.sample(FORGED[:1000] + NAMES[:100], 400)
    stays, others = there[:200], there[200:]
    seen, cursor = Counter[bytes](), 0
    while True:
        names = stays + random.sample(others, random.randrange(len(others)))
        random.shuffle(names)
        cursor, found = page(names, cursor, count) if random.random() < 0.3 else ScanOrder(names).page(cursor, count)
        seen.update(found)
        if not cursor:
            break
    assert {seen[name] for name in stays} == {1}


@pytest.mark.parametrize("cursor", [2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_any_cursor_of_64_bits_stands_for_a_place(cursor: int) -> None:
    order, seen = ScanOrder(NAMES), Counter[bytes]()
    while True:
        assert order.page(cursor, 100) == page(NAMES, cursor, 100)
        cursor, found = order.page(cursor, 100)
        seen.update(found)
        if not cursor:
            break
    assert {*seen.values()} <= {1}


def test_many_equal_hashes_are_no_reason_to_split_a_bucket_for_ever() -> None:
    tails = [name for number in range(2**17) if crc32(name := b"%x" % number) % 1024 == 7]
    order = ScanOrder(tails)
    assert {*order} == {*tails}
    assert order.page(0, len(tails)) == (0, sorted(tails, key=lambda name: (crc32(name), name)))


def test_a_step_looks_at_little_more_than_it_returns() -> None:
    """Each step of SCAN looked at all keys: 191 ms at 40 000 keys."""
    looks = Looks()
    order = ScanOrder((b"key:%d" % number for number in range(40_000)), looks)
    looks.taken()
    cursor = steps = 0
    while True:
        cursor, _ = order.page(cursor, 100)
        steps += 1
        if not cursor:
            break
    assert looks.taken() <= steps * 400
    order.add(b"another")
    order.remove(b"another")
    assert looks.taken() <= 2 * 400


def test_each_name_is_as_likely() -> None:
    order, random = ScanOrder(NAMES[:300]), Random(1)
    chosen = Counter(order.choose(random.randrange) for _ in range(30_000))
    assert len(chosen) == 300
    assert 50 < min(chosen.values()) <= max(chosen.values()) < 160
