"""A worker whose Redis has lost commits that a peer has seen must not go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import InvariantBroken, StoreUnavailable
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from workers.worker.history import check_history

if TYPE_CHECKING:
    from collections.abc import Mapping


class Published:
    """Stands for what the peers have published: how many commits of n1 each has seen; `None`: it cannot be read."""

    def __init__(self, seen: Mapping[str, int | None]) -> None:
        self._seen = seen

    async def clock(self, peer: str) -> VersionVector:
        counter = self._seen[peer]
        if counter is None:
            raise StoreUnavailable("away")
        return VersionVector({"n1": counter} if counter else {})


def n1_at(counter: int) -> Node:
    replica = Replica("n1", founders=["n1", "n2", "n3"])
    if counter:
        replica.clock["n1"] = counter
    return Node("n1", replica, "s")


async def check(counter: int, **seen: int | None) -> None:
    published: Any = Published(seen)
    await check_history(n1_at(counter), published)


async def test_peers_that_have_seen_no_more_than_there_is_are_no_obstacle() -> None:
    await check(7, n2=7, n3=0)


async def test_a_peer_that_has_seen_more_stops_the_worker() -> None:
    with pytest.raises(InvariantBroken, match="the Redis of n1 has lost commits: it is at 6, and n3 has seen 7"):
        await check(6, n2=5, n3=7)


async def test_peers_that_cannot_be_read_are_left_out() -> None:
    await check(6, n2=None, n3=6)
    with pytest.raises(InvariantBroken):
        await check(6, n2=None, n3=7)


async def test_a_peer_that_says_nothing_does_not_hold_it_up() -> None:
    class Silent(Published):
        async def clock(self, peer: str) -> VersionVector:
            await asyncio.Event().wait()
            raise AssertionError(peer)

    published: Any = Silent({})
    async with asyncio.timeout(5):
        await check_history(n1_at(1), published)
