"""Deltas from peers' logs: applied in their order, each gap repaired by a patch, nonsense set aside once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.deltas import encode_delta
from crdt_core.codec.messages import Ask
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import DeltasRead, LinksRead, Reply, Send, Tick
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.writes import Count

if TYPE_CHECKING:
    from crdt_core.node.events import Turn

FOUNDERS = ["n1", "n2", "n3"]
OPTIONS = NodeOptions(repair_delay_ms=100, refused_delay_ms=400, exchange_timeout_ms=200)

Entries = list[tuple[str, bytes]]


def log_of(replica: Replica, count: int) -> Entries:
    """The log of a replica that counts `count` times more."""
    entries = []
    for _ in range(count):
        Count(b"hits").run(replica, Stamp(1, 0))
        delta = replica.commit(Stamp(1, 0))
        assert delta is not None
        entries.append((f"{delta.dot.counter}-0", encode_delta(delta)))
    return entries


class Reader:
    """Node n1, and a clock."""

    def __init__(self) -> None:
        self.node = Node("n1", Replica("n1", founders=FOUNDERS), "s", options=OPTIONS)
        self.now_ms = 0
        self.turn: Turn = self.node.turn([], 1, 0)

    def reads(self, peer: str, entries: Entries) -> int:
        """How many entries are passed."""
        self.turn = self.node.turn([DeltasRead(peer, entries, "tail")], 1_000_000, self.now_ms)
        (passed,) = [effect.result for effect in self.turn.effects if isinstance(effect, Reply)]
        return int(passed)

    @property
    def asks(self) -> list[str]:
        """The peers that were asked for a patch in the last turn."""
        return [e.peer for e in self.turn.effects if isinstance(e, Send) and isinstance(e.message, Ask)]


def n2() -> Replica:
    return Replica("n2", founders=FOUNDERS)


def test_entries_are_applied_in_their_order_and_counted() -> None:
    reader = Reader()
    entries = log_of(n2(), 3)
    assert reader.reads("n2", entries) == 3
    assert reader.node.replica.value(b"hits") == 3
    assert reader.reads("n2", entries) == 3, "what is known is passed, too"
    assert reader.asks == []


def test_nobody_is_read_who_is_no_peer_or_paused() -> None:
    reader = Reader()
    entries = log_of(n2(), 1)
    assert reader.reads("n9", entries) == 0
    reader.node.turn([LinksRead(frozenset({"n2"}))], 1_000_000, 0)
    assert reader.reads("n2", entries) == 0
    assert reader.node.replica.clock == {}


def test_a_gap_is_repaired_at_once_and_only_once_at_a_time() -> None:
    reader = Reader()
    entries = log_of(n2(), 3)
    assert reader.reads("n2", entries[1:]) == 0
    assert reader.asks == ["n2"]
    assert reader.reads("n2", entries[1:]) == 0
    assert reader.asks == []
    assert reader.node.counts["repairs"] == 1


def test_what_a_third_node_may_still_bring_is_waited_for() -> None:
    reader = Reader()
    second, third = n2(), Replica("n3", founders=FOUNDERS)
    from_n2 = log_of(second, 1)
    third.join(second.patch(None, Stamp(1, 0)))
    from_n3 = log_of(third, 1)
    assert reader.reads("n3", from_n3) == 0
    assert reader.asks == []
    reader.now_ms = 99
    assert reader.reads("n3", from_n3) == 0
    assert reader.asks == []
    reader.now_ms = 100
    assert reader.reads("n3", from_n3) == 0
    assert reader.asks == ["n3"]
    assert reader.reads("n2", from_n2) == 1
    assert reader.reads("n3", from_n3) == 1
    assert reader.node.replica.value(b"hits") == 2


def test_a_patience_that_was_rewarded_begins_anew() -> None:
    reader = Reader()
    second, third = n2(), Replica("n3", founders=FOUNDERS)
    from_n2 = log_of(second, 1)
    third.join(second.patch(None, Stamp(1, 0)))
    first = log_of(third, 1)
    assert reader.reads("n3", first) == 0
    assert reader.reads("n2", from_n2) == 1
    assert reader.reads("n3", first) == 1
    from_n2 = log_of(second, 1)
    third.join(second.patch(third.clock, Stamp(1, 0)))
    reader.now_ms = 150
    assert reader.reads("n3", log_of(third, 1)) == 0
    assert reader.asks == [], "it waits for as long as the first"


def test_an_entry_that_makes_no_sense_is_set_aside_once_and_made_up_for() -> None:
    reader = Reader()
    assert reader.reads("n2", [("1-0", b"junk")]) == 0
    assert [(item.source, item.entry) for item in reader.turn.commit.quarantined] == [("log of n2", "1-0")]
    assert reader.asks == ["n2"]
    reader.now_ms = 200
    reader.node.turn([Tick()], 1_000_000, reader.now_ms)
    assert reader.reads("n2", [("1-0", b"junk")]) == 0
    assert reader.turn.commit.quarantined == []
    assert reader.asks == []
    reader.now_ms = 400
    assert reader.reads("n2", [("1-0", b"junk")]) == 0
    assert reader.asks == ["n2"]


def test_an_entry_at_another_place_or_in_another_log_is_nonsense() -> None:
    reader = Reader()
    ((_, content),) = log_of(n2(), 1)
    assert reader.reads("n2", [("2-0", content)]) == 0
    assert "n2:1 stands at entry 2-0" in reader.turn.commit.quarantined[0].reason
    ((_, content),) = log_of(Replica("s1"), 1)
    assert reader.reads("n3", [("1-0", content)]) == 0
    assert "s1:1 stands in the log of n3" in reader.turn.commit.quarantined[0].reason


def test_entries_behind_one_that_has_to_wait_are_not_passed() -> None:
    reader = Reader()
    entries = log_of(n2(), 4)
    assert reader.reads("n2", [entries[0], ("2-0", b"junk"), *entries[2:]]) == 1
    assert reader.node.replica.clock["n2"] == 1
