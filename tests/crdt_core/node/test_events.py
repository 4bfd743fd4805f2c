"""The vocabulary of a node: what makes a commit worth persisting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crdt_core.codec.records import Changes
from crdt_core.node.events import Commit, Operation, Quarantined, Reply
from tests.crdt_core.writes import Count


def some_changes() -> Changes:
    changes = Changes()
    changes.written[b"state"] = [b"key", b"value"]
    return changes


@pytest.mark.parametrize(
    "what",
    [
        {"records": some_changes()},
        {"delta": b"{}", "counter": 1},
        {"header": {"clock": b"{}"}},
        {"acknowledged": ["1-0"]},
        {"quarantined": [Quarantined("inbox", "1-0", b"junk", "no JSON")]},
    ],
)
def test_a_commit_with_anything_to_persist_is_not_empty(what: dict[str, Any]) -> None:
    assert Commit().empty
    assert not replace(Commit(), **what).empty


def test_a_bound_for_the_log_alone_is_no_reason_to_commit() -> None:
    assert Commit(trim=7).empty


def test_commits_share_nothing() -> None:
    first, second = Commit(), Commit()
    first.acknowledged.append("1-0")
    first.header["clock"] = b"{}"
    assert second.empty


def test_a_reply_is_a_result_unless_it_is_an_error() -> None:
    assert Reply("token") == ("token", None, None)


def test_whatever_runs_on_a_replica_is_an_operation() -> None:
    operation: Operation = Count(b"hits")
    assert callable(operation.run)
