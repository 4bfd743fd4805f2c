"""While a commit is under way, readers are shown exactly what was there before it, and nothing is copied in vain."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands import COMMANDS, read
from crdt_core.replica.committed_view import CommittedView
from crdt_core.replica.replica import Replica
from crdt_core.types import TYPES, View
from tests.crdt_core.histories import (
    KEYS,
    NOW,
    PLENTY,
    Operation,
    Persist,
    Restart,
    World,
    delete,
    perform,
    steps,
    worlds,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.commands import Keyspace
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.object import Object

every_type = pytest.mark.parametrize("types", [*([name] for name in TYPES), list(TYPES)], ids="+".join)


def shown(state: Keyspace, *keys: bytes) -> dict[bytes, Any]:
    """All that any read can show of these keys: types, type conflicts, parts with their siblings, counts, values."""
    return {
        key: (
            [
                (link.type.name, dict(link.parts), link.live, link.type.value(View(link.parts, state.replica_index)))
                for link in showing(state, key)
            ],
            read(state, COMMANDS[b"DELTAIC.INSPECT"], [key], wall_ms=0, seed=0),
        )
        for key in keys
    }


def showing(state: Keyspace, key: bytes) -> list[Object]:
    head = state.head(key)
    return head.showing() if head is not None else []


def value(state: Keyspace, key: bytes) -> Any:
    found = showing(state, key)
    return found[0].type.value(View(found[0].parts, state.replica_index)) if found else None


def parts_of(state: Keyspace, key: bytes) -> Mapping[bytes, Siblings]:
    head = state.head(key)
    assert head is not None
    return head.parts


@every_type
@given(data=st.data(), world=worlds())
def test_what_is_confirmed_is_what_there_was_before(types: list[str], data: st.DataObject, world: World) -> None:
    """After any steps, of any number a turn: for every key, whether the turn touched it, made it or emptied it."""
    replicas = world.replicas
    confirmed = [CommittedView(replica.catalogue) for replica in replicas]
    for _ in range(data.draw(st.integers(1, 4))):
        before = [shown(replica, *KEYS) for replica in replicas]
        world.run(step for step in data.draw(steps(types, steps_max=12)) if not isinstance(step, Persist | Restart))
        for at, replica in enumerate(replicas):
            replica.take_changes()
            assert shown(confirmed[at], *KEYS) == before[at]
            replica.catalogue.in_flight = {}
            assert shown(confirmed[at], *KEYS) == shown(replica, *KEYS)


def one_turn(replica: Replica, *operations: Operation) -> None:
    for operation in operations:
        perform(replica, operation)
    replica.commit(NOW)
    replica.take_changes()


def test_a_key_whose_object_is_forgotten_in_the_turn_is_still_read_as_it_was() -> None:
    n1 = Replica("n1")
    confirmed = CommittedView(n1.catalogue)
    one_turn(n1, Operation(b"s", "orset", "add", b"a"))
    one_turn(n1, delete(b"s"))
    assert value(confirmed, b"s") == [b"a"]
    n1.catalogue.in_flight = {}
    assert value(confirmed, b"s") is None
    n1.stabilise(n1.clock, PLENTY)
    n1.take_changes()
    assert not n1.catalogue.heads
    assert value(confirmed, b"s") is None


def test_what_the_turn_has_not_touched_is_read_in_place_and_what_it_has_is_put_back_once() -> None:
    n1 = Replica("n1")
    confirmed = CommittedView(n1.catalogue)
    one_turn(n1, Operation(b"s", "orset", "add", b"a"), Operation(b"t", "orset", "add", b"a"))
    one_turn(n1, Operation(b"s", "orset", "add", b"b"))
    assert confirmed.head(b"t") is n1.head(b"t")
    put_back = confirmed.head(b"s")
    assert put_back is not n1.head(b"s")
    assert put_back is confirmed.head(b"s")
    n1.catalogue.in_flight = {}
    assert confirmed.head(b"s") is n1.head(b"s")


def test_a_read_of_a_key_whose_write_is_under_way_copies_no_collection() -> None:
    """It copied the whole object, for one member of a large set or one field of a large hash."""
    n1 = Replica("n1")
    confirmed = CommittedView(n1.catalogue)
    one_turn(n1, *(Operation(b"s", "orset", "add", b"%d" % number) for number in range(20_000)))
    n1.catalogue.in_flight = {}
    one_turn(n1, Operation(b"s", "orset", "add", b"new"), Operation(b"s", "orset", "remove", b"1"))
    tracemalloc.start()
    try:
        parts = parts_of(confirmed, b"s")
        assert (b"new" in parts, b"1" in parts, b"2" in parts, len(parts)) == (False, True, True, 20_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000


def test_the_next_turn_implies_that_the_last_one_is_confirmed() -> None:
    """So a shell that shows nothing in between need not confirm, and nothing piles up."""
    n1 = Replica("n1")
    confirmed = CommittedView(n1.catalogue)
    for element in (b"a", b"b", b"c"):
        one_turn(n1, Operation(b"s", "orset", "add", element))
    assert value(confirmed, b"s") == [b"a", b"b"]
    assert len(n1.catalogue.in_flight) == 1
