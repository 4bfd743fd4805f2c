"""What stands where is kept up to date through every change, and whoever watches is shown what was there before."""

from __future__ import annotations

import pytest

from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.replica.objects import Objects
from crdt_core.types import EXPIRY, GSET, ORSET, PNCOUNTER, SLOT
from crdt_core.types.expiry import Until

KEY = b"fruit"
APPLE = (KEY, "orset", b"apple")


@pytest.fixture
def objects() -> Objects:
    """A set `fruit` with the member `apple`."""
    made = Objects()
    made.put(made.ensure(KEY, ORSET), b"apple", made.replica_index.pack("n1", 1))
    return made


def test_a_part_counts_as_live_while_it_shows_something(objects: Objects) -> None:
    fruit, dot = objects.ensure(KEY, ORSET), objects.replica_index.pack
    assert (fruit.live, objects.size, list(objects.tombstones)) == (1, 1, [])
    objects.put(fruit, b"apple", (dot("n1", 2), TOMBSTONE))
    assert (fruit.live, objects.size, list(objects.tombstones)) == (0, 1, [APPLE])
    objects.put(fruit, b"apple", {dot("n1", 2): TOMBSTONE, dot("n2", 1): True})
    assert (fruit.live, objects.size, list(objects.tombstones)) == (1, 1, [APPLE])
    objects.put(fruit, b"apple", dot("n1", 3))
    assert (fruit.live, objects.size, list(objects.tombstones)) == (1, 1, [])
    objects.put(fruit, b"apple", None)
    assert (fruit.live, objects.size, list(objects.tombstones)) == (0, 0, [])


def test_clears_are_removals_that_wait_to_be_forgotten(objects: Objects) -> None:
    fruit = objects.ensure(KEY, ORSET)
    objects.put_clears(fruit, {objects.replica_index.pack("n1", 2): VersionVector(n1=1)})
    assert list(objects.tombstones) == [(KEY, "orset", None)]
    assert list(objects.addresses()) == [(KEY, "orset", None), APPLE]
    objects.put_clears(fruit, {})
    assert not objects.tombstones


def test_the_head_of_a_key_lists_the_objects_of_other_types(objects: Objects) -> None:
    fruit, counter = objects.ensure(KEY, ORSET), objects.ensure(KEY, PNCOUNTER)
    assert list(objects.heads[KEY].chain()) == [fruit, counter]
    assert objects.find(KEY, "pncounter") is counter
    assert objects.find(KEY, "gset") is None
    assert objects.find(b"nuts", "orset") is None
    assert objects.showing(KEY) == [fruit], "the counter shows nothing yet"
    assert objects.ensure(KEY, PNCOUNTER) is counter


def test_an_attribute_is_never_the_head(objects: Objects) -> None:
    """A deadline may arrive before the object that it is about; the object's parts are then found all the same."""
    expiry = objects.ensure(b"nuts", EXPIRY)
    objects.put(expiry, SLOT, (objects.replica_index.pack("n2", 1), Until(5)))
    nuts = objects.ensure(b"nuts", GSET)
    assert list(objects.heads[b"nuts"].chain()) == [nuts, expiry]
    assert list(objects.expiring) == [b"nuts"]


def test_a_watch_collects_what_was_there_before_every_change_until_it_ends(objects: Objects) -> None:
    fruit, dot = objects.ensure(KEY, ORSET), objects.replica_index.pack
    changed, other = objects.watch(), objects.watch()
    objects.put(fruit, b"apple", objects.heads[KEY].parts[b"apple"])
    assert changed == {}, "nothing has changed"
    objects.put(fruit, b"pear", dot("n1", 2))
    objects.put_clears(fruit, {dot("n1", 3): VersionVector(n1=2)})
    objects.put(fruit, b"pear", dot("n1", 4))
    assert changed == other == {(KEY, "orset", b"pear"): None, (KEY, "orset", None): {}}
    objects.unwatch(changed)
    objects.unwatch(changed)
    objects.put(fruit, b"apple", None)
    assert APPLE not in changed
    assert APPLE in other
    objects.unwatch(other)
    assert not objects.is_watched


def test_the_addresses_can_be_read_while_they_change(objects: Objects) -> None:
    fruit = objects.ensure(KEY, ORSET)
    for number in range(5):
        objects.put(fruit, b"%d" % number, objects.replica_index.pack("n1", 2 + number))
    walk = objects.addresses()
    assert next(walk) == APPLE
    objects.put(fruit, b"3", None)
    objects.put(objects.ensure(b"nuts", ORSET), b"new", objects.replica_index.pack("n1", 9))
    left = [address[2] for address in walk if address[0] == KEY]
    assert len(left) == len(set(left))
    assert set(left) >= {b"0", b"1", b"2", b"4"}
