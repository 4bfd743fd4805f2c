"""What is too large for one turn waits by kind, is prepared between two turns, and is freed once it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.deltas import encode_delta
from crdt_core.commands import COMMANDS, Execute
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.node.events import Call, DeltasRead, PatchOffered, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.histories import replay
from tests.crdt_core.writes import Add

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta, Patch
    from tests.crdt_core.histories import Store

FOUNDERS = ["n1", "n2"]
OPTIONS = NodeOptions(parts_per_slice=10, parts_per_turn=20, delta_bytes_per_turn=500)
NOW_MS = 1_000_000


def execute(request: str) -> Execute:
    name, *args = request.encode().split()
    return Execute([(COMMANDS[name], args)], NOW_MS, 1)


def shows(node: Node, key: bytes) -> bool:
    head = node.confirmed.head(key)
    return head is not None and head.live > 0


def test_what_others_have_written_is_prepared_before_a_call_and_readers_see_none_of_it() -> None:
    n2 = Replica("n2", founders=FOUNDERS)
    for number in range(60):
        Add(b"theirs", b"m%d" % number).run(n2, Stamp(1, 0))
    delta = n2.commit(Stamp(1, 0))
    assert delta is not None
    node = Node("n1", Replica("n1", founders=FOUNDERS), "s", options=OPTIONS)
    node.turn([Call(execute("SADD ours " + " ".join(f"m{number}" for number in range(60))), None)], NOW_MS, 0)
    node.confirm()
    node.turn([DeltasRead("n2", [("1-0", encode_delta(delta))], None), Call(execute("DEL ours"), None)], NOW_MS, 0)
    node.confirm()
    assert node.large.has_news
    while node.large.prepare():
        assert (shows(node, b"ours"), shows(node, b"theirs")) == (True, False)
    node.turn([], NOW_MS, 0)
    node.confirm()
    assert (shows(node, b"ours"), shows(node, b"theirs")) == (True, True)
    assert (node.large.has_news, len(node.large.calls)) == (False, 1)
    while node.large.prepare():
        pass
    node.end_large_call()
    node.confirm()
    assert (shows(node, b"ours"), shows(node, b"theirs")) == (False, True)


def test_what_a_large_call_had_under_way_is_freed_in_slices() -> None:
    """After a flush of a million keys, one read that followed freed all that had been noted: 0.2 s without answers."""
    freed = 0

    class Member(bytes):
        def __del__(self) -> None:
            nonlocal freed
            freed += 1

    node = Node("n1", Replica("n1", change_index_max=10, founders=FOUNDERS), "s")
    members, slice_ = 5000, node.options.parts_per_slice
    for first in range(0, members, 1000):
        add = COMMANDS[b"SADD"], [b"large", *(Member(b"m%d" % number) for number in range(first, first + 1000))]
        node.turn([Call(Execute([add], NOW_MS, 1), None)], NOW_MS, 0)
        node.confirm()
        del add
    node.turn([Call(execute("DEL large"), None)], NOW_MS, 0)
    node.confirm()
    while node.large.prepare():
        assert shows(node, b"large")
    turn = node.end_large_call()
    assert freed == 0
    node.confirm()
    node.turn([Call(execute("SET key v"), None)], NOW_MS, 0)
    assert not shows(node, b"key")
    node.confirm()
    most = freed
    while node.large.discards:
        before = freed
        node.large.prepare()
        most = max(most, freed - before)
    before = freed
    del turn
    assert max(most, freed - before) <= slice_
    assert freed == members


def large_writes(replica: str) -> tuple[Delta, Patch]:
    """What `replica` has added to the set `shared`, as a delta and as a patch."""
    author = Replica(replica, founders=FOUNDERS)
    for number in range(60):
        Add(b"shared", b"m%d" % number).run(author, Stamp(1, 0))
    delta = author.commit(Stamp(1, 0))
    assert delta is not None
    return delta, author.patch(VersionVector(), Stamp(1, 0))


@pytest.mark.parametrize("slices", [0, 1, 7, 1000])
def test_slices_of_several_works_are_persisted_in_the_order_in_which_they_were_made(slices: int) -> None:
    """A patch was joined before a delta, and persisted behind it: the store got records that were out of date.

    So the next start found a state that was damaged. `slices`: so many were prepared before the turn.
    """
    delta, _ = large_writes("n2")
    _, patch = large_writes("n3")
    node = Node("n1", Replica("n1", founders=FOUNDERS), "s", options=OPTIONS)
    store: Store = {}
    node.turn([PatchOffered(patch, "caller"), DeltasRead("n2", [("1-0", encode_delta(delta))], "tail")], NOW_MS, 0)
    node.confirm()
    assert node.large.has_news
    assert any(node.large.prepare() is False for _ in range(slices)) is (slices == 1000)
    turn = node.turn([], NOW_MS, 0)
    assert {effect.token for effect in turn.effects if isinstance(effect, Reply)} == {"caller", "tail"}
    for changes in (*turn.commit.earlier, turn.commit.records):
        replay(store, changes)
    node.confirm()
    stored: Store = {}
    replay(stored, node.replica.catalogue.records())
    assert store == stored
