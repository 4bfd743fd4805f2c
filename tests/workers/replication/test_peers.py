"""What callers ask about the peers: names are checked before anything happens, and no name means all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import UnknownNode
from tests.support import wait_until_async
from tests.workers.resp.inprocess import InProcess
from workers.replication.peers import exchange, set_links

if TYPE_CHECKING:
    from workers.replication.links import Links


async def test_links_to_peers_that_are_unknown_are_not_set() -> None:
    async with InProcess() as site:
        links: Any = site.links
        with pytest.raises(UnknownNode):
            await set_links(site.mailbox, links, ["n2", "n9"], paused=True)
        assert site.links.paused == frozenset()
        assert await set_links(site.mailbox, links, [], paused=True) == {"n2": "paused"}
        assert await set_links(site.mailbox, links, ["n2"], paused=False) == {"n2": "open"}


async def test_a_peer_that_is_unknown_is_not_exchanged_with() -> None:
    async with InProcess() as site:
        links: Any = site.links
        with pytest.raises(UnknownNode):
            await exchange(site.mailbox, links, ["n9"])


async def test_links_are_read_before_an_exchange() -> None:
    """A peer that was healed just now takes part."""
    async with InProcess() as site:
        read = asyncio.Event()

        class Read:
            async def read(self) -> None:
                read.set()

        links: Links = Read()  # type: ignore[assignment]
        exchanging = asyncio.create_task(exchange(site.mailbox, links, []))
        await wait_until_async(read.is_set, what="the links to be read")
        exchanging.cancel()
