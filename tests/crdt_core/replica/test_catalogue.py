"""The catalogue: what it derives from the parts is right after every change, and `take_changes` costs what changed."""

from __future__ import annotations

import pytest

from crdt_core.codec.records import STATE, Record
from crdt_core.lattice.clocks import VersionVector
from crdt_core.replica.catalogue import Catalogue
from crdt_core.types import GSET, ORSET, PNCOUNTER
from crdt_core.types.counters import Share
from crdt_core.types.object import Object
from tests.crdt_core.histories import Store, replay

KEY = b"fruit"
APPLE = (KEY, "orset", b"apple")


@pytest.fixture
def catalogue() -> Catalogue:
    """A set `fruit` with the member `apple`, whose changes are taken and confirmed."""
    made = Catalogue()
    made.put(made.ensure(KEY, ORSET), b"apple", made.replica_index.pack("n1", 1))
    made.take_changes()
    made.in_flight = {}
    return made


def test_what_is_in_flight_is_what_was_there_before(catalogue: Catalogue) -> None:
    fruit, dot = catalogue.ensure(KEY, ORSET), catalogue.replica_index.pack
    catalogue.put(fruit, b"apple", dot("n1", 2))
    catalogue.put(fruit, b"apple", dot("n1", 3))
    catalogue.put(fruit, b"pear", dot("n1", 3))
    assert catalogue.has_changed({KEY})
    assert not catalogue.has_changed({b"nuts"})
    catalogue.take_changes()
    assert catalogue.in_flight == {APPLE: dot("n1", 1), (KEY, "orset", b"pear"): None}
    assert not catalogue.has_changed({KEY})
    catalogue.in_flight = {}
    assert catalogue.in_flight == {}


def test_an_object_of_one_record_is_hashed_as_it_was_before_its_first_change() -> None:
    """One that was loaded is not hashed when it is loaded, so it must be when it is first changed."""
    loaded, made = Catalogue(), Catalogue()
    dot = loaded.replica_index.pack
    counter = Object(b"hits", PNCOUNTER)
    counter.adopt(b"n1", (dot("n1", 1), Share(5, 0)))
    loaded.adopt(counter)
    loaded.digest = before = digest_of(made, [(1, 5)])
    loaded.put(counter, b"n1", (dot("n1", 2), Share(6, 0)))
    loaded.take_changes()
    assert loaded.digest == digest_of(made, [(2, 6)]) != before


def digest_of(catalogue: Catalogue, shares: list[tuple[int, int]]) -> int:
    """The digest of `catalogue` after n1 has counted so at these commits."""
    for counter, total in shares:
        hits = catalogue.ensure(b"hits", PNCOUNTER)
        catalogue.put(hits, b"n1", (catalogue.replica_index.pack("n1", counter), Share(total, 0)))
        catalogue.take_changes()
    return catalogue.digest


def test_the_records_of_everything_make_the_same_store_as_the_changes_did(catalogue: Catalogue) -> None:
    dot = catalogue.replica_index.pack
    store: Store = {}
    replay(store, catalogue.records())
    catalogue.put(catalogue.ensure(KEY, GSET), b"nut", dot("n2", 1))
    catalogue.put(catalogue.ensure(b"hits", PNCOUNTER), b"n2", (dot("n2", 1), Share(1, 0)))
    catalogue.put(catalogue.ensure(KEY, ORSET), b"apple", None)
    replay(store, catalogue.take_changes())
    everything: Store = {}
    replay(everything, catalogue.records())
    assert store == everything
    assert store[STATE][KEY] == b'{"type":"orset","rivals":[{"type":"gset"}]}'


def test_an_object_of_which_nothing_is_left_goes_with_its_records(catalogue: Catalogue) -> None:
    catalogue.put(catalogue.ensure(KEY, ORSET), b"apple", None)
    assert list(catalogue.take_changes()) == [Record(STATE, KEY, None), Record(b"obj:fruit", None, None)]
    assert catalogue.heads == {}
    assert catalogue.digest == 0


def test_the_sum_of_removals_follows_what_is_removed_and_forgotten() -> None:
    catalogue = Catalogue()
    fruit, dots = catalogue.ensure(KEY, ORSET), [catalogue.replica_index.pack("n1", counter) for counter in (1, 2, 3)]
    catalogue.put(fruit, b"apple", (dots[0], None))
    catalogue.take_changes()
    once = catalogue.removals
    assert once
    catalogue.put(fruit, b"apple", (dots[1], None))
    catalogue.take_changes()
    assert catalogue.removals not in {0, once}
    catalogue.put_clears(fruit, {dots[2]: VersionVector()})
    catalogue.put(fruit, b"apple", None)
    catalogue.take_changes()
    assert catalogue.removals
    catalogue.put_clears(fruit, {})
    catalogue.take_changes()
    assert catalogue.removals == 0
