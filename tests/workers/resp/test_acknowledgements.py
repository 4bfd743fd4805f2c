"""How far the peers have seen this node's commits, and waiting for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from crdt_core.errors import StoreUnavailable
from crdt_core.lattice.clocks import VersionVector
from tests.support import wait_until_async
from workers.resp.acknowledgements import Acknowledgements


class Published:
    """What each peer has published; a peer that is not there cannot be read. `asked`: how often each was asked."""

    def __init__(self) -> None:
        self.clocks: dict[str, VersionVector] = {}
        self.asked = {"n2": 0, "n3": 0}
        self._changed = {"n2": asyncio.Event(), "n3": asyncio.Event()}

    def publish(self, peer: str, counter: int) -> None:
        self.clocks[peer] = VersionVector(n1=counter)
        self._changed[peer].set()

    async def next_clock(self, peer: str) -> VersionVector:
        self.asked[peer] += 1
        if peer not in self.clocks:
            raise StoreUnavailable(f"{peer} is away")
        await self._changed[peer].wait()
        self._changed[peer].clear()
        return self.clocks[peer]


def rig() -> tuple[Published, Acknowledgements]:
    published: Any = Published()
    node: Any = SimpleNamespace(peers=("n2", "n3"), replica_id="n1")
    return published, Acknowledgements(node, published)


async def test_it_returns_once_so_many_peers_have_seen_the_commit() -> None:
    published, acknowledgements = rig()
    published.publish("n2", 1)
    published.publish("n3", 2)
    waiting = asyncio.create_task(acknowledgements.wait(2, 2, None))
    one = await acknowledgements.wait(2, 1, None)
    assert (one, waiting.done()) == (1, False)
    published.publish("n2", 5)
    assert await waiting == 2


async def test_it_tells_how_many_have_seen_the_commit_when_the_time_is_up() -> None:
    published, acknowledgements = rig()
    published.publish("n2", 7)
    assert await acknowledgements.wait(7, 2, 0.05) == 1


async def test_peers_are_asked_only_while_somebody_waits_and_only_when_there_is_news() -> None:
    """They were once asked every five milliseconds."""
    published, acknowledgements = rig()
    published.publish("n2", 1)
    published.publish("n3", 1)
    assert await acknowledgements.wait(0, 0, None) == 0
    assert published.asked == {"n2": 0, "n3": 0}
    waiting = asyncio.create_task(acknowledgements.wait(2, 2, None))
    await wait_until_async(lambda: published.asked == {"n2": 2, "n3": 2}, what="both to have been heard")
    for _ in range(100):
        await asyncio.sleep(0)
    published.publish("n2", 2)
    published.publish("n3", 2)
    assert await waiting == 2
    assert max(published.asked.values()) <= 3
    asked = dict(published.asked)
    assert await acknowledgements.wait(2, 2, None) == 2
    assert published.asked == asked


async def test_who_gives_up_leaves_nothing_behind() -> None:
    published, acknowledgements = rig()
    published.publish("n2", 1)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(acknowledgements.wait(9, 1, None))
    await wait_until_async(lambda: published.asked["n2"] == 2, what="n2 to be followed")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wait_until_async(lambda: asyncio.all_tasks() == before, what="nobody to be followed any more")
