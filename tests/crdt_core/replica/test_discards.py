"""What is large is emptied in slices, whatever it is made of, and what is small goes at once."""

from __future__ import annotations

from crdt_core.replica.discards import Discards
from crdt_core.replica.sharded import Sharded


def entries(discards: Discards) -> int:
    return sum(len(collection) for collection, _ in discards.waiting)


def test_a_slice_frees_so_many_entries_of_whatever_there_is() -> None:
    discards, made = Discards(), Sharded[int, str]()
    made.update((number, "value") for number in range(1000))
    discards.add([*range(700)], dict.fromkeys(range(900)), made)
    left = [entries(discards)]
    while discards.waiting:
        discards.free(100)
        left.append(entries(discards))
    assert left == [*range(700 + 900 + 3 * 1000, -1, -100)], "a sharded mapping has its keys, its values and its places"


def test_heavy_entries_count_for_many() -> None:
    discards, heavy = Discards(), [bytes(100) for _ in range(10)]
    discards.add(heavy, weight=100)
    left = []
    while discards.waiting:
        discards.free(300)
        left.append(len(heavy))
    assert left == [7, 4, 1, 0]


def test_one_entry_goes_however_heavy_it_is() -> None:
    discards, heavy = Discards(), [b"a", b"b"]
    discards.add(heavy, weight=1000)
    discards.free(100)
    assert heavy == [b"a"]


def test_what_is_small_is_left_to_whoever_uses_it() -> None:
    discards, small = Discards(), [*range(100)]
    discards.add(small, {b"a": 1}, Sharded())
    assert (discards.waiting, len(small)) == ([], 100)


def test_a_slice_of_nothing_is_nothing() -> None:
    discards = Discards()
    discards.free(100)
    emptied = [*range(1000)]
    discards.add(emptied)
    emptied.clear()
    discards.free(100)
    assert discards.waiting == []
