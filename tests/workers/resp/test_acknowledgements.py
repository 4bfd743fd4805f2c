"""How far the peers have seen this node's commits, and waiting for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from crdt_core.errors import StoreUnavailable
from crdt_core.lattice.clocks import VersionVector
from workers.resp.acknowledgements import Acknowledgements


class Published:
    """What each peer has published; a peer that is not there cannot be read."""

    def __init__(self) -> None:
        self.clocks: dict[str, VersionVector] = {}
        self.looks = 0

    async def clock(self, peer: str) -> VersionVector:
        self.looks += 1
        if peer not in self.clocks:
            raise StoreUnavailable(f"{peer} is away")
        return self.clocks[peer]


def rig() -> tuple[Published, Acknowledgements]:
    published: Any = Published()
    node: Any = SimpleNamespace(peers=("n2", "n3"), replica_id="n1")
    return published, Acknowledgements(node, published)


async def test_it_returns_once_so_many_peers_have_seen_the_commit() -> None:
    published, acknowledgements = rig()
    published.clocks = {"n2": VersionVector(n1=1), "n3": VersionVector(n1=2)}
    waiting = asyncio.create_task(acknowledgements.wait(2, 2, None))
    one = await acknowledgements.wait(2, 1, None)
    assert (one, waiting.done()) == (1, False)
    published.clocks["n2"] = VersionVector(n1=5)
    assert await waiting == 2


async def test_it_tells_how_many_have_seen_the_commit_when_the_time_is_up() -> None:
    published, acknowledgements = rig()
    published.clocks = {"n2": VersionVector(n1=7)}
    assert await acknowledgements.wait(7, 2, 0.05) == 1


async def test_peers_are_looked_at_only_while_somebody_waits() -> None:
    published, acknowledgements = rig()
    published.clocks = {"n2": VersionVector(n1=1), "n3": VersionVector(n1=1)}
    assert await acknowledgements.wait(0, 0, None) == 0
    assert published.looks == 0
    assert await acknowledgements.wait(1, 2, None) == 2
    looks = published.looks
    assert await acknowledgements.wait(1, 2, None) == 2
    assert published.looks == looks
