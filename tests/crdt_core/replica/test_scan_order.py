"""The order of a scan: every name once, whatever comes and goes meanwhile, at the cost of what a step returns."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.scan import page
from crdt_core.replica.scan_order import ScanOrder

if TYPE_CHECKING:
    import pytest

NAMES = [b"%d" % number for number in range(3000)]
ALIKE = [b"plumless", b"buckeroo"]
"""Two names with one hash."""
FORGED = [b"".join(words) for words in product(ALIKE, repeat=11)]
"""Names with one hash, which anybody can make so many of."""


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=400), st.integers(0, 2**32), st.integers(1, 50)
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
    assert order.page(cursor, count) == page(expected, cursor, count)


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


def test_names_with_equal_hashes_are_found_together() -> None:
    assert crc32(ALIKE[0]) == crc32(ALIKE[1])
    order = ScanOrder(ALIKE)
    assert sorted(order.page(0, 1)[1]) == sorted(ALIKE)
    for name in ALIKE:
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


def test_many_equal_hashes_are_no_reason_to_split_a_bucket_for_ever() -> None:
    tails = [name for number in range(2**17) if crc32(name := b"%x" % number) % 1024 == 7]
    order = ScanOrder(tails)
    assert {*order} == {*tails}
    assert order.page(0, len(tails)) == (0, sorted(tails, key=lambda name: (crc32(name), name)))


def test_a_step_looks_at_little_more_than_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of SCAN looked at all keys: 191 ms at 40 000 keys."""
    order, looked = ScanOrder(b"key:%d" % number for number in range(40_000)), 0

    def counting(name: bytes) -> int:
        nonlocal looked
        looked += 1
        return crc32(name)

    monkeypatch.setattr("crdt_core.replica.scan_order.crc32", counting)
    cursor = steps = 0
    while True:
        cursor, _ = order.page(cursor, 100)
        steps += 1
        if not cursor:
            break
    assert looked <= steps * 400
    looked = 0
    order.add(b"another")
    order.remove(b"another")
    assert looked <= 2 * 400


def test_each_name_is_as_likely() -> None:
    order, random = ScanOrder(NAMES[:300]), Random(1)
    chosen = Counter(order.choose(random.randrange) for _ in range(30_000))
    assert len(chosen) == 300
    assert 50 < min(chosen.values()) <= max(chosen.values()) < 160
