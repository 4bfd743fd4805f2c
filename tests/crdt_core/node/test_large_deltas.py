"""A large delta, and one that clears something large, is applied a slice at a time, and shows as one write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.deltas import decode_delta
from crdt_core.node.events import Call, DeltasRead
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.histories import whole_state
from tests.crdt_core.node.test_large_calls import NOW_MS, execute

if TYPE_CHECKING:
    from crdt_core.node.events import Turn

KEYS, MEMBERS = 40, 60
SLICED = NodeOptions(parts_per_slice=10, parts_per_turn=20, delta_bytes_per_turn=500)
FILL = (
    "MSET " + " ".join(f"key{number} v" for number in range(KEYS)),
    "SADD large " + " ".join(f"m{number}" for number in range(MEMBERS)),
)


def node_of(name: str, options: NodeOptions | None = None) -> Node:
    return Node(name, Replica(name, founders=["n1", "n2"]), "s", options=options)


def written(node: Node, request: str) -> tuple[str, bytes]:
    """The entry that `request` makes in the log of `node`."""
    commit = node.turn([Call(execute(request), None)], NOW_MS, 0).commit
    node.confirm()
    assert commit.delta is not None
    return f"{commit.counter}-0", bytes(commit.delta)


def read(node: Node, *entries: tuple[str, bytes]) -> list[Turn]:
    """The turns of `node` on entries of the log of n1, until all of them are dealt with."""
    turns = [node.turn([DeltasRead("n1", list(entries), "token")], NOW_MS, 0)]
    while node.large.deltas:
        node.confirm()
        while node.large.prepare():
            pass
        turns.append(node.turn([], NOW_MS, 0))
    return turns


def test_a_large_delta_is_applied_in_slices_and_gives_what_one_piece_gives() -> None:
    n1, sliced, whole = node_of("n1"), node_of("n2", SLICED), node_of("n2")
    for request in (*FILL, "FLUSHALL"):
        entry = written(n1, request)
        turns, (once,) = read(sliced, entry), read(whole, entry)
        assert [len(turn.effects) for turn in turns] == [0, 1]
        assert [effect.result for effect in turns[1].effects] == [effect.result for effect in once.effects] == [1]
        assert turns[0].commit.empty
        assert len(turns[1].commit.earlier) >= KEYS // SLICED.parts_per_slice
        assert turns[1].commit.header == once.commit.header
        assert max(sum(1 for _ in changes) for changes in turns[1].commit.earlier) <= 2 * SLICED.parts_per_slice
        assert whole_state(sliced.replica) == whole_state(whole.replica)
        assert sliced.replica.digest == whole.replica.digest
        for node in (sliced, whole):
            node.confirm()


def test_a_small_delta_that_clears_much_is_applied_in_slices() -> None:
    n1, sliced, whole = node_of("n1"), node_of("n2", SLICED), node_of("n2")
    for request in FILL:
        entry = written(n1, request)
        for node in (sliced, whole):
            read(node, entry)
            node.confirm()
    entry = written(n1, "DEL large")
    assert len(entry[1]) < SLICED.delta_bytes_per_turn
    turns = read(sliced, entry)
    read(whole, entry)
    assert len(turns) == 2
    assert len(turns[1].commit.earlier) >= MEMBERS // SLICED.parts_per_slice
    assert sliced.replica.digest == whole.replica.digest


def test_readers_see_all_of_it_or_nothing() -> None:
    n1, n2 = node_of("n1"), node_of("n2", SLICED)
    for request in FILL:
        read(n2, written(n1, request))
        n2.confirm()

    def shown() -> list[bool]:
        heads = [n2.confirmed.head(b"key%d" % number) for number in range(KEYS)]
        return [head is not None and bool(head.showing()) for head in heads]

    n2.turn([DeltasRead("n1", [written(n1, "FLUSHALL")], None)], NOW_MS, 0)
    n2.confirm()
    while n2.large.prepare():
        assert all(shown())
    n2.turn([], NOW_MS, 0)
    assert all(shown())
    n2.confirm()
    assert not any(shown())


def test_what_comes_behind_a_large_delta_is_read_again() -> None:
    n1, n2 = node_of("n1"), node_of("n2", SLICED)
    entries = [written(n1, request) for request in ("SET a 1", FILL[0], "SET b 2")]
    turns = read(n2, *entries)
    assert [effect.result for turn in turns for effect in turn.effects] == [2]
    assert n2.replica.clock == {"n1": 2}
    assert [effect.result for effect in read(n2, *entries[2:])[0].effects] == [1]


def test_a_large_delta_that_has_been_seen_is_passed_and_changes_nothing() -> None:
    n1, n2 = node_of("n1"), node_of("n2", SLICED)
    entry = written(n1, FILL[0])
    for expected in (1, 1):
        turns = read(n2, entry)
        n2.confirm()
        assert turns[-1].effects[-1].result == expected
    assert not turns[-1].commit.earlier


@pytest.mark.parametrize("spoiled", ["cut short", "doubled"])
def test_a_large_delta_that_makes_no_sense_is_set_aside_and_changes_nothing(spoiled: str) -> None:
    n1, n2 = node_of("n1"), node_of("n2", SLICED)
    place, content = written(n1, FILL[0])
    content = content[:-9] + b"]}" if spoiled == "cut short" else content.replace(b'"key39"', b'"key38"')
    turns = read(n2, (place, content))
    assert [effect.result for turn in turns for effect in turn.effects if effect.__class__.__name__ == "Reply"] == [0]
    assert [item.entry for turn in turns for item in turn.commit.quarantined] == [place]
    assert not n2.replica.catalogue.size


def test_a_large_delta_that_is_early_waits_as_any_other() -> None:
    n1, n2 = node_of("n1"), node_of("n2", SLICED)
    written(n1, "SET a 1")
    entry = written(n1, FILL[0])
    assert decode_delta(entry[1]).deps == {"n1": 1}
    (turn,) = read(n2, entry)
    assert turn.effects[-1].result == 0 or turn.effects[0].result == 0
    assert not n2.replica.catalogue.size
