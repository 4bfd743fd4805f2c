"""What is queued since MULTI, and what a watch does to EXEC."""

from __future__ import annotations

import pytest

from crdt_core.commands import ErrorReply, Execute, Status
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
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
    watch.keys.add(b"k")
    if happened == "before":
        watch.changed = True
    elif happened == "in the same turn":
        Execute([(SET, [b"k", b"theirs"])], 1, 1).run(replica, Stamp(1, 0))
    guarded = Guarded(watch, Execute([(SET, [b"k", b"mine"])], 1, 1))
    replies = guarded.run(replica, Stamp(1, 1))
    assert (replies is NULL_LIST) is (happened != "not at all")
    assert replica.value(b"k") == {"before": None, "in the same turn": b"theirs", "not at all": b"mine"}[happened]
