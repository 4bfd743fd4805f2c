"""Forgetting: stable removals go, the others wait their turn, and a bounded call comes round to all of them."""

from __future__ import annotations

from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.siblings import TOMBSTONE, ObservedReset
from crdt_core.replica.catalogue import Catalogue
from crdt_core.replica.forgetting import forget_stable
from crdt_core.types import ORSET, PNCOUNTER
from crdt_core.types.counters import Share

MANY = 1000


def removed(*counters: int) -> Catalogue:
    """A catalogue whose set `s` has a tombstone for each of these commits of n1."""
    made = Catalogue()
    for counter in counters:
        made.put(made.ensure(b"s", ORSET), b"%d" % counter, (made.replica_index.pack("n1", counter), TOMBSTONE))
    return made


def forget(
    catalogue: Catalogue, tombstones_max: int = MANY, kept: tuple[bytes, ...] = (), **stable: int
) -> list[bytes | None]:
    """Forget what is stable; return the parts that wait, those of this round first."""
    forget_stable(catalogue, catalogue.replica_index.dense_clock(stable), tombstones_max, kept)
    return [part for _, _, part in catalogue.tombstones]


def test_a_stable_tombstone_goes_and_another_waits() -> None:
    catalogue = removed(1, 2, 3)
    assert forget(catalogue, n1=2) == [b"3"]
    assert list(catalogue.heads[b"s"].parts) == [b"3"]
    assert forget(catalogue, n1=3) == []
    assert catalogue.size == 0


def test_a_call_looks_at_so_many_addresses_and_comes_round_to_those_that_wait() -> None:
    catalogue = removed(1, 2, 3, 4, 5)
    left = {*forget(catalogue, 2)} - {*forget(catalogue, 2, n1=5)}
    assert len(left) == 2, "as many as a call looks at"
    assert len(forget(catalogue, 2, n1=5)) == 1
    assert forget(catalogue, 2, n1=5) == []


def test_a_stable_tombstone_beside_one_that_is_not_goes_alone() -> None:
    catalogue = Catalogue()
    index = catalogue.replica_index
    both = {index.pack("n1", 1): TOMBSTONE, index.pack("n2", 1): TOMBSTONE}
    catalogue.put(catalogue.ensure(b"s", ORSET), b"x", both)
    assert forget(catalogue, n1=1) == [b"x"]
    assert catalogue.heads[b"s"].parts == {b"x": (index.pack("n2", 1), TOMBSTONE)}


def test_stable_clears_go_one_by_one() -> None:
    catalogue = Catalogue()
    dot, found = catalogue.replica_index.pack, catalogue.ensure(b"s", ORSET)
    catalogue.put_clears(found, {dot("n1", 1): VersionVector(), dot("n2", 1): VersionVector()})
    assert forget(catalogue, n1=1) == [None]
    assert list(found.clears) == [dot("n2", 1)]
    assert forget(catalogue, n1=1, n2=1) == []
    assert found.clears == {}


def test_the_shares_of_a_kept_owner_stay_as_they_are() -> None:
    """The owner may come back, and tell how much more it had counted than the reset saw."""
    catalogue = Catalogue()
    hits, dot = catalogue.ensure(b"hits", PNCOUNTER), catalogue.replica_index.pack
    catalogue.put(hits, b"n1", (dot("n2", 1), ObservedReset(5, 0)))
    catalogue.put(hits, b"n3", (dot("n2", 1), ObservedReset(7, 0)))
    assert forget(catalogue, kept=(b"n3",), n2=1) == [b"n3"]
    assert list(hits.parts) == [b"n3"]
    assert forget(catalogue, n2=1) == []


def test_a_reset_beside_a_live_share_waits_for_the_owners_next_write() -> None:
    catalogue = Catalogue()
    hits, dot = catalogue.ensure(b"hits", PNCOUNTER), catalogue.replica_index.pack
    catalogue.put(hits, b"n1", {dot("n1", 2): Share(9, 0), dot("n2", 1): ObservedReset(5, 0)})
    assert forget(catalogue, n1=2, n2=1) == [b"n1"]
    catalogue.put(hits, b"n1", (dot("n1", 3), Share(10, 0, 5, 0)))
    assert forget(catalogue, n1=2, n2=1) == []
