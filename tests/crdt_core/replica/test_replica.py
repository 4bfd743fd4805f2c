"""The replica: when a delta is taken, what one commit carries, what a patch costs, and what the store is told."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.codec.records import STATE
from crdt_core.errors import InvariantBroken, PatchTooNew
from crdt_core.lattice.clocks import Dot, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart, Write
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.replica.replica import Applied, Replica
from crdt_core.types import SLOT
from tests.crdt_core.histories import (
    NOW,
    PLENTY,
    Operation,
    Store,
    delete,
    perform,
    replay,
    values,
    whole_state,
)
from tests.crdt_core.replicas import add, commit, count, forget, listed, pair, remove, sync

# One commit.


def test_one_commit_is_one_dot_however_many_writes() -> None:
    n1 = Replica("n1")
    delta = commit(n1, add(b"a"), count(2), add(b"b", b"t"))
    assert delta.dot == Dot("n1", 1)
    assert delta.deps == {}
    assert len(delta.writes) == 3
    assert commit(n1, add(b"c")).deps == {"n1": 1}
    assert n1.clock == {"n1": 2}


def test_nothing_written_is_no_commit() -> None:
    n1 = Replica("n1")
    assert n1.commit(NOW) is None
    perform(n1, remove(b"never seen"))
    perform(n1, delete(b"never made"))
    assert n1.commit(NOW) is None
    assert n1.clock == {}


def test_writes_show_at_once_and_travel_with_the_commit() -> None:
    n1 = Replica("n1")
    perform(n1, count(3))
    assert n1.value(b"c") == 3
    assert n1.clock == {}


def test_many_writes_to_one_part_share_a_commit_as_one_write() -> None:
    n1, n2 = pair()
    delta = commit(n1, *[count(1)] * 100, *[Operation(b"r", "lwwregister", "set", b"%d" % n) for n in range(9)])
    assert [write[:3] for write in delta.writes] == [(b"c", "pncounter", b"n1"), (b"r", "lwwregister", SLOT)]
    n2.apply(delta)
    assert (n2.value(b"c"), n2.value(b"r")) == (100, b"8")


def test_an_add_and_its_remove_in_one_commit_are_one_removal() -> None:
    n1, n2 = pair()
    delta = commit(n1, add(b"a"), remove(b"a"))
    assert delta.writes == (Write(b"s", "orset", b"a", TOMBSTONE),)
    n2.apply(delta)
    assert n2.value(b"s") is None


def test_all_writes_of_a_commit_become_visible_together() -> None:
    n1, n2 = pair()
    delta = commit(n1, add(b"a"), count(2), Operation(b"r", "mvregister", "set", b"v"))
    assert values(n2) == {}
    n2.apply(delta)
    assert values(n2) == values(n1)


def test_a_clear_is_one_write_however_large_the_set() -> None:
    n1, n2 = pair()
    n2.apply(commit(n1, *[add(b"%d" % n) for n in range(10_000)]))
    delta = commit(n1, delete(b"s"))
    assert delta.writes == (Write(b"s", "orset", None, None),)
    n2.apply(delta)
    assert n2.value(b"s") is None


def test_a_clear_forgets_what_the_same_commit_wrote_before_and_keeps_what_it_wrote_after() -> None:
    n1, n2 = pair()
    n2.apply(commit(n1, add(b"old")))
    delta = commit(n1, add(b"other", b"t"), add(b"before"), delete(b"s"), add(b"after"))
    assert [write.part for write in delta.writes] == [None, b"other", b"after"], "clears come first"
    n2.apply(delta)
    assert n1.value(b"s") == n2.value(b"s") == [b"after"]


def test_a_clear_leaves_what_it_has_not_seen() -> None:
    n1, n2 = pair()
    n2.apply(commit(n1, add(b"seen")))
    clearing, adding = commit(n1, delete(b"s")), commit(n2, add(b"seen"), add(b"new"))
    n1.apply(adding)
    n2.apply(clearing)
    assert n1.value(b"s") == n2.value(b"s") == [b"new", b"seen"]


def test_a_set_store_replaces_what_it_saw() -> None:
    """A store is an observed delete of the destination plus adds, in one commit."""
    n1, n2 = pair()
    n2.apply(commit(n1, add(b"x"), add(b"y")))
    storing, adding = commit(n1, delete(b"s"), add(b"y"), add(b"z")), commit(n2, add(b"w"))
    n1.apply(adding)
    n2.apply(storing)
    assert n1.value(b"s") == n2.value(b"s") == [b"w", b"y", b"z"]


def test_a_counter_set_to_a_number_replaces_what_it_saw() -> None:
    n1, n2 = pair()
    n2.apply(commit(n1, count(5)))
    setting, counting = commit(n1, delete(b"c"), count(100)), commit(n2, count(1))
    n1.apply(counting)
    n2.apply(setting)
    assert n1.value(b"c") == n2.value(b"c") == 101


# Applying.


def test_a_delta_seen_before_changes_nothing() -> None:
    n1, n2 = pair()
    delta = commit(n1, add(b"a"))
    assert n2.apply(delta) is Applied.YES
    commit(n2, remove(b"a"))
    state = whole_state(n2)
    assert n2.apply(delta) is Applied.DUPLICATE
    assert n1.apply(delta) is Applied.DUPLICATE
    assert whole_state(n2) == state


def test_a_delta_waits_for_the_one_before_it() -> None:
    n1, n2 = pair()
    first, second = commit(n1, add(b"a")), commit(n1, remove(b"a"))
    assert n2.apply(second) is Applied.EARLY
    assert n2.clock == {}
    assert values(n2) == {}
    assert [n2.apply(first), n2.apply(second)] == [Applied.YES, Applied.YES]


def test_an_effect_never_shows_before_its_cause() -> None:
    n1, n2, n3 = Replica("n1"), Replica("n2"), Replica("n3")
    cause = commit(n1, add(b"question"))
    n2.apply(cause)
    effect = commit(n2, add(b"answer"))
    assert n3.apply(effect) is Applied.EARLY
    n3.apply(cause)
    assert n3.apply(effect) is Applied.YES
    assert n3.value(b"s") == [b"answer", b"question"]


def test_a_stranger_with_this_replicas_name_stops_it() -> None:
    """Its dots would be used twice."""
    stranger, n1 = Replica("n1"), Replica("n1")
    delta = commit(stranger, add(b"a"))
    with pytest.raises(InvariantBroken):
        n1.apply(delta)
    with pytest.raises(InvariantBroken):
        n1.join(stranger.patch(None, NOW))
    assert n1.clock == {}


# Patches.


def test_what_was_joined_is_passed_on_as_what_was_written_here() -> None:
    n1, n2, n3 = Replica("n1"), Replica("n2"), Replica("n3")
    n3.join(n1.patch(None, NOW))
    commit(n1, add(b"a"), add(b"b"))
    commit(n1, remove(b"b"))
    n2.join(n1.patch(n2.clock, NOW))
    patch = n2.patch(n3.clock, NOW)
    assert listed(patch) == {b"a", b"b"}
    n3.join(patch)
    assert whole_state(n3) == whole_state(n1)


def test_a_patch_that_builds_on_what_is_missing_is_refused_and_changes_nothing() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a"))
    commit(n1, add(b"b"))
    with pytest.raises(PatchTooNew) as refusal:
        n2.join(n1.patch(VersionVector(n1=1), NOW))
    assert refusal.value.missing == {"n1": 1}
    assert n2.clock == {}
    assert values(n2) == {}


def test_a_patch_taken_twice_brings_nothing_new() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a"), add(b"b"), count(1))
    patch = n1.patch(None, NOW)
    assert [n2.join(patch), n2.join(patch)] == [3, 0]


def test_an_old_patch_cannot_bring_back_what_was_removed_since() -> None:
    n1, n2 = pair()
    commit(n1, add(b"a"), count(5))
    old = n1.patch(None, NOW)
    n2.join(old)
    commit(n2, remove(b"a"), delete(b"c"))
    sync(n1, n2)
    forget(n1, n2)
    for replica in (n1, n2):
        replica.join(old)
        assert values(replica) == {}


def test_a_full_patch_takes_away_what_its_maker_has_seen_and_no_longer_holds() -> None:
    n1, n2 = pair()
    n2.apply(commit(n1, add(b"a")))
    commit(n2, remove(b"a"))
    n2.stabilise(n2.clock, PLENTY)
    assert not n2.patch(None, NOW).parts
    n1.join(n2.patch(None, NOW))
    assert values(n1) == {}


def test_whoever_has_joined_such_a_state_knows_what_was_forgotten_in_it() -> None:
    n1, n2, n3 = Replica("n1"), Replica("n2"), Replica("n3")
    n2.apply(commit(n1, add(b"a"), add(b"b")))
    behind = n2.clock.copy()
    commit(n1, remove(b"a"))
    n1.stabilise(n1.clock, PLENTY)
    n3.join(n1.patch(None, NOW))
    n2.join(n3.patch(behind, NOW))
    assert n2.value(b"s") == [b"b"]


def test_a_delta_and_a_patch_with_the_same_news_can_cross() -> None:
    n1, n2, n3 = Replica("n1"), Replica("n2"), Replica("n3")
    deltas = [commit(n1, add(b"a")), commit(n1, remove(b"a"), add(b"b"))]
    n2.apply(deltas[0])
    patch = n2.patch(None, NOW)
    n3.apply(deltas[0])
    n3.apply(deltas[1])
    n3.join(patch)
    assert n3.value(b"s") == [b"b"]


# Open writes, and restarts.


@pytest.mark.parametrize(
    "act",
    [
        lambda replica, delta: replica.apply(delta),
        lambda replica, _: replica.join(Replica("n2").patch(None, NOW)),
        lambda replica, _: replica.patch(None, NOW),
        lambda replica, _: replica.stabilise(replica.clock, 1),
        lambda replica, _: replica.take_changes(),
    ],
    ids=["apply", "join", "patch", "stabilise", "take_changes"],
)
def test_nothing_is_taken_in_or_given_out_amid_writes(act: Any) -> None:
    n1, n2 = pair()
    delta = commit(n2, add(b"a"))
    perform(n1, add(b"b"))
    with pytest.raises(InvariantBroken):
        act(n1, delta)


def test_only_an_empty_replica_resumes_and_only_from_a_full_state() -> None:
    saved = Replica("n1")
    commit(saved, add(b"a"))
    again = Replica("n1")
    again.resume(saved.patch(None, NOW))
    assert commit(again, add(b"b")).dot == Dot("n1", 2)
    with pytest.raises(InvariantBroken):
        again.resume(saved.patch(None, NOW))
    with pytest.raises(InvariantBroken):
        Replica("n1").resume(saved.patch(VersionVector(), NOW))


# Journals.


def test_changes_are_taken_once_and_only_what_changed() -> None:
    n1 = Replica("n1")
    commit(n1, add(b"a"), add(b"b"), count(1))
    assert {record[:2] for record in n1.take_changes()} == {
        (STATE, b"c"), (STATE, b"s"), (b"obj:s", b"a"), (b"obj:s", b"b")
    }  # fmt: skip
    assert not n1.take_changes()
    commit(n1, add(b"a"))
    assert [record[:2] for record in n1.take_changes()] == [(b"obj:s", b"a")]


def test_what_is_written_and_undone_between_two_takes_leaves_the_store_as_it_was() -> None:
    n1 = Replica("n1")
    store: Store = {}
    commit(n1, add(b"a"))
    replay(store, n1.take_changes())
    before, digest = {name: dict(fields) for name, fields in store.items()}, n1.digest
    commit(n1, add(b"b"), count(1))
    commit(n1, remove(b"b"), delete(b"c"))
    forget(n1)
    replay(store, n1.take_changes())
    assert store == before
    assert n1.digest == digest


def test_a_patch_part_that_says_nothing_new_leaves_no_empty_object_behind() -> None:
    n1 = Replica("n1")
    commit(n1, add(b"a"))
    forgotten = PatchPart(b"gone", "gset", b"x", {Dot("n1", 1): True})
    n1.join(Patch("n2", VersionVector(), n1.clock.copy(), VersionVector(), NOW, (forgotten,)))
    n1.take_changes()
    assert n1.catalogue.heads.keys() == {b"s"}
