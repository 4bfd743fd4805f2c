"""What is left of removals, deletes and type conflicts once every replica has heard of them."""

from __future__ import annotations

import pytest

from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.deltas import Write
from crdt_core.replica.replica import Applied, Replica
from crdt_core.types.counters import Share
from tests.crdt_core.histories import (
    NOW,
    PLENTY,
    Operation,
    Store,
    World,
    delete,
    lasting_state,
    replay,
    revive,
    values,
    whole_state,
)
from tests.crdt_core.replicas import add, commit, count, forget, pair, remove, sync

# Type conflicts.


def test_of_two_types_under_one_key_the_first_by_rank_shows_and_the_other_stays() -> None:
    n1, n2 = pair()
    commit(n1, Operation(b"k", "mvregister", "set", b"v"))
    commit(n2, count(3, b"k"))
    sync(n1, n2)
    for replica in (n1, n2):
        assert replica.value(b"k") == 3
        assert [link.type.name for link in replica.showing(b"k")] == ["pncounter", "mvregister"]


def test_a_delete_takes_both_types_and_spares_what_it_has_not_seen() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a", b"k"))
    commit(n2, count(3, b"k"))
    sync(n1, n2)
    commit(n1, delete(b"k"))
    commit(n2, count(2, b"k"))
    sync(n1, n2)
    assert values(n1) == values(n2) == {(b"k", "pncounter"): 2}


@pytest.mark.parametrize("removal", [remove(b"old", b"k"), delete(b"k")], ids=["remove", "clear"])
def test_a_key_that_changed_type_leaves_nothing_of_the_old_one(removal: Operation) -> None:
    """After a restart, the new collection must not find the members of the old one in its hash."""
    n1 = Replica("n1")
    store: Store = {}
    commit(n1, add(b"old", b"k"))
    replay(store, n1.take_changes())
    commit(n1, removal)
    replay(store, n1.take_changes())
    forget(n1)
    replay(store, n1.take_changes())
    assert store == {}
    commit(n1, Operation(b"k", "gset", "add", b"new"))
    replay(store, n1.take_changes())
    assert values(revive(n1, store)) == {(b"k", "gset"): [b"new"]}


# Removals, and what is left at rest.


@pytest.mark.parametrize("operation", [remove(b"a"), delete(b"s"), delete(b"c")], ids=["remove", "clear", "reset"])
def test_a_removal_waits_until_it_is_stable_and_is_then_gone(operation: Operation) -> None:
    n1, n2 = pair()
    commit(n1, add(b"a"), count(5))
    sync(n1, n2)
    commit(n1, operation)
    assert n1.stabilise(VersionVector(n1=1), PLENTY) == 1
    sync(n1, n2)
    assert forget(n1, n2) == [0, 0]
    for replica in (n1, n2):
        assert {part[:3]: part.siblings for part in replica.patch(None, NOW).parts} == lasting_state(replica)


def test_stabilising_looks_at_so_many_removals_and_comes_round_to_all() -> None:
    n1 = Replica("n1")
    commit(n1, *[add(b"%d" % n) for n in range(10)])
    early = n1.clock.copy()
    commit(n1, *[remove(b"%d" % n) for n in range(5)])
    assert n1.stabilise(early, 3) == 5, "none of them is stable yet"
    middle = n1.clock.copy()
    commit(n1, *[remove(b"%d" % n) for n in range(5, 10)])
    waiting = [n1.stabilise(middle, 3) for _ in range(4)]
    assert waiting[-1] == 5
    assert [n1.stabilise(n1.clock, 3), n1.stabilise(n1.clock, 3)] == [2, 0]


def test_adding_and_removing_for_ever_leaves_nothing() -> None:
    n1, n2 = pair()
    store: Store = {}
    for number in range(200):
        commit(n1, add(b"%d" % number))
        sync(n1, n2)
        commit(n2, remove(b"%d" % number))
        sync(n1, n2)
        forget(n1, n2)
        replay(store, n1.take_changes())
        assert len(n1.patch(None, NOW).parts) == 0
    assert store == {}
    assert not n1.catalogue.heads
    assert not n1.catalogue.tombstones
    assert n1.changed_since(n1.clock) == []
    assert n1.changed_since(VersionVector()) is None, "the change index has forgotten what every replica has"
    assert n1.digest == 0


def test_counting_and_deleting_for_ever_leaves_one_write_per_share() -> None:
    """Even if nothing is ever stable: the owner's next write takes the observed resets into its base."""
    n1, n2 = pair()
    for _ in range(100):
        commit(n1, count(3))
        commit(n2, count(-1))
        sync(n1, n2)
        commit(n1, delete(b"c"))
        commit(n2, count(2))
        sync(n1, n2)
        assert n1.value(b"c") == n2.value(b"c") == 2
    parts = n1.patch(None, NOW).parts
    assert len(parts) == 2
    assert all(len(part.siblings) <= 2 for part in parts)
    commit(n1, count(0))
    commit(n2, count(0))
    sync(n1, n2)
    assert [len(part.siblings) for part in n1.patch(None, NOW).parts] == [1, 1]


def test_two_concurrent_deletes_take_away_what_either_saw_once() -> None:
    n1, n2, n3 = Replica("n1"), Replica("n2"), Replica("n3")
    n2.apply(commit(n1, count(5)))
    n3.join(n2.patch(None, NOW))
    n3.apply(commit(n1, count(1)))
    commit(n2, delete(b"c"))
    commit(n3, delete(b"c"))
    commit(n1, count(10))
    sync(n1, n2, n3)
    assert [replica.value(b"c") for replica in (n1, n2, n3)] == [10, 10, 10]


def test_a_share_that_starts_anew_is_not_diminished_by_its_former_life() -> None:
    """n1 has forgotten what it once had; n2 still holds the observed reset of it."""
    n1, n2 = pair()
    n2.apply(commit(n1, count(5)))
    n1.apply(commit(n2, delete(b"c")))
    n1.stabilise(n1.clock, PLENTY)
    anew = commit(n1, count(2))
    assert anew.writes == (Write(b"c", "pncounter", b"n1", Share(2, 0)),)
    assert n2.apply(anew) is Applied.YES
    assert n2.value(b"c") == 2
    commit(n2, delete(b"c"))
    n2.join(n1.patch(None, NOW))
    assert n2.value(b"c") is None


def test_one_replica_that_has_forgotten_and_one_that_has_not_have_one_digest() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a"), add(b"b"), count(5), Operation(b"t", "gset", "add", b"x"))
    sync(n1, n2)
    commit(n2, remove(b"a"), delete(b"c"), delete(b"t"))
    sync(n1, n2)
    forget(n1)
    for replica in (n1, n2):
        replica.take_changes()
    assert {*n1.catalogue.tombstones} != {*n2.catalogue.tombstones}
    assert n1.digest == n2.digest != 0


def test_a_replica_that_rejoins_with_everything_removed_is_empty_like_the_others() -> None:
    world = World(3)
    n1, n2, n3 = world.replicas
    commit(n1, *[add(b"%d" % n) for n in range(50)], count(5))
    sync(n1, n2, n3)
    commit(n2, delete(b"s"), delete(b"c"))
    sync(n1, n2)
    sync(n1, n2, n3)
    forget(n1, n2, n3)
    assert [values(replica) for replica in world.replicas] == [{}, {}, {}]
    assert whole_state(n1) == whole_state(n2) == whole_state(n3)
