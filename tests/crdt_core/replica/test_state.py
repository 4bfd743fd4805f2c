"""What can be read of a replica: patches for others, values, and a state that was restored."""

from __future__ import annotations

import pytest

from crdt_core.codec.patches import encode_patch
from crdt_core.codec.records import STATE
from crdt_core.lattice.clocks import VersionVector
from crdt_core.replica.replica import Replica
from crdt_core.types import LWWREGISTER, ORSET, PNCOUNTER
from tests.crdt_core.histories import (
    NOW,
    PLENTY,
    Operation,
    Store,
    delete,
    lasting_state,
    replay,
    revive,
    values,
    whole_state,
)
from tests.crdt_core.replicas import add, commit, count, forget, listed, pair, remove, sync


@pytest.mark.parametrize("change_index_max", [0, PLENTY])
def test_a_patch_for_one_changed_member_of_many_carries_one_part(change_index_max: int) -> None:
    n1, n2 = Replica("n1", change_index_max), Replica("n2")
    n2.apply(commit(n1, *[add(b"%d" % n) for n in range(10_000)]))
    commit(n1, add(b"7"))
    patch = n1.patch(n2.clock, NOW)
    assert listed(patch) == {b"7"}
    assert len(encode_patch(patch)) < 200
    assert n2.join(patch) == 1
    assert whole_state(n1) == whole_state(n2)


@pytest.mark.parametrize("change_index_max", [0, PLENTY])
def test_a_patch_for_a_clear_carries_the_clear(change_index_max: int) -> None:
    n1, n2 = Replica("n1", change_index_max), Replica("n2")
    n2.apply(commit(n1, *[add(b"%d" % n) for n in range(1000)]))
    commit(n1, delete(b"s"))
    patch = n1.patch(n2.clock, NOW)
    assert listed(patch) == {None}
    n2.join(patch)
    assert values(n2) == {}


def test_a_patch_for_someone_who_lacks_nothing_is_empty() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a"), delete(b"s"), add(b"b"))
    n2.join(n1.patch(n2.clock, NOW))
    assert not n1.patch(n2.clock, NOW).parts
    assert not n2.patch(n1.clock, NOW).parts


def test_someone_who_lacks_forgotten_removals_gets_the_full_state() -> None:
    n1, n2 = pair()
    n2.apply(commit(n1, add(b"a"), add(b"b")))
    behind = n2.clock.copy()
    commit(n1, remove(b"a"))
    n1.stabilise(n1.clock, PLENTY)
    patch = n1.patch(behind, NOW)
    assert patch.since is None
    n2.join(patch)
    assert n2.value(b"s") == [b"b"]


def test_the_change_index_is_bounded_and_a_patch_is_whole_all_the_same() -> None:
    n1, n2 = Replica("n1", change_index_max=10), Replica("n2")
    for number in range(100):
        commit(n1, add(b"%d" % number))
        if number % 7 == 0:
            n2.join(n1.patch(n2.clock, NOW))
    assert n1.changed_since(VersionVector(n1=95)) == [((b"s", "orset", b"%d" % n),) for n in (99, 98, 97, 96, 95)]
    assert n1.changed_since(VersionVector(n1=85)) is None
    n2.join(n1.patch(VersionVector(n1=85), NOW))
    assert whole_state(n1) == whole_state(n2)


def test_a_restored_replica_keeps_clocks_of_its_own() -> None:
    clock = VersionVector(n1=1)
    replica = Replica("n1")
    replica.restore(clock, clock, 0, [])
    commit(replica, add(b"a"))
    assert replica.clock == {"n1": 2}
    assert replica.stable == clock == {"n1": 1}


def test_a_replica_restored_amid_conflicts_of_type_and_unforgotten_removals_goes_on() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a", b"k"), add(b"b", b"k"))
    commit(n2, Operation(b"k", "gset", "add", b"g"), count(4, b"k"))
    sync(n1, n2)
    commit(n1, remove(b"a", b"k"))
    store: Store = {}
    replay(store, n1.take_changes())
    assert store.keys() == {STATE, b"obj:k", b"rival:gset:k"}
    restored = revive(n1, store)
    assert whole_state(restored) == whole_state(n1)
    assert [link.type.name for link in restored.showing(b"k")] == ["pncounter", "orset", "gset"]
    sync(restored, n2)
    forget(restored, n2)
    replay(store, restored.take_changes())
    assert lasting_state(restored) == lasting_state(n2)
    assert b"a" not in store[b"obj:k"]


def test_views_of_an_object_that_was_never_made_are_empty() -> None:
    n1 = Replica("n1")
    assert n1.value(b"nothing") is None
    assert ORSET.value(n1.view(b"nothing", ORSET)) == []
    assert PNCOUNTER.value(n1.view(b"nothing", PNCOUNTER)) == 0
    assert LWWREGISTER.value(n1.view(b"nothing", LWWREGISTER)) is None
    assert n1.delete(b"nothing") is False
    assert not n1.take_changes()
