"""A node looks itself whether the fleet goes on without it: nobody may be able to tell it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.header import Header, encode_header
from crdt_core.codec.records import encode_part
from crdt_core.errors import Retired
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.membership.decisions import Sponsor
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from crdt_core.types import MEMBERS
from crdt_core.types.members import REMOVED_BY_HAND, Fact, Standing
from workers.config.loading import checked
from workers.system.tasks import end
from workers.wire.keys import Keys
from workers.wire.peers import Peers
from workers.worker.recognition import watch_recognition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis import Redis

    from tests.server import ValkeyServer

REPLICA = "n4-07b3e8"


class Newcomer:
    """n4, which was added, and its peer n1: all that their Redis says."""

    def __init__(self, server: ValkeyServer) -> None:
        nodes = {name: {"grpc": f"{name}:1", "redis": server.url} for name in ("n1", "n4")}
        self.peers = Peers(checked({"nodes": nodes}), "n4")
        self.client: Redis = server.client()
        self.client.flushdb()
        self.node = Node("n4", Replica(REPLICA), "s", sponsor=Sponsor("n1", "n1"))
        self.say("n4", REPLICA, VersionVector({"n1": 1, "n3": 5}))
        self.say("n1", "n1", VersionVector({"n1": 1}))

    def say(self, node: str, replica: str, clock: VersionVector) -> None:
        header = encode_header(Header(clock, VersionVector(), 0, Stamp(0, 0)))
        self.client.hset(Keys(node).header, mapping={"replica": replica, **header})

    def record(self, node: str, **facts: Fact) -> None:
        """`node` has recorded these facts; `_` stands for `-` in the ids."""
        index = ReplicaIndex()
        dot = index.pack("n1", 1)
        parts = {id_.replace("_", "-"): encode_part(MEMBERS, (dot, fact), index) for id_, fact in facts.items()}
        self.client.hset(Keys(node).members, mapping=parts)

    async def watch(self) -> None:
        await watch_recognition(self.node, self.peers, interval_s=0.01)

    async def watches_for(self, seconds: float) -> bool:
        """Whether the watch goes on for so long; not by `wait_for`, as redis-py may lose its one cancellation."""
        watch = asyncio.create_task(self.watch())
        await asyncio.wait([watch], timeout=seconds)
        goes_on = not watch.done()
        await end([watch])
        return goes_on


@pytest.fixture
async def newcomer(server: ValkeyServer) -> AsyncIterator[Newcomer]:
    made = Newcomer(server)
    yield made
    await made.peers.close()


def active(node: str) -> Fact:
    return Fact(Standing.ACTIVE, node)


async def test_a_member_that_nobody_contradicts_goes_on(newcomer: Newcomer) -> None:
    newcomer.record("n4", n1=active("n1"), n4_07b3e8=active("n4"))
    newcomer.record("n1", n1=active("n1"))
    assert await newcomer.watches_for(0.3)


async def test_a_node_whose_name_another_machine_keeps_begins_anew(newcomer: Newcomer) -> None:
    newcomer.record("n4", n1=active("n1"), n4_07b3e8=active("n4"))
    newcomer.record("n1", n1=active("n1"), n4_4f2a91=active("n4"))
    with pytest.raises(Retired, match="another machine keeps the name n4"):
        await asyncio.wait_for(newcomer.watch(), 10)


async def test_a_node_left_behind_learns_of_it_though_no_file_of_the_others_names_it(newcomer: Newcomer) -> None:
    """Nobody could answer its questions, so it learned of the end of n3, which had added it, at its next start."""
    newcomer.record("n4", n1=active("n1"), n3=active("n3"), n4_07b3e8=active("n4"))
    gone = Fact(Standing.SEALED, "n3", reason=REMOVED_BY_HAND, final=3)
    newcomer.record("n1", n1=active("n1"), n3=gone)
    with pytest.raises(Retired, match="it holds commits of n3 that the others have abandoned"):
        await asyncio.wait_for(newcomer.watch(), 10)


async def test_a_redis_that_does_not_tell_says_nothing(newcomer: Newcomer) -> None:
    newcomer.record("n4", n1=active("n1"), n4_07b3e8=active("n4"))
    newcomer.client.set(Keys("n1").members, "a string")
    assert await newcomer.watches_for(0.3)
