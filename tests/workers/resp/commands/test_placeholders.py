"""SLOWLOG, LATENCY, ACL, MODULE, CLUSTER: questions that have one answer here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workers.resp.inprocess import Peer


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("SLOWLOG GET", []),
        ("SLOWLOG GET 5", []),
        ("SLOWLOG LEN", 0),
        ("SLOWLOG RESET", b"OK"),
        ("LATENCY HISTORY command", []),
        ("LATENCY LATEST", []),
        ("LATENCY RESET", 0),
        ("ACL WHOAMI", b"default"),
        ("MODULE LIST", []),
    ],
)
async def test_what_is_not_kept_is_empty(peer: Peer, line: str, reply: object) -> None:
    assert await peer.call(*line.encode().split()) == reply


@pytest.mark.parametrize("line", ["CLUSTER INFO", "CLUSTER SLOTS", "READONLY", "READWRITE", "ASKING"])
async def test_it_is_no_cluster_of_shards(peer: Peer, line: str) -> None:
    assert "cluster support disabled" in str(await peer.call(*line.encode().split()))
