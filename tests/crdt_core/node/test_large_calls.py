"""A flush of many keys, and the delete of something large, is done a slice at a time, and shows as one write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.deltas import decode_delta
from crdt_core.commands import COMMANDS, Execute, Invocation
from crdt_core.commands.expiry import DeleteExpired
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call, DeltasRead, ReplayAsked, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.costs import counted_calls
from tests.crdt_core.histories import whole_state

if TYPE_CHECKING:
    from crdt_core.node.events import Commit, Operation, Turn

KEYS, MEMBERS = 40, 60
OPTIONS = NodeOptions(parts_per_slice=10, parts_per_turn=20)
ROOMY = NodeOptions(parts_per_turn=1_000_000)
NOW_MS = 1_000_000
LATER_MS = NOW_MS + 60_000
"""The large set of `expiring` is over then."""


def execute(*requests: str, wall_ms: int = NOW_MS) -> Execute:
    words = [request.encode().split() for request in requests]
    return Execute([(COMMANDS[name], args) for name, *args in words], wall_ms, 1)


def node_with(options: NodeOptions, *requests: str) -> Node:
    """A node that has run `requests`, each in a turn of its own."""
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=options)
    for request in requests:
        take_turns(node, execute(request))
    return node


def filled(options: NodeOptions) -> Node:
    return node_with(
        options,
        "MSET " + " ".join(f"key{number} v" for number in range(KEYS)),
        "SADD large " + " ".join(f"m{number}" for number in range(MEMBERS)),
        *(f"HINCRBY counts f{number} 2" for number in range(15)),
        "SET lasting v",
        "EXPIRE counts 1000",
    )


def expiring(options: NodeOptions) -> Node:
    node = filled(options)
    take_turns(node, execute("EXPIRE large 5"))
    return node


def take_turns(node: Node, *operations: Operation) -> list[Turn]:
    """Have a turn with `operations`, and those that it makes necessary."""
    turns = [node.turn([Call(operation, number) for number, operation in enumerate(operations)], NOW_MS, 0)]
    node.confirm()
    while node.large.calls or node.large.behind:
        while node.large.prepare():
            pass
        turns.append(node.end_large_call() if node.large.calls else node.turn([], NOW_MS, 0))
        node.confirm()
    return turns


def is_shown(node: Node, key: bytes) -> bool:
    head = node.confirmed.head(key)
    return head is not None and bool(head.showing())


def size_of(commit: Commit) -> int:
    return sum(1 for changes in (*commit.earlier, commit.records) for _ in changes)


def give_the_same(sliced: Node, whole: Node, operation: Operation, same_operation: Operation) -> None:
    """One of the nodes runs an operation in slices, the other at once; all that can be seen afterwards is the same."""
    turns, (once,) = take_turns(sliced, operation), take_turns(whole, same_operation)
    assert [turn.commit.delta is None for turn in turns] == [True, False]
    assert turns[1].commit.delta is not None
    assert once.commit.delta is not None
    ours, theirs = decode_delta(bytes(turns[1].commit.delta)), decode_delta(bytes(once.commit.delta))
    assert (ours.dot, ours.deps, set(ours.writes)) == (theirs.dot, theirs.deps, set(theirs.writes))
    assert turns[1].commit.counter == once.commit.counter
    assert [effect.result for effect in turns[1].effects] == [effect.result for effect in once.effects]
    assert whole_state(sliced.replica) == whole_state(whole.replica)
    assert (sliced.replica.digest, sliced.replica.clock) == (whole.replica.digest, whole.replica.clock)
    assert sliced.replica.catalogue.removals == whole.replica.catalogue.removals
    lacking = [node.replica.changed_since(ours.deps) for node in (sliced, whole)]
    assert all(lacking)
    assert [*map(set, lacking[0])] == [*map(set, lacking[1])]
    assert sliced.replica.expired_keys == whole.replica.expired_keys
    assert max(sum(1 for _ in changes) for changes in turns[1].commit.earlier) <= 2 * OPTIONS.parts_per_slice


@pytest.mark.parametrize("request_", ["FLUSHALL", "FLUSHDB ASYNC", "DEL large", "UNLINK counts large key1"])
def test_it_gives_what_one_piece_gives(request_: str) -> None:
    give_the_same(filled(OPTIONS), filled(ROOMY), execute(request_), execute(request_))


@pytest.mark.parametrize(
    "request_", ["SADD large x", "SET large v", "INCR large", "SMOVE large other m1", "COPY key1 large", "DEL large"]
)
def test_a_write_deletes_something_large_that_has_expired_in_slices(request_: str) -> None:
    """The first write to a set of a million members that had expired deleted all of them in one turn."""
    give_the_same(
        expiring(OPTIONS),
        expiring(ROOMY),
        execute("SET a 1", request_, wall_ms=LATER_MS),
        execute("SET a 1", request_, wall_ms=LATER_MS),
    )


@pytest.mark.parametrize(
    "request_",
    [
        "RENAME large other",
        "RENAME numbers large",
        "RENAMENX numbers other",
        "COPY large other",
        "COPY numbers large REPLACE",
        "SUNIONSTORE other large few",
        "SUNIONSTORE large few large",
        "SINTERSTORE few large few",
        "SDIFFSTORE large large few",
        "SDIFFSTORE large nothing large",
    ],
)
def test_what_copies_or_replaces_something_large_runs_in_slices(request_: str) -> None:
    """Each of these was one turn, of seconds for a million members."""
    nodes = []
    for options in (OPTIONS, ROOMY):
        node = expiring(options)
        take_turns(node, execute("SADD few m1 m2 x"))
        take_turns(node, execute("HSET numbers " + " ".join(f"f{number} {number}" for number in range(40))))
        take_turns(node, *(execute(f"HINCRBY numbers f{number} 2") for number in range(5)))
        nodes.append(node)
    give_the_same(*nodes, execute(request_), execute(request_))


@pytest.mark.parametrize(
    "request_", ["RENAME nothing large", "RENAMENX counts large", "COPY counts large", "COPY large large"]
)
def test_a_copy_that_is_refused_changes_nothing(request_: str) -> None:
    node = filled(OPTIONS)
    state = whole_state(node.replica)
    assert all(turn.commit.empty for turn in take_turns(node, execute(request_)))
    assert whole_state(node.replica) == state


def test_the_sweep_deletes_something_large_in_slices() -> None:
    """The sweep of a set of a million members was one turn of seconds."""
    give_the_same(expiring(OPTIONS), expiring(ROOMY), DeleteExpired(LATER_MS, 100), DeleteExpired(LATER_MS, 100))


def test_a_sweep_that_finds_nothing_to_delete_is_no_large_call() -> None:
    node = expiring(OPTIONS)
    turns = take_turns(node, DeleteExpired(NOW_MS, 100))
    assert [turn.commit.empty for turn in turns] == [True]


def test_a_command_that_comes_alone_runs_in_slices_too() -> None:
    """A delete through gRPC was one turn, whatever it deleted."""
    delete = COMMANDS[b"DEL"], [b"large"]
    give_the_same(filled(OPTIONS), filled(ROOMY), Invocation(*delete, NOW_MS), Invocation(*delete, NOW_MS))


def test_no_turn_and_no_slice_changes_more_than_a_slice() -> None:
    node = filled(OPTIONS)
    first = node.turn([Call(execute("FLUSHALL"), None)], NOW_MS, 0)
    node.confirm()
    assert size_of(first.commit) == 0
    changed = 0
    while node.large.prepare():
        assert len(node.replica.catalogue.in_flight) - changed <= OPTIONS.parts_per_slice
        changed = len(node.replica.catalogue.in_flight)
    last = node.end_large_call()
    assert changed > KEYS + MEMBERS
    assert not last.commit.records
    assert max(sum(1 for _ in changes) for changes in last.commit.earlier) <= 2 * OPTIONS.parts_per_slice


def test_readers_see_all_of_it_or_nothing() -> None:
    node = filled(OPTIONS)

    def shown() -> int:
        return sum(is_shown(node, key) for key in node.confirmed.keys())  # noqa: SIM118  no mapping

    before = shown()
    node.turn([Call(execute("FLUSHALL"), None)], NOW_MS, 0)
    node.confirm()
    while node.large.prepare():
        assert shown() == before
    node.end_large_call()
    assert shown() == before
    node.confirm()
    assert shown() == 0


def test_calls_keep_their_order_around_a_large_one() -> None:
    node = filled(OPTIONS)
    turns = take_turns(
        node, execute("SET a 1"), execute("FLUSHALL"), execute("EXISTS a", "SET b 2"), execute("DEL nothing")
    )
    assert [[effect.token for effect in turn.effects] for turn in turns] == [[0], [1], [2, 3]]
    assert turns[2].effects[0].result[0] == 0
    assert [node.replica.value(key) for key in (b"a", b"b", b"lasting")] == [None, b"2", None]


def test_calls_keep_their_order_if_a_peer_has_made_the_replica_small_meanwhile() -> None:
    """An SADD behind a DEL of a large set ran before it, was acknowledged, and was deleted."""
    n1 = node_with(OPTIONS, "SADD large " + " ".join(f"m{number}" for number in range(MEMBERS)))
    n2 = Node("n2", Replica("n2", founders=["n1", "n2"]), "s")
    n2.replica.join(n1.replica.patch(None, Stamp(NOW_MS, 0)))
    n2.replica.take_changes()
    commit = n2.turn([Call(execute("DEL large"), None)], NOW_MS, 0).commit
    read = DeltasRead("n2", [(f"{commit.counter}-0", bytes(commit.delta or b""))], "entry")
    n1.turn([read, Call(execute("DEL large"), "del")], NOW_MS, 0)
    assert n1.large.deltas
    assert n1.large.calls
    turns = [prepared_turn(n1, Call(execute("SADD large last"), "add")), prepared_turn(n1), prepared_turn(n1)]
    n1.confirm()
    told = [effect.token for turn in turns for effect in turn.effects if isinstance(effect, Reply)]
    assert told == ["entry", "del", "add"]
    assert is_shown(n1, b"large")


def prepared_turn(node: Node, *events: Call) -> Turn:
    """The next turn, once the last one is confirmed and all is prepared."""
    node.confirm()
    while node.large.prepare():
        pass
    ends = node.large.calls and not node.large.deltas
    return node.end_large_call() if ends else node.turn(events, NOW_MS, 0)


def test_a_replay_does_not_wait_behind_a_large_call() -> None:
    """The header said at once that the piece was replayed, but its writes came later: a crash between lost them."""
    former = Replica("n1.0")
    former.write(b"unsent", ORSET, b"x", True)
    delta = former.commit(Stamp(1, 0))
    assert delta is not None
    node = filled(OPTIONS)
    flush, replay = Call(execute("FLUSHALL"), "flush"), ReplayAsked("n1.0", (delta,), "replay", ends=False)
    turn = node.turn([flush, replay], NOW_MS, 0)
    assert turn.commit.header["replayed"] == b"1"
    assert turn.commit.delta is not None
    assert [write.key for write in decode_delta(bytes(turn.commit.delta)).writes] == [b"unsent"]
    assert [effect.token for effect in turn.effects] == ["replay"]
    assert len(node.large.calls) == 1


def test_a_transaction_around_a_flush_stays_one_commit() -> None:
    node = filled(OPTIONS)
    turns = take_turns(node, execute("SET before 1", "FLUSHALL", "SET after 2"))
    assert [turn.commit.delta is not None for turn in turns] == [False, True]
    assert [node.replica.value(key) for key in (b"before", b"after")] == [None, b"2"]
    peer = filled(ROOMY)
    take_turns(peer, execute("SET before 1", "FLUSHALL", "SET after 2"))
    assert whole_state(node.replica) == whole_state(peer.replica)


def test_a_large_call_that_is_refused_changes_nothing() -> None:
    node = filled(OPTIONS)
    clock = node.replica.clock.copy()
    turns = take_turns(node, execute("FLUSHALL NOW"))
    assert "syntax" in turns[1].effects[0].result[0].text
    assert all(turn.commit.empty for turn in turns)
    assert node.replica.clock == clock


def test_a_large_call_has_the_time_of_day_at_which_it_came() -> None:
    """On a node that had been idle for an hour, RENAME of a large hash gave its fields a time that was an hour old."""
    nodes = [node_with(options, "HSET large " + " ".join(f"f{n} v" for n in range(30))) for options in (OPTIONS, ROOMY)]
    later_ms = NOW_MS + 3_600_000
    for node in nodes:
        node.turn([Call(execute("RENAME large other"), None)], later_ms, 0)
        node.confirm()
        if node.large.calls:
            node.end_large_call()
    assert nodes[0].hlc.last == nodes[1].hlc.last == Stamp(later_ms, 0)
    assert whole_state(nodes[0].replica) == whole_state(nodes[1].replica)


def test_the_first_read_of_a_large_commit_does_not_go_through_all_of_it() -> None:
    """On a node that nobody had asked meanwhile, it took three seconds once a set of a million members was deleted."""
    costs = []
    for members in (200, 600):
        node = node_with(OPTIONS, *(f"SADD large m{number}" for number in range(members)))
        node.turn([Call(execute("DEL large"), None)], NOW_MS, 0)
        node.confirm()
        while node.large.prepare():
            pass
        node.end_large_call()
        found, cost = counted_calls(lambda node=node: node.confirmed.head(b"large"))  # type: ignore[misc]
        assert found is not None
        assert found.live == members
        costs.append(cost)
    assert costs[0] == costs[1]


def test_a_flush_goes_on_although_a_key_before_it_has_nothing_left() -> None:
    """Slices persist what came before it while it notes which keys there are."""
    keys = [f"SET k{number} v" for number in range(400)]
    sliced, whole = node_with(OPTIONS, *keys), node_with(ROOMY, *keys)
    for node in (sliced, whole):
        take_turns(node, execute("SADD fresh x", "DEL fresh", "FLUSHALL"))
    assert whole_state(sliced.replica) == whole_state(whole.replica)
    assert not any(is_shown(sliced, key) for key in list(sliced.replica.keys()))
