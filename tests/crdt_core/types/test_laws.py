"""The laws of the join, of deltas, patches, digests and records: for every registered type, over random histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.deltas import decode_delta
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.replica.replica import Applied, Replica
from crdt_core.types import TYPES
from tests.crdt_core.histories import (
    NOW,
    PLENTY,
    World,
    digest_from_scratch,
    lasting_state,
    replay,
    revive,
    steps,
    values,
    whole_state,
    worlds,
)

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.deltas import Address, Patch
    from crdt_core.lattice.siblings import Payload
    from tests.crdt_core.histories import Store

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes

every_type = pytest.mark.parametrize(
    "types", [*([name] for name in TYPES), ["orset", "pncounter", "gset"]], ids="+".join
)


def played(data: st.DataObject, types: list[str], world: World) -> World:
    """The world after some history of those types; what is still under way stays so."""
    world.run(data.draw(steps(types)))
    return world


def full(replica: Replica) -> Patch:
    """The full state of a replica, as it arrives elsewhere."""
    return decode_patch(encode_patch(replica.patch(None, NOW)))


def joined(*patches: Patch) -> Replica:
    """A replica that has joined these states in this order."""
    observer = Replica("observer")
    for patch in patches:
        observer.join(patch)
    return observer


def records_of(replica: Replica) -> Store:
    """What a replica that has persisted nothing yet would persist."""
    store: Store = {}
    replay(store, replica.take_changes())
    return store


def siblings(replica: Replica) -> dict[Address, dict[Dot, Payload]]:
    """Everything a replica holds, removals and clears included."""
    return {part[:3]: part.siblings for part in replica.patch(None, NOW).parts}


def agree(one: Replica, other: Replica) -> None:
    """Fails unless two replicas at the same clock are the same in all that lasts."""
    assert one.clock == other.clock
    assert values(one) == values(other)
    assert lasting_state(one) == lasting_state(other)
    one.take_changes()
    other.take_changes()
    assert one.digest == other.digest


# The join.


@every_type
@given(data=st.data(), world=worlds())
def test_join_is_commutative_associative_and_idempotent(types: list[str], data: st.DataObject, world: World) -> None:
    replicas = played(data, types, world).replicas
    a, b, c = (full(data.draw(st.sampled_from(replicas), label=name)) for name in "abc")
    assert whole_state(joined(a, b)) == whole_state(joined(b, a))
    assert whole_state(joined(full(joined(a, b)), c)) == whole_state(joined(a, full(joined(b, c))))
    assert whole_state(joined(a, b, a, b, b)) == whole_state(joined(a, b))


@every_type
@given(data=st.data(), world=worlds(), incremental=st.booleans())
def test_a_join_takes_in_what_is_new_and_drops_nothing_unseen(
    types: list[str], data: st.DataObject, world: World, incremental: bool
) -> None:
    replicas = played(data, types, world).replicas
    here, there = data.draw(st.sampled_from(replicas)), data.draw(st.sampled_from(replicas))
    patch = there.patch(here.clock if incremental else None, NOW)
    held, clock = siblings(here), here.clock.copy()
    news = {(part[:3], dot) for part in patch.parts for dot in part.siblings if not clock.covers(dot)}
    assert here.join(patch) == len(news)
    after = {(address, dot) for address, dots in siblings(here).items() for dot in dots}
    unseen = {(address, dot) for address, dots in held.items() for dot in dots if not there.clock.covers(dot)}
    assert news | unseen <= after
    assert clock <= here.clock
    assert there.clock <= here.clock
    assert here.join(patch) == 0


# Deltas and patches.


@every_type
@given(data=st.data(), world=worlds())
def test_deltas_late_doubled_and_out_of_order_end_in_the_same_state(
    types: list[str], data: st.DataObject, world: World
) -> None:
    played(data, types, world)
    deltas = [decode_delta(delta) for log in world.logs for delta in log]
    shuffled = data.draw(st.permutations(deltas + deltas[::2]))
    in_order, out_of_order = Replica("observer"), Replica("observer")
    while any([in_order.apply(delta) is Applied.EARLY for delta in deltas]):  # noqa: C419 - every one is offered
        pass
    while any([out_of_order.apply(delta) is Applied.EARLY for delta in shuffled]):  # noqa: C419
        pass
    assert {in_order.apply(delta) for delta in deltas} <= {Applied.DUPLICATE}
    assert whole_state(in_order) == whole_state(out_of_order)
    agree(in_order, out_of_order)


@every_type
@given(data=st.data(), world=worlds())
def test_deltas_on_top_of_a_state_end_where_the_deltas_alone_end(
    types: list[str], data: st.DataObject, world: World
) -> None:
    played(data, types, world)
    deltas = [decode_delta(delta) for log in world.logs for delta in log]
    by_deltas, by_states = Replica("observer"), Replica("observer")
    for replica in world.replicas:
        by_states.join(full(replica))
        by_states.apply(data.draw(st.sampled_from(deltas))) if deltas else None
    while any([by_deltas.apply(delta) is Applied.EARLY for delta in deltas]):  # noqa: C419
        pass
    agree(by_deltas, by_states)


@every_type
@given(data=st.data(), world=worlds())
def test_following_by_small_patches_ends_where_one_full_patch_ends(
    types: list[str], data: st.DataObject, world: World
) -> None:
    follower = Replica("observer")

    def follow(world: World, at: int) -> None:
        patch = encode_patch(world.replicas[at].patch(follower.clock, NOW))
        follower.join(decode_patch(patch))
        follower.join(decode_patch(patch))

    world.after = follow
    played(data, types, world)
    agree(follower, joined(*map(full, world.replicas)))


# Equal clocks.


@every_type
@given(data=st.data(), world=worlds())
def test_equal_clocks_mean_equal_values_and_equal_lasting_siblings(
    types: list[str], data: st.DataObject, world: World
) -> None:
    met: dict[frozenset[tuple[str, int]], Any] = {}

    def witness(world: World, at: int) -> None:
        replica = world.replicas[at]
        state = values(replica), lasting_state(replica)
        assert met.setdefault(frozenset(replica.clock.items()), state) == state

    world.after = witness
    played(data, types, world)
    world.settle()
    world.forget_all()


@every_type
@given(data=st.data(), world=worlds())
def test_equal_clocks_mean_equal_digests_and_these_are_carried_forward_exactly(
    types: list[str], data: st.DataObject, world: World
) -> None:
    met: dict[frozenset[tuple[str, int]], int] = {}
    persists = data.draw(st.lists(st.booleans(), min_size=7, max_size=7))

    def witness(world: World, at: int) -> None:
        replica = world.replicas[at]
        if persists[len(met) % len(persists)]:
            replay(world.stores[at], replica.take_changes())
            assert replica.digest == digest_from_scratch(replica)
            assert met.setdefault(frozenset(replica.clock.items()), replica.digest) == replica.digest

    world.after = witness
    played(data, types, world)
    persists[:] = [True]
    world.settle()
    world.forget_all()


# Forgetting, and records.


@every_type
@given(data=st.data(), world=worlds())
def test_at_rest_nothing_is_left_but_what_shows(types: list[str], data: st.DataObject, world: World) -> None:
    played(data, types, world)
    world.settle()
    world.forget_all()
    for replica, store in zip(world.replicas, world.stores, strict=True):
        replay(store, replica.take_changes())
        assert siblings(replica) == lasting_state(replica)
        assert bool(store) == bool(values(replica))


@every_type
@given(data=st.data(), world=worlds())
def test_a_replica_restored_from_its_records_is_the_same_and_goes_on(
    types: list[str], data: st.DataObject, world: World
) -> None:
    played(data, types, world)
    for at, saved in enumerate(world.replicas):
        replay(world.stores[at], saved.take_changes())
        if len(types) == 1:  # which of several under one key heads the record depends on who was met first
            assert world.stores[at] == records_of(joined(full(saved))), "the store holds this state and nothing else"
        restored = revive(saved, world.stores[at], world.touched_max)
        assert whole_state(restored) == whole_state(saved)
        assert (restored.clock, restored.stable, restored.digest) == (saved.clock, saved.stable, saved.digest)
        assert values(restored) == values(saved)
        assert {*restored.catalogue.tombstones} == {*saved.catalogue.tombstones}
        assert not restored.take_changes(), "what was just restored has nothing to persist"
        world.replicas[at] = restored
    world.run(data.draw(steps(types, steps_max=20)))
    world.settle()
    for replica in world.replicas:
        agree(replica, world.replicas[0])
        assert replica.stabilise(replica.clock, PLENTY) >= 0
