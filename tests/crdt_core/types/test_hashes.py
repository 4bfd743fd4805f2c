"""Hashes: how fields and shares share the names of parts, and what a field shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import TOMBSTONE, ObservedReset
from crdt_core.replica.replica import Replica
from crdt_core.types import HASH, View
from crdt_core.types.contract import LiveWrite
from crdt_core.types.counters import Share, add_to_share
from crdt_core.types.hashes import (
    field_counted,
    field_of,
    field_value,
    is_share,
    remove_field,
    set_field,
    share_part,
    slot_of,
    slot_part,
)
from crdt_core.types.registers import Stamped
from tests.crdt_core.histories import NOW
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.states import KEY, do, seen

FIELDS = st.one_of(st.binary(max_size=6), st.text("a\0", max_size=6).map(str.encode))
IDS = st.sampled_from(["n1", "n1.2", "x-9"])


def hash_of(**fields) -> View:
    """A hash, as n1 holds it, with these values, or with these amounts added by n1."""
    n1 = Replica("n1")
    for field, value in fields.items():
        part = slot_part(field.encode())
        if isinstance(value, bytes):
            do(n1, HASH, *set_field(seen(n1, HASH), part, value, NOW))
        else:
            do(n1, HASH, (share_part(part, "n1"), add_to_share(None, value)))
    return seen(n1, HASH)


@given(FIELDS, IDS)
def test_a_share_is_told_from_every_slot(field: bytes, replica: str) -> None:
    slot = slot_part(field)
    share = share_part(slot, replica)
    assert not is_share(slot)
    assert is_share(share)
    assert (slot_of(share), field_of(slot)) == (slot, field)
    assert (HASH.owner(slot), HASH.owner(share)) == (None, replica.encode())


@given(FIELDS, FIELDS, IDS, IDS)
def test_no_two_fields_and_no_two_replicas_share_a_part(one: bytes, other: bytes, mine: str, theirs: str) -> None:
    assert (slot_part(one) == slot_part(other)) == (one == other)
    assert (share_part(slot_part(one), mine) == share_part(slot_part(other), theirs)) == (
        (one, mine) == (other, theirs)
    )
    assert share_part(slot_part(one), mine) != slot_part(other)


def test_a_field_is_a_string_with_shares_on_top() -> None:
    view = hash_of(f=b"10", g=3)
    parts = {**view.parts, share_part(b"f", "n2"): (1, Share(5, 0))}
    index = view.replica_index
    index.index("n2")
    assert (field_value(parts, b"f", index), field_counted(parts, b"f", index)) == (b"15", 15)
    assert (field_value(parts, b"g", index), field_counted(parts, b"g", index)) == (b"3", 3)
    assert (field_value(parts, b"none", index), field_counted(parts, b"none", index)) == (None, 0)
    assert HASH.value(View(parts, index)) == {b"f": b"15", b"g": b"3"}
    word = hash_of(f=b"word")
    assert field_counted(word.parts, b"f", word.replica_index) is None


def test_a_remove_of_a_field_takes_what_it_saw_of_the_count() -> None:
    a, b = Replica("n1"), Replica("n2")
    do(a, HASH, *set_field(seen(a, HASH), b"n", b"5", NOW))
    sync(a, b)
    do(a, HASH, *remove_field(seen(a, HASH), b"n"))
    do(b, HASH, (share_part(b"n", "n2"), add_to_share(None, 2)))
    sync(a, b)
    assert a.value(KEY) == b.value(KEY) == {b"n": b"2"}
    assert remove_field(seen(a, HASH), b"none") == []


def test_a_delete_of_the_hash_resets_every_share_also_those_that_are_reset() -> None:
    view = hash_of(f=b"10", g=3)
    parts = {**view.parts, share_part(b"f", "n2"): (1, ObservedReset(5, 0))}
    assert HASH.remainders(View(parts, view.replica_index)) == [
        (share_part(b"g", "n1"), ObservedReset(3, 0)),
        (share_part(b"f", "n2"), ObservedReset(5, 0)),
    ]


def test_a_copy_has_the_values_and_not_the_shares() -> None:
    view = hash_of(f=b"10", g=3)
    copied = list(HASH.rewrite(View({}, ReplicaIndex()), HASH.contents(view), Stamp(9, 0)))
    assert copied == [(b"f", Stamped(b"10", 9)), (b"g", Stamped(b"3", 9))]


def test_events_name_what_happened_to_the_field() -> None:
    share, slot = share_part(b"f", "n1"), b"f"
    assert HASH.events(slot, None, (1, Stamped(b"v", 1))) == [b"hset"]
    assert HASH.events(share, None, (1, Share(1, 0))) == [b"hincrby"]
    assert HASH.events(slot, (1, Stamped(b"v", 1)), (2, TOMBSTONE)) == [b"hdel"]
    assert HASH.events(slot, (2, TOMBSTONE), None) == []


def test_a_share_is_explained_beside_the_slot_of_its_own_field() -> None:
    view = hash_of(f=b"word", g=b"10")
    for field, said in ((b"f", "would add 3, but what shows is no number"), (b"g", "adds 3")):
        share = share_part(field, "n2")
        parts = {**view.parts, share: (1, Share(3, 0))}
        write = LiveWrite(View(parts, view.replica_index), share, Dot("n2", 1), Share(3, 0), None, 0)
        assert HASH.explain(write) == said
