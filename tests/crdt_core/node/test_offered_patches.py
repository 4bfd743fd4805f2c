"""Patches that callers bring: nonsense is the caller's error, and neither strangers nor the dead come in that way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.errors import InvalidArgument, PatchTooNew, TooMany
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.membership.changes import RemoveMember
from crdt_core.node.events import Call, PatchAsked, PatchOffered, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.writes import Add, Count

NOW = Stamp(1, 0)


def node_of(name: str = "n1", strangers_max: int = 2) -> Node:
    options = NodeOptions(strangers_max=strangers_max)
    return Node(name, Replica(name, founders=["n1", "n2", "n3"]), "s", options=options)


def reply(node: Node, event: Any) -> Reply:
    effects = node.turn([event], 1_000_000, 0).effects
    (said,) = [effect for effect in effects if isinstance(effect, Reply)]
    return said


def offer(node: Node, patch: bytes) -> Any:
    said = reply(node, PatchOffered(decode_patch(patch), "caller"))
    return said.error or said.result


def patch_of(*ids: str) -> bytes:
    """A patch with one commit of each id."""
    parts = tuple(PatchPart(b"set", "orset", id_.encode(), {Dot(id_, 1): True}) for id_ in ids)
    clock = VersionVector(dict.fromkeys(ids, 1))
    return encode_patch(Patch("elsewhere", VersionVector(), clock, VersionVector(), NOW, parts))


def test_what_one_node_knows_can_be_carried_to_another_by_hand() -> None:
    here, there = node_of("n1"), node_of("n2")
    here.turn([Call(Add(b"set", b"apple"), None), Call(Count(b"hits", 3), None)], 1_000_000, 0)
    patch = reply(here, PatchAsked(VersionVector(), "caller", 1 << 20)).result.take_json()
    assert offer(there, patch) == 2
    assert offer(there, patch) == 0
    assert there.replica.value(b"hits") == 3


def test_a_patch_for_somebody_who_has_seen_more_is_refused() -> None:
    patch = Patch("n2", VersionVector(n2=5), VersionVector(n2=6), VersionVector(), NOW, ())
    assert isinstance(offer(node_of(), encode_patch(patch)), PatchTooNew)


def test_callers_bring_only_so_many_ids_that_are_no_nodes() -> None:
    node = node_of(strangers_max=2)
    assert offer(node, patch_of("s1", "s2", "n2")) == 3
    refused = offer(node, patch_of("s3"))
    assert isinstance(refused, TooMany)
    assert "limits.foreign_replicas_max" in str(refused)
    assert offer(node, patch_of("s1", "s2")) == 0, "what is known already brings nothing new"


def test_a_caller_cannot_bring_more_of_an_id_that_leaves() -> None:
    node = node_of()
    assert offer(node, patch_of("n3")) == 1
    node.turn([Call(RemoveMember("n3"), None)], 1_000_000, 0)
    assert offer(node, patch_of("n3")) == 0
    more = Patch("n2", VersionVector(), VersionVector(n3=2), VersionVector(), NOW, ())
    refused = offer(node, encode_patch(more))
    assert isinstance(refused, InvalidArgument)
    assert "n3:2, and n3 has left the fleet" in str(refused)


def test_a_caller_whose_patch_contradicts_what_is_here_is_refused_and_stops_nobody() -> None:
    node = node_of()
    assert offer(node, patch_of("s1")) == 1
    part = PatchPart(b"set", "orset", b"s1", {Dot("s1", 1): TOMBSTONE})
    other = Patch("elsewhere", VersionVector(), VersionVector(s1=1), VersionVector(), NOW, (part,))
    refused = offer(node, encode_patch(other))
    assert isinstance(refused, InvalidArgument)
    assert "dot s1:1 has two payloads, True here and None there" in str(refused)
    assert node.replica.value(b"set") == [b"s1"]


# Large ones


def large_patch(count: int = 40) -> Patch:
    peer = Replica("n2", founders=["n1", "n2", "n3"])
    for number in range(count):
        peer.write(b"key %d" % number, ORSET, b"x", True)
    peer.commit(NOW)
    return peer.patch(None, NOW)


def offered_in_slices(node: Node, patch: Patch) -> tuple[list[Any], Any]:
    """What the turn says that takes `patch`, and then the reply of the turn behind the slices."""
    first = node.turn([PatchOffered(patch, "caller")], 1_000_000, 0)
    node.confirm()
    while node.large.prepare():
        assert node.confirmed.head(b"key 1") is None or not node.confirmed.head(b"key 1").showing()
    last = node.turn([], 1_000_000, 0)
    (said,) = last.effects
    assert not last.commit.records
    if not said.error:
        assert len(last.commit.earlier) >= len(patch.parts) // node.options.parts_per_slice
    return first.effects, said.error or said.result


def test_a_large_patch_of_a_caller_is_joined_in_slices() -> None:
    options = NodeOptions(parts_per_slice=5, parts_per_turn=10)
    node = Node("n1", Replica("n1", founders=["n1", "n2", "n3"]), "s", options=options)
    assert offered_in_slices(node, large_patch()) == ([], 40)
    assert node.replica.value(b"key 39") == [b"x"]
    assert offer(node_of(), encode_patch(large_patch())) == 40


def test_a_large_patch_in_which_a_dot_has_another_payload_changes_nothing() -> None:
    options = NodeOptions(parts_per_slice=5, parts_per_turn=10)
    node = Node("n1", Replica("n1", founders=["n1", "n2", "n3"]), "s", options=options)
    assert offer(node, patch_of("n2")) == 1
    other = large_patch()
    clash = PatchPart(b"set", "orset", b"n2", {Dot("n2", 1): TOMBSTONE})
    effects, error = offered_in_slices(node, replace(other, parts=(*other.parts, clash)))
    assert not effects
    assert isinstance(error, InvalidArgument)
    assert "two payloads" in str(error)
    assert node.replica.value(b"key 39") is None
