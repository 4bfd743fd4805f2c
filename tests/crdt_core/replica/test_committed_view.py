"""While a commit is under way, readers are shown exactly what was there before it, and nothing is copied in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.operations import Inspect
from crdt_core.replica.committed_view import CommittedView
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET, TYPES
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
    from crdt_core.commands.operations import State

every_type = pytest.mark.parametrize("types", [*([name] for name in TYPES), list(TYPES)], ids="+".join)


def shown(state: State, *keys: bytes) -> dict[bytes, Any]:
    """All that any read can show of these keys: types, rivals, parts with their siblings, counts, values."""
    return {
        key: (
            [
                (link.type.name, dict(link.parts), link.live, link.type.value(state.view(key, link.type)))
                for link in state.showing(key)
            ],
            Inspect(key).read(state),
        )
        for key in keys
    }


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
            replica.catalogue.confirm()
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
    assert confirmed.value(b"s") == [b"a"]
    n1.catalogue.confirm()
    assert confirmed.value(b"s") is None
    n1.stabilise(n1.clock, PLENTY)
    n1.take_changes()
    assert not n1.catalogue.objects
    assert confirmed.value(b"s") is None


def test_what_the_turn_has_not_touched_is_read_in_place_and_what_it_has_is_copied_once() -> None:
    n1 = Replica("n1")
    confirmed = CommittedView(n1.catalogue)
    one_turn(n1, Operation(b"s", "orset", "add", b"a"), Operation(b"t", "orset", "add", b"a"))
    one_turn(n1, Operation(b"s", "orset", "add", b"b"))
    assert confirmed.view(b"t", ORSET).parts is n1.view(b"t", ORSET).parts
    copied = confirmed.view(b"s", ORSET).parts
    assert copied is not n1.view(b"s", ORSET).parts
    assert copied is confirmed.view(b"s", ORSET).parts
    n1.catalogue.confirm()
    assert confirmed.view(b"s", ORSET).parts is n1.view(b"s", ORSET).parts


def test_the_next_turn_implies_that_the_last_one_is_confirmed() -> None:
    """So a shell that shows nothing in between need not confirm, and nothing piles up."""
    n1 = Replica("n1")
    confirmed = CommittedView(n1.catalogue)
    for element in (b"a", b"b", b"c"):
        one_turn(n1, Operation(b"s", "orset", "add", element))
    assert confirmed.value(b"s") == [b"a", b"b"]
    assert len(n1.catalogue.in_flight) == 1
