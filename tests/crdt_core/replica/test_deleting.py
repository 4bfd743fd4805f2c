"""A delete that is done part by part gives what `Replica.delete` gives."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.deleting import clear_by_part, clearable_parts, delete_by_part, parts_under
from crdt_core.replica.replica import Replica
from crdt_core.replica.steps import finish
from crdt_core.types import ORSET, PNCOUNTER
from crdt_core.types.counters import adjust
from tests.crdt_core.histories import whole_state

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = Stamp(1, 0)


def replica_of() -> Replica:
    """A set, a counter, and a type conflict of the two."""
    replica, peer = Replica("n1"), Replica("n2")
    for number in range(250):
        replica.write(b"set", ORSET, b"%d" % number, True)
    replica.write(b"both", ORSET, b"x", True)
    peer.write(b"both", PNCOUNTER, *adjust(peer.view(b"both", PNCOUNTER), b"n2", 2))
    delta = peer.commit(NOW)
    replica.commit(NOW)
    assert delta is not None
    replica.apply(delta)
    replica.take_changes()
    return replica


@pytest.mark.parametrize("key", [b"set", b"both", b"none"])
def test_it_gives_what_delete_gives(key: bytes) -> None:
    ours, theirs = replica_of(), replica_of()
    shown: list[bool] = []

    def delete() -> Iterator[None]:
        shown.append((yield from delete_by_part(ours, key)))

    changed = ours.catalogue.watch()
    sizes = [0, 0, *(len(changed) for _ in delete())]
    assert max(after - before for before, after in pairwise(sizes)) <= 2
    assert shown == [theirs.delete(key)]
    assert ours.uncommitted == theirs.uncommitted
    for replica in (ours, theirs):
        replica.commit(NOW)
        replica.take_changes()
    assert whole_state(ours) == whole_state(theirs)
    assert ours.digest == theirs.digest


def test_an_object_is_never_empty_between_two_steps() -> None:
    replica = replica_of()
    for _ in delete_by_part(replica, b"set"):
        head = replica.head(b"set")
        assert head is not None
        assert head.parts or head.clears


def test_parts_are_counted_over_all_types_of_a_key() -> None:
    replica = replica_of()
    assert [parts_under(replica, key) for key in (b"set", b"both", b"none")] == [250, 2, 0]


def test_what_is_not_cleared_stays_as_it_was() -> None:
    replica = replica_of()
    state = whole_state(replica)
    shown: list[int] = []

    def look() -> str:
        head = replica.head(b"set")
        assert head is not None
        shown.extend((head.live, len(head.parts)))
        return "done"

    assert finish(clear_by_part(replica, [b"set", b"none", b"set"], look)) == "done"
    assert shown == [1, 1], "whoever decides sees that it shows, and no more"
    assert whole_state(replica) == state
    head = replica.head(b"set")
    assert head is not None
    assert (head.live, len(head.parts)) == (250, 250)


def test_an_error_leaves_everything_in_place() -> None:
    replica = replica_of()
    state = whole_state(replica)

    def refuse() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        finish(clear_by_part(replica, [b"set"], refuse))
    assert whole_state(replica) == state


def test_parts_that_may_go_are_those_of_collections() -> None:
    replica = replica_of()
    assert clearable_parts(replica, [b"set"]) == 250
    assert clearable_parts(replica, [b"both", b"none"]) == 1
