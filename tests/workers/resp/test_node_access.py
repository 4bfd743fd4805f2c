"""What commands may know of the node behind the face, and ask of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import Stopping
from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.changes import AddMember
from tests.workers.resp.inprocess import InProcess

if TYPE_CHECKING:
    from workers.resp.node_access import NodeAccess


def access(face: InProcess) -> NodeAccess:
    return face.connect().connection.services.node


async def test_what_is_seen_follows_the_confirmed_commits() -> None:
    async with InProcess() as face:
        peer, node = face.connect(), access(face)
        assert (node.own_counter, node.seen, node.keys_with_deadline) == (0, {}, 0)
        await peer.call(b"SET", b"k", b"v", b"EX", b"100")
        assert (node.own_counter, node.seen, node.keys_with_deadline) == (1, {"n1": 1}, 1)
        face.store.back.clear()
        peer.send((b"SET", b"k", b"w"))
        await asyncio.sleep(0)
        assert node.own_counter == 1
        face.store.back.set()
        assert await peer.reply() == b"OK"
        assert node.own_counter == 2


async def test_facts_are_what_info_says() -> None:
    async with InProcess() as face:
        await face.connect().call(b"SET", b"k", b"v")
        facts = access(face).facts
        assert (facts["node"], facts["replica"], facts["peers"], facts["paused"]) == ("n1", "n1", "n2", "")
        assert facts["clock"] == '{"n1":1}'
        assert facts["turns"] == face.node.counts["turns"]


async def test_to_wait_for_a_clock_returns_at_once_or_how_much_is_missing() -> None:
    async with InProcess() as face:
        peer, node = face.connect(), access(face)
        await peer.call(b"SET", b"k", b"v")
        assert await node.wait_until_seen(VersionVector(n1=1), None) == 0
        assert await node.wait_until_seen(VersionVector(n1=3, n2=5), 0.01) == 7
        waiting = asyncio.create_task(node.wait_until_seen(VersionVector(n1=2), None))
        await peer.call(b"SET", b"k", b"w")
        assert await waiting == 0


async def test_whoever_waits_for_other_peers_is_woken_by_the_turn_that_brings_them() -> None:
    async with InProcess() as face:
        node = access(face)
        await node.wait_for_other_peers(())
        waiting = asyncio.create_task(node.wait_for_other_peers(node.peers))
        await face.connect().call(b"SET", b"k", b"v")
        assert not waiting.done()
        await face.mailbox.call(AddMember("n3", "", "", "0a"))
        await waiting
        assert len(node.peers) == 2


async def test_nothing_is_read_once_the_worker_is_about_to_end() -> None:
    async with InProcess() as face:
        node = access(face)
    with pytest.raises(Stopping):
        _ = node.state
