"""Ingest: the writes of others come in with their hybrid time, and no stamp drags the clock into the future."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import ImpossibleClock, InvariantBroken
from crdt_core.lattice.clocks import HybridClock, Stamp, VersionVector
from crdt_core.lattice.deltas import Patch
from crdt_core.node.events import StampAhead
from crdt_core.node.ingest import Ingest
from crdt_core.node.options import NodeOptions
from crdt_core.node.turn_context import TurnContext
from crdt_core.replica.replica import Applied, Replica
from tests.crdt_core.writes import Count

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta

WALL_MS = 1_000_000
OPTIONS = NodeOptions(skew_warn_ms=500, skew_refuse_ms=60_000)


class Receiver:
    """An ingest of its own, into replica n1."""

    def __init__(self, options: NodeOptions = OPTIONS) -> None:
        self.replica = Replica("n1", founders=["n1", "n2"])
        self.hlc = HybridClock()
        self.counts: Counter[str] = Counter()
        self.ingest = Ingest(self.replica, self.hlc, options, self.counts)
        self.context = TurnContext(WALL_MS, 0)


def deltas(*stamps: int) -> list[Delta]:
    """One increment of n2 per stamp."""
    n2 = Replica("n2", founders=["n1", "n2"])
    made = []
    for ms in stamps:
        Count(b"hits").run(n2, Stamp(ms, 0))
        made.append(n2.commit(Stamp(ms, 0)))
    return [delta for delta in made if delta is not None]


def test_a_delta_comes_in_with_its_time() -> None:
    receiver = Receiver()
    (delta,) = deltas(WALL_MS + 100)
    assert receiver.ingest.apply(delta, "n2", receiver.context) is Applied.YES
    assert receiver.replica.value(b"hits") == 1
    assert receiver.hlc.last == delta.hlc
    assert receiver.counts == {"deltas_applied": 1}
    assert receiver.context.effects == []


def test_a_delta_that_is_early_or_known_changes_neither_state_nor_time() -> None:
    receiver = Receiver()
    first, second = deltas(WALL_MS, WALL_MS + 5)
    assert receiver.ingest.apply(second, "n2", receiver.context) is Applied.EARLY
    assert receiver.hlc.last == Stamp(0, 0)
    receiver.ingest.apply(first, "n2", receiver.context)
    assert receiver.ingest.apply(first, "n2", receiver.context) is Applied.DUPLICATE
    assert receiver.counts == {"deltas_applied": 1}


@pytest.mark.parametrize(
    ("ahead_ms", "said", "follows"), [(500, [], True), (501, [False], True), (60_001, [True], False)]
)
def test_a_stamp_that_is_ahead_is_reported_and_one_far_ahead_is_not_followed(
    ahead_ms: int, said: list[bool], follows: bool
) -> None:
    receiver = Receiver()
    (delta,) = deltas(WALL_MS + ahead_ms)
    receiver.ingest.apply(delta, "n2", receiver.context)
    assert receiver.context.effects == [StampAhead("n2", ahead_ms, refused) for refused in said]
    assert (receiver.hlc.last == delta.hlc) == follows
    assert receiver.replica.value(b"hits") == 1, "what was written counts whatever its stamp"


def test_a_patch_comes_in_with_its_time_and_says_what_was_new() -> None:
    receiver = Receiver()
    n2 = Replica("n2", founders=["n1", "n2"])
    for key in (b"a", b"b"):
        Count(key).run(n2, Stamp(WALL_MS, 0))
    n2.commit(Stamp(WALL_MS, 0))
    patch = n2.patch(None, Stamp(WALL_MS, 7))
    assert receiver.ingest.join(patch, "n2", receiver.context) == 2
    assert receiver.ingest.join(patch, "n2", receiver.context) == 0
    assert receiver.hlc.last == Stamp(WALL_MS, 7)
    assert receiver.counts == {"patches_joined": 2, "patch_items": 2}


def test_a_patch_that_claims_commits_of_this_replica_is_refused_or_proves_that_they_were_lost() -> None:
    claim = Patch("n2", None, VersionVector(n1=3), VersionVector(), Stamp(1, 0), ())
    receiver = Receiver()
    with pytest.raises(ImpossibleClock, match="n1:3"):
        receiver.ingest.join(claim, "n2", receiver.context)
    believing = Receiver(NodeOptions(believes_claims=True))
    with pytest.raises(InvariantBroken, match="n1:3"):
        believing.ingest.join(claim, "n2", believing.context)
    assert receiver.replica.clock == believing.replica.clock == {}


def test_a_clock_that_was_wrong_is_set_right_with_the_wall_clock() -> None:
    receiver = Receiver()
    receiver.hlc.last = Stamp(WALL_MS + 60_000, 0)
    receiver.ingest.set_clock_right("n1", receiver.context)
    assert receiver.context.effects == []
    receiver.hlc.last = Stamp(WALL_MS + 60_001, 0)
    receiver.ingest.set_clock_right("n1", receiver.context)
    assert receiver.hlc.last == Stamp(WALL_MS, 0)
    assert receiver.context.effects == [StampAhead("n1", 60_001, refused=True)]
    assert receiver.counts == {"clock_set_right": 1}
