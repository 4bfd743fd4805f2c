"""The orders of large collections: made when somebody scans, kept right by every change, and only a few of them."""

from __future__ import annotations

from itertools import pairwise

from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.discards import Discards
from crdt_core.replica.part_orders import PartOrders
from crdt_core.replica.replica import Replica
from crdt_core.replica.steps import finish
from crdt_core.types import HASH, ORSET
from crdt_core.types.object import Object

NOW = Stamp(1, 0)


def collection(replica: Replica, key: bytes, parts: int = 30) -> Object:
    for number in range(parts):
        replica.write(key, ORSET, b"%d" % number, True)
    replica.commit(NOW)
    replica.take_changes()
    found = replica.head(key)
    assert found is not None
    return found


def test_an_order_follows_what_comes_and_goes() -> None:
    replica = Replica("n1")
    found = collection(replica, b"s")
    orders = replica.catalogue.scan_index.parts
    order = finish(orders.make_by_step(found))
    assert {*order} == found.parts.keys()
    collection(replica, b"s", 40)
    collection(replica, b"another", 50)
    assert {*order} == found.parts.keys()
    replica.catalogue.put(found, b"7", None)
    assert b"7" not in order
    assert {*order} == found.parts.keys()
    assert finish(orders.make_by_step(found)) is order


def test_an_order_is_made_in_small_steps() -> None:
    steps = list(PartOrders(Discards()).make_by_step(collection(Replica("n1"), b"s", 200)))
    assert len(steps) == 10


def test_only_the_orders_that_were_used_last_are_kept() -> None:
    orders = PartOrders(Discards())
    for number in range(40):
        finish(orders.make_by_step(Object(b"%d" % number, HASH)))
        orders.find(b"0", "hash")
    assert orders.find(b"0", "hash") is not None
    assert orders.find(b"1", "hash") is None
    assert len(orders.kept) < 40


def test_an_order_that_is_dropped_is_freed_in_slices() -> None:
    """An order of millions of parts was freed at once, and nobody was answered meanwhile."""
    replica = Replica("n1")
    orders, discards = replica.catalogue.scan_index.parts, replica.catalogue.discards
    order = finish(orders.make_by_step(collection(replica, b"s", 5000)))
    for number in range(40):
        finish(orders.make_by_step(Object(b"%d" % number, HASH)))
    assert orders.find(b"s", "orset") is None
    left = [len([*order])]
    while discards.waiting:
        discards.free(500)
        left.append(len([*order]))
    assert left[0] == 5000
    assert left[-1] == 0
    assert all(before - after <= 500 for before, after in pairwise(left))


def test_an_order_that_nobody_waits_for_any_more_is_freed_in_slices_too() -> None:
    replica = Replica("n1")
    making = replica.catalogue.scan_index.parts.make_by_step(collection(replica, b"s", 5000))
    for _ in range(200):
        next(making)
    assert not replica.catalogue.discards.waiting
    making.close()
    assert replica.catalogue.discards.waiting


def test_of_two_that_make_one_order_at_the_same_time_both_get_it() -> None:
    replica = Replica("n1")
    orders, found = replica.catalogue.scan_index.parts, collection(replica, b"s", 5000)
    slow = orders.make_by_step(found)
    next(slow)
    order = finish(orders.make_by_step(found))
    assert finish(slow) is order
    assert replica.catalogue.discards.waiting
