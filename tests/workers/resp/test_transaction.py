"""What is queued since MULTI, and what a watch does to EXEC."""

from __future__ import annotations

import pytest

from crdt_core.commands import ErrorReply, Execute, Status
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call, Reply
from crdt_core.replica.replica import Replica
from tests.crdt_core.node.test_large_calls import MEMBERS, NOW_MS, OPTIONS, execute, filled
from tests.invocations import lookup
from workers.resp.encoding import NULL_LIST
from workers.resp.transaction import Guarded, Transaction, Watch

SET = lookup(b"SET", [b"k", b"v"])


def test_a_transaction_holds_no_more_than_a_request_may() -> None:
    transaction = Transaction(20, 10)
    assert transaction.queue(SET, [b"k", b"v"]) == Status("QUEUED")
    refused = transaction.queue(SET, [b"k", b"v" * 20])
    assert isinstance(refused, ErrorReply)
    assert "limits.message_bytes_max" in refused.text
    assert (transaction.spoiled, transaction.commands) == (True, [])


def test_a_transaction_holds_no_more_commands_than_the_limit_says() -> None:
    """One INCR is 5 bytes: a bound on bytes alone let 13 million of them into one turn."""
    transaction = Transaction(1000, 2)
    told = [transaction.queue(SET, [b"k", b"v"]) for _ in range(4)]
    assert told[:2] == [Status("QUEUED")] * 2
    assert all(
        isinstance(refused, ErrorReply) and "limits.transaction_commands_max" in refused.text for refused in told[2:]
    )
    assert (transaction.spoiled, transaction.commands) == (True, [])


@pytest.mark.parametrize("happened", ["before", "in the same turn", "not at all"])
def test_exec_fails_where_a_watched_key_has_changed(happened: str) -> None:
    replica, watch = Replica("n1"), Watch()
    watch.add([b"k"], replica, 1)
    if happened == "before":
        watch.changed = True
    elif happened == "in the same turn":
        Execute([(SET, [b"k", b"theirs"])], 1, 1).run(replica, Stamp(1, 0))
    guarded = Guarded(watch, Execute([(SET, [b"k", b"mine"])], 1, 1))
    replies = guarded.run(replica, Stamp(1, 1))
    assert (replies is NULL_LIST) is (happened != "not at all")
    assert replica.value(b"k") == {"before": None, "in the same turn": b"theirs", "not at all": b"mine"}[happened]


@pytest.mark.parametrize(
    ("showed", "lines", "wall_ms", "runs"),
    [
        (True, [], 99, True),
        (True, [], 100, False),
        (False, [], 100, True),
        (False, ["DEL"], 100, True),
        (False, ["SET"], 100, False),
        (True, ["DEL"], 99, False),
    ],
)
def test_exec_fails_where_a_watched_key_has_expired_since(
    showed: bool, lines: list[str], wall_ms: int, runs: bool
) -> None:
    """Expired keys were not looked at: an INCR of a key that had gone meanwhile ran all the same (redis#7918)."""
    replica, watch = Replica("n1"), Watch()
    expiring = [b"k", b"v", b"PXAT", b"100"]
    Execute([(lookup(b"SET", expiring), expiring)], 1, 1).run(replica, Stamp(1, 0))
    replica.commit(Stamp(1, 0))
    replica.take_changes()
    watch.add([b"k"], replica, 1 if showed else 100)
    commands = {"SET": (SET, [b"k", b"theirs"]), "DEL": (lookup(b"DEL", [b"k"]), [b"k"])}
    if lines:
        Execute([commands[line] for line in lines], wall_ms, 1).run(replica, Stamp(1, 1))
    guarded = Guarded(watch, Execute([(SET, [b"k", b"mine"])], wall_ms, 1))
    assert (guarded.run(replica, Stamp(1, 2)) is not NULL_LIST) is runs


@pytest.mark.parametrize("line", ["DEL large", "FLUSHALL", "SET large v", "EXPIRE large -1", "SPOP large 50"])
@pytest.mark.parametrize("happened", ["before", "while it waits", "not at all"])
def test_exec_of_something_large_runs_in_slices_and_is_one_commit_or_none(line: str, happened: str) -> None:
    node, watch = filled(OPTIONS), Watch()
    watch.add([b"large", b"lasting"], node.replica, NOW_MS)
    watch.changed = happened == "before"
    guarded = Guarded(watch, execute("SET first 1", line, "SET last 2", "EXISTS large first last"))
    first = node.turn([Call(execute("SET lasting theirs"), "theirs"), Call(guarded, "exec")], NOW_MS, 0)
    assert [effect.token for effect in first.effects if isinstance(effect, Reply)] == ["theirs"]
    node.confirm()
    if happened == "while it waits":
        watch.note({b"lasting"}, node.confirmed, NOW_MS)  # as the face does once the commit is confirmed
    while node.large.prepare():
        pass
    last = node.end_large_call()
    assert (last.commit.delta is not None) is (happened == "not at all")
    assert max([0, *(sum(1 for _ in changes) for changes in last.commit.earlier)]) <= 2 * OPTIONS.parts_per_slice
    (reply,) = last.effects
    assert isinstance(reply, Reply)
    if happened == "not at all":
        assert reply.result[-1] == 2 + line.startswith(("SET", "SPOP")) - (line == "FLUSHALL")
        assert [node.replica.value(key) for key in (b"first", b"last")] == [None if line == "FLUSHALL" else b"1", b"2"]
    else:
        assert reply.result is NULL_LIST
        assert node.replica.value(b"first") is None
        assert len(node.replica.value(b"large")) == MEMBERS
