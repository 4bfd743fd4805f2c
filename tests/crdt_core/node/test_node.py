"""The turn: what comes in shares one commit, and nothing shows or leaves before that is confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.header import decode_header
from crdt_core.codec.messages import Push, encode_message
from crdt_core.commands import Session
from crdt_core.errors import InvalidArgument, Retired, UnknownNode
from crdt_core.lattice.clocks import HybridClock, Stamp, VersionVector
from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.membership.decisions import Sponsor
from crdt_core.node.events import (
    Call,
    DeltasRead,
    LinksRead,
    MessagesRead,
    PatchOffered,
    ReplayAsked,
    Reply,
    RoundAsked,
    Tick,
)
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.fellows import Fellows
from tests.crdt_core.writes import Add, Count, Look, Refuse

if TYPE_CHECKING:
    from crdt_core.node.events import Event, Operation, Turn

FOUNDERS = ["n1", "n2"]
WALL_MS = 1_000_000


def node_of(name: str = "n1") -> Node:
    return Node(name, Replica(name, founders=FOUNDERS), "s")


def replies(turn: Turn) -> list[Any]:
    return [effect.error or effect.result for effect in turn.effects if isinstance(effect, Reply)]


def test_calls_of_one_turn_share_a_commit_and_are_answered_in_their_order() -> None:
    node = node_of()
    turn = node.turn([Call(Count(b"hits", 2), "a"), Call(Add(b"set", b"x"), "b"), Call(Count(b"hits", 3), "c")], 1, 0)
    assert [(e.token, e.result) for e in turn.effects if isinstance(e, Reply)] == [("a", 2), ("b", None), ("c", 5)]
    assert turn.commit.counter == 1
    assert turn.commit.delta is not None
    assert len(decode_delta(bytes(turn.commit.delta)).writes) == 2
    assert decode_header({k.encode(): v for k, v in turn.commit.header.items()}).clock == {"n1": 1}


def test_what_peers_sent_is_taken_in_before_callers_operations_run() -> None:
    n2 = Replica("n2", founders=FOUNDERS)
    Count(b"hits", 40).run(n2, Stamp(1, 0))
    delta = n2.commit(Stamp(1, 0))
    assert delta is not None
    node = node_of()
    turn = node.turn([Call(Count(b"hits", 2), "a"), DeltasRead("n2", [("1-0", encode_delta(delta))], "tail")], 1, 0)
    assert replies(turn) == [1, 42]
    assert node.replica.clock == {"n1": 1, "n2": 1}


def test_an_operation_that_is_refused_is_answered_so_and_leaves_the_others_alone() -> None:
    node = node_of()
    turn = node.turn([Call(Refuse(), "a"), Call(Count(b"hits"), "b")], 1, 0)
    refused, counted = replies(turn)
    assert isinstance(refused, InvalidArgument)
    assert counted == 1


def test_a_turn_in_which_nothing_changes_has_nothing_to_commit() -> None:
    node = node_of()
    assert node.turn([Tick()], WALL_MS, 0).commit.empty
    assert node.turn([Call(Look(b"hits"), "a")], WALL_MS, 0).commit.empty
    assert node.turn([Call(Refuse(), "a")], WALL_MS, 0).commit.empty
    assert node.replica.clock == {}


def test_readers_see_what_a_turn_did_once_it_is_confirmed() -> None:
    node = node_of()
    node.turn([Call(Count(b"hits"), "a")], WALL_MS, 0)
    assert not list(Session(node.confirmed, WALL_MS, 0).showing())
    node.confirm()
    assert [found.key for found in Session(node.confirmed, WALL_MS, 0).showing()] == [b"hits"]


def test_every_commit_has_a_stamp_later_than_all_before_and_the_header_has_the_latest() -> None:
    node = Node("n1", Replica("n1", founders=FOUNDERS), "s", hlc=HybridClock(Stamp(WALL_MS, 5)))
    turn = node.turn([Call(Count(b"hits"), "a")], WALL_MS, 0)
    assert turn.commit.delta is not None
    assert decode_delta(bytes(turn.commit.delta)).hlc == Stamp(WALL_MS, 6)
    assert orjson.loads(node.header()["hlc"]) == [WALL_MS, 6]


def test_a_round_with_a_stranger_is_the_callers_error_and_one_with_all_leaves_out_the_paused() -> None:
    node = node_of()
    (error,) = replies(node.turn([RoundAsked(("n2", "n9"), "a")], WALL_MS, 0))
    assert isinstance(error, UnknownNode)
    node.turn([LinksRead(frozenset({"n2"}))], WALL_MS, 0)
    assert node.paused == {"n2"}
    (result,) = replies(node.turn([RoundAsked((), "a")], WALL_MS, 0))
    assert result.contacted == result.failed == ()


def test_a_newcomer_notes_in_its_header_that_it_has_joined() -> None:
    fleet = Fellows(["n1"])
    fleet.do("n1", AddMember("n2", "", "", "a1"))
    newcomer = fleet.start("n2", Replica("n2-a1"), Sponsor("n1", "n1"))
    assert newcomer.joins
    fleet.sync("n2")
    assert not newcomer.joins
    assert newcomer.peers == ("n1",)


def test_a_node_that_was_removed_does_not_go_on() -> None:
    fleet = Fellows(FOUNDERS)
    fleet.do("n1", RemoveMember("n2"))
    with pytest.raises(Retired):
        fleet.sync("n2")


@pytest.mark.parametrize("way", ["its log", "its patch", "a caller's patch"])
def test_an_id_is_closed_only_after_what_was_taken_of_it_and_put_aside_as_large(way: str) -> None:
    """It was closed first: then others could seal it without that, and this node was left behind with it."""
    founders = ["n1", "n2", "n3"]
    options = NodeOptions(parts_per_slice=2, parts_per_turn=4, delta_bytes_per_turn=1000)
    n1, n3 = (Replica(name, founders=founders) for name in ("n1", "n3"))
    n2 = Node("n2", Replica("n2", founders=founders), "s", options=options)

    def entry(replica: Replica, *operations: Operation) -> tuple[str, bytes]:
        for operation in operations:
            operation.run(replica, Stamp(1, 0))
        delta = replica.commit(Stamp(1, 0))
        assert delta is not None
        return f"{delta.dot.counter}-0", encode_delta(delta)

    large = entry(n1, *(Add(b"set %d" % number, b"x" * 99) for number in range(9)))
    patch = n1.patch(VersionVector(), Stamp(1, 0))
    bringing: dict[str, Event] = {
        "its log": DeltasRead("n1", [large], None),
        "its patch": MessagesRead([("1-0", encode_message(Push("n1", "r", patch)))]),
        "a caller's patch": PatchOffered(patch, None),
    }
    turns = [n2.turn([bringing[way], DeltasRead("n3", [entry(n3, RemoveMember("n1"))], None)], WALL_MS, 0)]
    n2.confirm()
    for _ in range(2):
        while n2.large.prepare():
            pass
        turns.append(n2.turn([], WALL_MS, 0))
        n2.confirm()
    (closing,) = [decode_delta(bytes(turn.commit.delta)) for turn in turns if turn.commit.delta is not None]
    assert [write.part for write in closing.writes] == [b"n1/n2"]
    assert (closing.deps["n1"], n2.replica.clock["n1"]) == (1, 1)


def test_a_node_that_hears_in_a_large_patch_that_it_was_removed_writes_nothing_more() -> None:
    """A shell that prepares nothing joined the patch after the check: its calls were acknowledged."""
    n2 = Replica("n2", founders=FOUNDERS)
    for operation in (RemoveMember("n1"), *(Add(b"set %d" % number, b"x") for number in range(9))):
        operation.run(n2, Stamp(1, 0))
    n2.commit(Stamp(1, 0))
    push = encode_message(Push("n2", "r", n2.patch(VersionVector(), Stamp(1, 0))))
    node = Node("n1", Replica("n1", founders=FOUNDERS), "s", options=NodeOptions(parts_per_slice=2))
    node.turn([MessagesRead([("1-0", push)])], WALL_MS, 0)
    node.confirm()
    with pytest.raises(Retired):
        node.turn([Call(Count(b"hits"), "caller")], WALL_MS, 0)


def test_what_a_former_id_had_not_sent_is_written_as_new_and_the_header_forgets_that_id() -> None:
    former = Replica("n1", founders=FOUNDERS)
    Add(b"set", b"x").run(former, Stamp(1, 0))
    delta = former.commit(Stamp(1, 0))
    assert delta is not None
    node = Node("n1", Replica("n1.2", founders=["n2"]), "s")
    turn = node.turn([ReplayAsked("n1", (delta,), "caller")], WALL_MS, 0)
    assert replies(turn) == [1]
    assert turn.commit.header["former"] == b""
    assert node.replica.value(b"set") == [b"x"]
    turn = node.turn([ReplayAsked("n1.0", (), "caller", later=("n1", "n1.1"))], WALL_MS, 0)
    assert turn.commit.header["former"] == b"n1 n1.1", "they are still to be replayed"


def test_the_node_counts_turns_and_commits() -> None:
    node = node_of()
    node.turn([Tick()], WALL_MS, 0)
    node.turn([Call(Count(b"hits"), "a")], WALL_MS, 0)
    assert (node.counts["turns"], node.counts["commits"]) == (2, 1)
