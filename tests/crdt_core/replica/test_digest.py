"""The digest covers what lasts and nothing else, so replicas with equal clocks can compare it."""

from __future__ import annotations

import pytest

from crdt_core.codec.records import encode_object, encode_part
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, ObservedReset, Siblings
from crdt_core.replica.digest import DIGEST_MASK, object_hash, part_hash
from crdt_core.types import ORSET, PNCOUNTER, RWSET, STRING
from crdt_core.types.counters import Share
from crdt_core.types.object import Object

INDEX = ReplicaIndex()
A1, B1 = INDEX.pack("n1", 1), INDEX.pack("n2", 1)


def counter(**shares: Siblings) -> Object:
    """Return the counter `hits` with these shares."""
    made = Object(b"hits", PNCOUNTER)
    for replica, siblings in shares.items():
        made.adopt(replica.encode(), siblings)
    return made


def test_a_hash_depends_on_key_type_part_and_siblings() -> None:
    fruit, nuts, banned = Object(b"fruit", ORSET), Object(b"nuts", ORSET), Object(b"fruit", RWSET)
    hashes = {
        part_hash(fruit, b"a", A1, INDEX),
        part_hash(nuts, b"a", A1, INDEX),
        part_hash(banned, b"a", A1, INDEX),
        part_hash(fruit, b"b", A1, INDEX),
        part_hash(fruit, b"a", B1, INDEX),
        part_hash(fruit, b"a", {A1: True, B1: True}, INDEX),
    }
    assert len(hashes) == 6
    assert all(0 < found <= DIGEST_MASK for found in hashes)


def test_key_and_part_cannot_be_confused() -> None:
    assert part_hash(Object(b"ab", ORSET), b"c", A1, INDEX) != part_hash(Object(b"a", ORSET), b"bc", A1, INDEX)


@pytest.mark.parametrize("siblings", [None, (A1, TOMBSTONE), (A1, ObservedReset(1, 0)), (A1, WINNING_TOMBSTONE)])
def test_a_part_that_shows_nothing_adds_nothing(siblings: Siblings) -> None:
    """A replica may have forgotten its removals already, and must have the same digest."""
    assert part_hash(Object(b"fruit", ORSET), b"a", siblings, INDEX) == 0
    assert object_hash(counter(n1=siblings), INDEX) == 0


def test_a_tombstone_beside_a_live_write_does_not_count_and_an_observed_reset_does() -> None:
    fruit, live = Object(b"fruit", ORSET), (B1, Share(9, 0))
    assert part_hash(fruit, b"a", {A1: TOMBSTONE, B1: True}, INDEX) == part_hash(fruit, b"a", B1, INDEX)
    assert object_hash(counter(n2={A1: TOMBSTONE, B1: Share(9, 0)}), INDEX) == object_hash(counter(n2=live), INDEX)
    assert object_hash(counter(n2={A1: ObservedReset(5, 0), B1: Share(9, 0)}), INDEX) != object_hash(
        counter(n2=live), INDEX
    )


def test_bytes_that_are_at_hand_give_the_same_hash() -> None:
    fruit, hits = Object(b"fruit", ORSET), counter(n1=(A1, Share(5, 0)), n2=(B1, Share(3, 0)))
    assert part_hash(fruit, b"a", A1, INDEX, encode_part(ORSET, A1, INDEX)) == part_hash(fruit, b"a", A1, INDEX)
    assert object_hash(hits, INDEX, encode_object(hits, INDEX)) == object_hash(hits, INDEX)


def test_bytes_at_hand_that_contain_a_tombstone_are_not_used() -> None:
    fruit, both = Object(b"fruit", ORSET), {A1: TOMBSTONE, B1: True}
    assert part_hash(fruit, b"a", both, INDEX, encode_part(ORSET, both, INDEX)) == part_hash(fruit, b"a", B1, INDEX)


def test_the_order_in_which_shares_were_made_does_not_matter() -> None:
    shares = {"n1": (A1, Share(5, 0)), "n2": (B1, Share(3, 0))}
    assert object_hash(counter(**shares), INDEX) == object_hash(counter(**dict(reversed(shares.items()))), INDEX)
    assert object_hash(Object(b"s", STRING), INDEX) == 0
