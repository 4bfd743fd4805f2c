"""One object under a key: how many of its parts show, and which of several objects prevails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.siblings import TOMBSTONE, Siblings, shows
from crdt_core.lattice.split_dict import SplitDict
from crdt_core.types import EXPIRY, GSET, ORSET, PNCOUNTER, SLOT
from crdt_core.types.expiry import Until
from crdt_core.types.object import SPLIT_FROM, Object


def holding(type_, part: bytes = b"a", payload=True) -> Object:
    """An object of that type with one write in it."""
    made = Object(b"k", type_)
    made.adopt(part, 1 if payload is True else (1, payload))
    return made


def test_it_counts_the_parts_that_show() -> None:
    made = Object(b"k", ORSET)
    assert made.empty
    made.adopt(b"a", 1)
    made.adopt(b"b", (2, TOMBSTONE))
    assert (made.live, made.empty) == (1, False)
    made.adopt(b"a", (3, TOMBSTONE))
    assert made.live == 0
    made.adopt(b"b", 4)
    assert made.live == 1
    made.adopt(b"b", None)
    assert (made.live, list(made.parts)) == (0, [b"a"])
    made.adopt(b"none", None)


def test_a_clear_is_something_left() -> None:
    made = Object(b"k", ORSET)
    made.clears = {1: VersionVector()}
    assert not made.empty
    assert made.showing() == []


def test_the_object_of_the_type_that_stands_first_prevails() -> None:
    head, counter, grow_only = holding(ORSET), holding(PNCOUNTER, b"n1", "share"), holding(GSET)
    head.type_conflicts = [grow_only, counter]
    assert list(head.chain()) == [head, grow_only, counter]
    assert head.showing() == [counter, head, grow_only]
    head.adopt(b"a", None)
    assert head.showing() == [counter, grow_only]


def test_an_attribute_never_shows() -> None:
    expiry = holding(EXPIRY, SLOT, Until(5))
    assert expiry.live == 1
    assert expiry.showing() == []
    head = holding(ORSET)
    head.type_conflicts = [expiry]
    assert head.showing() == [head]


def test_only_a_collection_has_a_hash_from_the_beginning() -> None:
    assert (Object(b"k", ORSET).counted_hash, Object(b"k", PNCOUNTER).counted_hash) == (0, None)


_PARTS = st.sampled_from([b"", b"a", b"b", b"c"])
_SIBLINGS: st.SearchStrategy[Siblings] = st.sampled_from(
    [None, 4096, (4096, "x"), (4096, TOMBSTONE), {1: True, 2: TOMBSTONE}]
)


@given(st.lists(st.tuples(_PARTS, _SIBLINGS), max_size=12), st.booleans())
def test_the_flat_form_and_the_parts_say_the_same(puts: list[tuple[bytes, Siblings]], in_dicts: bool) -> None:
    """Whatever is put into an object, it reads like a dict of the same parts, in every form that it takes."""
    made = Object(b"k", ORSET)
    if in_dicts:
        made.parts = SplitDict()
    parts: dict[bytes, Siblings] = {}
    for part, siblings in puts:
        made.adopt(part, siblings)
        parts.pop(part, None)
        if siblings is not None:
            parts[part] = siblings
        assert dict(made.parts) == parts
        assert sorted(made.walk()) == sorted(parts)
        assert [made.get(name) for name in (b"", b"a", b"b", b"c")] == [parts.get(n) for n in (b"", b"a", b"b", b"c")]
        assert (made.size, made.empty, made.live) == (len(parts), not parts, sum(map(shows, parts.values())))
        assert made.only is None or (made.many is None and made.held is not None)


def test_an_object_of_one_part_is_flat_until_a_second_one_comes() -> None:
    made = Object(b"k", ORSET)
    made.put(b"a", 1)
    assert (made.only, made.held, made.many) == (b"a", 1, None)
    made.put(b"b", 2)
    assert (made.only, made.held, made.many) == (None, None, {b"a": 1, b"b": 2})


def test_many_parts_are_spread_over_many_dicts() -> None:
    """One dict of 700 000 members was moved when it grew, which held the node for 40 ms."""
    made = Object(b"k", ORSET)
    for number in range(SPLIT_FROM - 1):
        made.adopt(b"%d" % number, 1)
    assert type(made.parts) is dict
    made.adopt(b"one more", 1)
    assert type(made.parts) is SplitDict
    assert (len(made.parts), made.live) == (SPLIT_FROM, SPLIT_FROM)
    for number in range(1000):
        made.adopt(b"%d" % number, None)
        made.adopt(b"new %d" % number, 2)
    assert sorted(made.walk()) == sorted(made.parts)
    assert (type(made.parts), len(made.parts), made.live) == (SplitDict, SPLIT_FROM, SPLIT_FROM)
