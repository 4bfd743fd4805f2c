"""A large patch is joined a slice at a time: in the end as one, and readers see nothing of it before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crdt_core.codec.messages import Answer, Push, encode_message
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.replica_index import REPLICAS_MAX
from crdt_core.node.events import Call, MessagesRead
from crdt_core.node.joins import PreparedJoin
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.histories import whole_state
from tests.crdt_core.writes import Add
from tests.invocations import value_of

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Patch

PARTS = 7


def patch_of(parts: int = PARTS) -> Patch:
    """A full state of n2: some keys, and a key that was deleted."""
    peer = Replica("n2", founders=["n1", "n2"])
    for number in range(parts):
        peer.write(b"key %d" % number, ORSET, b"x", True)
        peer.commit(Stamp(1, 0))
    peer.delete(b"key 0")
    peer.commit(Stamp(2, 0))
    return peer.patch(None, Stamp(2, 0))


def replica_of(patch: Patch) -> Replica:
    """A replica that has joined the patch in one piece."""
    replica = Replica("n1", founders=["n1", "n2"])
    replica.join(patch)
    replica.take_changes()
    return replica


def shown(node: Node) -> list[object]:
    return [value_of(node.confirmed, b"key %d" % number) for number in range(PARTS)]


def test_slices_give_what_one_piece_gives() -> None:
    patch = patch_of()
    replica = Replica("n1", founders=["n1", "n2"])
    join = PreparedJoin(replica, patch, 2)
    steps = 0
    while join.advance():
        steps += 1
    assert steps > PARTS
    assert (join.error, join.new) == (None, PARTS)
    expected = replica_of(patch)
    assert whole_state(replica) == whole_state(expected)
    assert (replica.digest, replica.clock) == (expected.digest, expected.clock)
    assert not replica.take_changes()
    written = {(record.hash, record.field) for changes in join.slices for record in changes}
    assert written == {(record.hash, record.field) for record in expected.catalogue.records()}


def test_a_patch_that_makes_no_sense_changes_nothing() -> None:
    patch = patch_of()
    last = patch.parts[-1]._replace(siblings={Dot("n2", 99): True})
    replica = Replica("n1", founders=["n1", "n2"])
    join = PreparedJoin(replica, replace(patch, parts=(*patch.parts[:-1], last)), 2)
    while join.advance():
        assert not replica.catalogue.size
    assert "n2:99" in str(join.error)
    assert not replica.take_changes()
    assert (list(replica.keys()), replica.clock) == ([], {})


def test_a_patch_that_names_too_many_replica_ids_is_refused_and_changes_nothing() -> None:
    """A small one was set aside; a large one ended the worker, and anybody who writes into its inbox may send one."""
    patch = patch_of()
    replica = Replica("n1", founders=["n1", "n2"])
    before = whole_state(replica)
    many = VersionVector({**patch.clock, **{f"m{number}": 1 for number in range(REPLICAS_MAX)}})
    join = PreparedJoin(replica, replace(patch, clock=many), 2)
    while join.advance():
        pass
    assert isinstance(join.error, Malformed)
    assert whole_state(replica) == before
    assert not replica.take_changes()


def test_the_turn_after_the_slices_persists_them_and_readers_see_all_or_nothing() -> None:
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=NodeOptions(parts_per_slice=2))
    push = encode_message(Push("n2", "r", patch_of()))
    turn = node.turn([MessagesRead([("1-0", push)])], 1000, 1000)
    node.confirm()
    assert (turn.commit.acknowledged, turn.commit.delta, list(turn.commit.records)) == (["1-0"], None, [])
    nothing = shown(node)
    while node.large.prepare():
        assert shown(node) == nothing
    turn = node.turn([Call(Add(b"key 1", b"y"), "caller")], 1000, 1000)
    assert turn.commit.earlier
    assert turn.commit.header["clock"] == b'{"n1":1,"n2":8}'
    assert [type(effect).__name__ for effect in turn.effects] == ["Send", "Reply"]
    assert shown(node) == nothing
    node.confirm()
    assert shown(node) == [None, [b"x", b"y"], *[[b"x"]] * (PARTS - 2)]
    assert (node.counts["patches_joined"], node.large.prepare()) == (1, False)


def test_a_shell_that_prepares_nothing_gets_the_join_with_the_next_turn() -> None:
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=NodeOptions(parts_per_slice=2))
    node.turn([MessagesRead([("1-0", encode_message(Answer("n2", "r", patch_of())))])], 1000, 1000)
    node.confirm()
    node.turn([], 1000, 1000)
    node.confirm()
    assert node.replica.digest == replica_of(patch_of()).digest


def test_a_large_patch_that_builds_on_more_than_is_known_is_refused_at_once() -> None:
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=NodeOptions(parts_per_slice=2))
    patch = patch_of()
    since = replace(patch, since=patch.clock, stable=patch.stable)
    node.turn([MessagesRead([("1-0", encode_message(Push("n2", "r", since)))])], 1000, 1000)
    assert node.counts["patches_refused"] == 1
    assert not node.large.joins


def test_a_large_patch_is_freed_in_slices_once_it_is_joined() -> None:
    """A million parts, their addresses and what readers were shown meanwhile were freed at once, in 0.3 s each."""
    freed = 0

    class Listed(dict[Dot, Any]):
        def __del__(self) -> None:
            nonlocal freed
            freed += 1

    parts, patch = 3000, patch_of(3000)
    patch = replace(patch, parts=tuple(part._replace(siblings=Listed(part.siblings)) for part in patch.parts))
    replica = Replica("n1", founders=["n1", "n2"])
    join, discards = PreparedJoin(replica, patch, 100), replica.catalogue.discards
    del patch
    while join.advance():
        assert freed == 0
    del join
    most, left = freed, [len(collection) for collection, _ in discards.waiting]
    while discards.waiting:
        before = freed
        discards.free(100)
        most = max(most, freed - before)
    assert most <= 100
    assert freed == parts
    assert sum(left) > 2 * parts, "the parts, and the addresses that a full state lists"
