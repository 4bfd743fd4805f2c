"""How far the peers have seen this node's commits, and waiting for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crdt_core.errors import StoreUnavailable
from crdt_core.lattice.clocks import VersionVector
from tests.support import wait_until_async
from workers.resp.acknowledgements import Acknowledgements
from workers.turns.turned import Turned


class Published:
    """What each peer has published; a peer that is not there cannot be read. `asked`: how often each was asked.

    `awaited`: the peers whose next clock somebody waits for.
    """

    def __init__(self) -> None:
        self.clocks: dict[str, VersionVector] = {}
        self.asked = {"n2": 0, "n3": 0}
        self.awaited: set[str] = set()
        self._changed = {"n2": asyncio.Event(), "n3": asyncio.Event()}

    def publish(self, peer: str, counter: int) -> None:
        self.clocks[peer] = VersionVector(n1=counter)
        self._changed[peer].set()

    async def next_clock(self, peer: str) -> VersionVector:
        self.asked[peer] += 1
        if peer not in self.clocks:
            raise StoreUnavailable(f"{peer} is away")
        self.awaited.add(peer)
        try:
            await self._changed[peer].wait()
        finally:
            self.awaited.remove(peer)
        self._changed[peer].clear()
        return self.clocks[peer]


class Node:
    """What a wait has to know of its node, n1."""

    replica_id = "n1"

    def __init__(self, peers: tuple[str, ...]) -> None:
        self.peers = peers
        self._turned = Turned()

    def change_peers(self, *peers: str) -> None:
        self.peers = peers
        self._turned.notify()

    async def wait_for_other_peers(self, than: tuple[str, ...]) -> None:
        await self._turned.wait_for(lambda: self.peers != than)


def rig_of(*peers: str) -> tuple[Node, Any, Acknowledgements]:
    node: Any = Node(peers)
    published: Any = Published()
    return node, published, Acknowledgements(node, published)


def rig() -> tuple[Published, Acknowledgements]:
    _, published, acknowledgements = rig_of("n2", "n3")
    return published, acknowledgements


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


async def test_a_peer_that_joins_while_somebody_waits_is_followed_too() -> None:
    """WAIT without a limit of time for one more than there were waited for ever."""
    node, published, acknowledgements = rig_of("n2")
    published.publish("n2", 1)
    published.publish("n3", 1)
    waiting = asyncio.create_task(acknowledgements.wait(1, 2, None))
    await wait_until_async(lambda: published.asked["n2"] == 2, what="n2 to be followed")
    node.change_peers("n2", "n3")
    async with asyncio.timeout(5):
        assert await waiting == 2


async def test_a_peer_that_leaves_while_somebody_waits_is_asked_no_more() -> None:
    """Its header was read again and again, as fast as its Redis answered, on a new connection each time."""
    node, published, acknowledgements = rig_of("n2", "n3")
    for peer in ("n2", "n3"):
        published.publish(peer, 1)
    waiting = asyncio.create_task(acknowledgements.wait(9, 1, None))
    await wait_until_async(lambda: published.asked == {"n2": 2, "n3": 2}, what="both to be followed")
    node.change_peers("n2")
    await wait_until_async(lambda: published.awaited == {"n2"}, what="n3 to be followed no more")
    published.publish("n2", 9)
    assert await waiting == 1
