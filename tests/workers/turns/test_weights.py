"""Weights: what a turn takes depends on bytes and writes, and long readings are passed on in pieces."""

from __future__ import annotations

from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Write
from crdt_core.node.events import DeltasRead, MessagesRead, ReplayAsked, Tick
from workers.turns.weights import COMMAND_WEIGHT, TURN_WEIGHT_MAX, slices, weight_of


def test_the_bytes_of_others_weigh_more_than_those_of_commands() -> None:
    assert weight_of(Tick()) == COMMAND_WEIGHT
    entries = [("1-0", b"x" * 1000), ("2-0", b"x" * 1000)]
    assert weight_of(DeltasRead("n2", entries, None)) == weight_of(MessagesRead(entries))
    assert weight_of(MessagesRead(entries)) > 2000 + COMMAND_WEIGHT
    assert weight_of(MessagesRead([("1-0", None)])) == COMMAND_WEIGHT


def test_a_replay_weighs_as_much_as_its_writes_did() -> None:
    writes = tuple(Write(b"s", "orset", b"%d" % number, True) for number in range(10))
    delta = Delta(Dot("n1", 1), VersionVector(), Stamp(1, 0), writes)
    assert weight_of(ReplayAsked("n1", (delta, delta), None)) == 20 * COMMAND_WEIGHT


def test_pieces_are_bounded_and_have_all_entries_in_their_order() -> None:
    entries = [b"x" * size for size in (10, TURN_WEIGHT_MAX, 10, 20, (64 << 10) - 40, 30)]
    pieces = list(slices(entries, len))
    assert [entry for piece in pieces for entry in piece] == entries
    assert [len(piece) for piece in pieces] == [1, 1, 3, 1]
    assert list(slices([], len)) == []
