"""A patch that a caller asks for is made some parts in each turn, while the replica goes on changing."""

from __future__ import annotations

from typing import Any

from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.errors import TooMany
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.asked_patches import MadePatch
from crdt_core.node.events import Call, PatchAsked, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.patch_walk import LOOKS_PER_LISTING
from crdt_core.replica.replica import Replica
from tests.crdt_core.histories import whole_state
from tests.crdt_core.writes import Add

KEYS = 30
NOW_MS = 1_000_000


def node_with_keys(options: NodeOptions) -> Node:
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=options)
    node.turn([Call(Add(b"key %d" % number, b"x"), None) for number in range(KEYS)], NOW_MS, 0)
    node.confirm()
    return node


def replies(node: Node, *events: Any) -> list[Reply]:
    effects = node.turn(events, NOW_MS, 0).effects
    node.confirm()
    return [effect for effect in effects if isinstance(effect, Reply) and effect.token is not None]


def test_a_large_patch_takes_several_turns_and_is_that_of_its_last() -> None:
    node = node_with_keys(NodeOptions(looks_per_chunk=10 * LOOKS_PER_LISTING))
    said = replies(node, PatchAsked(VersionVector(), "asked", 1 << 20))
    turns = 1
    while node.patches_asked:
        assert not said
        said = replies(node, Call(Add(b"key 1", b"%d" % turns), None), Call(Add(b"late", b"y"), None))
        turns += 1
    assert turns > KEYS // 10
    made = said[0].result
    assert isinstance(made, MadePatch)
    patch = decode_patch(made.take_json())
    other = Replica("n3")
    other.join(patch)
    other.take_changes()
    assert patch.clock == node.replica.clock
    assert other.digest == node.replica.digest
    assert whole_state(other) == whole_state(node.replica)


def test_the_json_is_the_canonical_one() -> None:
    node = node_with_keys(NodeOptions(looks_per_chunk=7 * LOOKS_PER_LISTING))
    said = replies(node, PatchAsked(VersionVector(), "asked", 1 << 20))
    while not said:
        said = replies(node, Call(Add(b"key 2", b"z"), None))
    json = said[0].result.take_json()
    assert encode_patch(decode_patch(json)) == json


def test_small_patches_are_answered_in_their_own_turn_and_in_their_order() -> None:
    node = node_with_keys(NodeOptions())
    clocks = {"first": VersionVector(n1=1), "second": VersionVector(), "third": VersionVector(n1=1)}
    said = replies(node, *(PatchAsked(since, token, 1 << 20) for token, since in clocks.items()))
    assert [reply.token for reply in said] == list(clocks)
    assert [len(decode_patch(reply.result.take_json()).parts) for reply in said] == [0, KEYS, 0]


def test_a_patch_that_would_be_too_long_ends_early() -> None:
    node = node_with_keys(NodeOptions(looks_per_chunk=5 * LOOKS_PER_LISTING))
    said = replies(node, PatchAsked(VersionVector(), "asked", 100))
    assert isinstance(said[0].error, TooMany)
    assert said[0].error.setting == "limits.message_bytes_max"
    assert not node.patches_asked
    assert not node.replica.catalogue.is_watched
