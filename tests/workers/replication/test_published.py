"""What peers have published, and claims that are held against it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from crdt_core.codec.header import Header, encode_header
from crdt_core.errors import InvalidArgument, StoreUnavailable
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.membership.changes import AddMember, AdmitIncarnation
from crdt_core.node.events import Call
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.support import free_port
from workers.config.loading import checked
from workers.replication.published import Published
from workers.wire.keys import Keys
from workers.wire.peers import Peers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer


@pytest.fixture
def node() -> Node:
    return Node("n1", Replica("n1", founders=["n1", "n2", "n3"]), "s")


@pytest.fixture
async def peers(server: ValkeyServer) -> AsyncIterator[Peers]:
    """The Redis of all nodes; that of n3 is away."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    urls = {"n1": server.url, "n2": server.url, "n3": away}
    found = Peers(checked({"nodes": {name: {"grpc": f"{name}:1", "redis": url} for name, url in urls.items()}}), "n1")
    yield found
    await found.close()


@pytest.fixture
def published(server: ValkeyServer, node: Node, peers: Peers) -> Published:
    """What n1 can read of n2, which has made seven commits, and of n3, whose Redis is away."""
    server.client().flushdb()
    header = Header(VersionVector({"n1": 2, "n2": 7}), VersionVector(), 0, Stamp(1, 0))
    server.client().hset(Keys("n2").header, mapping=encode_header(header))
    return Published(node, peers)


async def test_the_clock_of_a_peer_is_the_one_in_its_header(published: Published) -> None:
    assert await published.clock("n2") == {"n1": 2, "n2": 7}
    assert await published.clock("n1") == {}


async def test_a_clock_that_cannot_be_read_is_said(published: Published, server: ValkeyServer) -> None:
    for peer in ("n3", "n9"):
        with pytest.raises(StoreUnavailable, match=f"what {peer} has published cannot be read"):
            await published.clock(peer)
    server.client().hset(Keys("n2").header, "clock", "nonsense")
    with pytest.raises(StoreUnavailable, match="what n2 has published cannot be read"):
        await published.clock("n2")


async def test_a_patch_may_claim_no_more_than_a_member_has_made(published: Published) -> None:
    await published.check_claims({"n2": 7})
    with pytest.raises(InvalidArgument, match="it claims n2:8, and n2 has made 7 commits"):
        await published.check_claims({"n2": 8})


async def test_an_id_of_a_node_that_is_no_member_yet_is_refused(published: Published) -> None:
    with pytest.raises(InvalidArgument, match=r"it claims n2\.2:1, and no such member is known here yet"):
        await published.check_claims({"n2.2": 1})


async def test_an_unknown_id_of_a_node_that_was_added_is_refused_too(published: Published, node: Node) -> None:
    """The nonce was taken for a part of the node's name, so anybody could claim commits of its next id."""
    node.turn([Call(AddMember("n6", "h:6", "", "4f2a91"), "token")], 1, 0)
    for claimed in ("n6-4f2a91.2", "n6-4f2a91.2-c0de", "n6-07b3e8.2"):
        with pytest.raises(InvalidArgument, match=rf"it claims {claimed}:1, and no such member is known here yet"):
            await published.check_claims({claimed: 1})
    await published.check_claims({"n6-laptop": 1, "n66": 1})


async def test_the_next_clock_is_read_where_the_peer_is_now(
    published: Published, node: Node, peers: Peers, server: ValkeyServer
) -> None:
    """A peer that had come back at another address was waited for at the former one, for ever."""
    addresses = [server.url, server.url.removesuffix("/0") + "/1"]
    changes = [AddMember("n4", "h:4", addresses[0], "a1"), AdmitIncarnation("n4", "n4-a1.2", "h:4", addresses[1])]
    for counter, (change, address) in enumerate(zip(changes, addresses, strict=True), 1):
        node.turn([Call(change, "token")], 1, 0)
        peers.follow(node.replica.members, joins=False)
        header = Header(VersionVector({"n4": counter}), VersionVector(), 0, Stamp(1, 0))
        with Redis.from_url(address) as client:
            client.hset(Keys("n4").header, mapping=encode_header(header))
        async with asyncio.timeout(5):
            assert await published.next_clock("n4") == {"n4": counter}


async def test_a_library_object_speaks_for_itself(published: Published) -> None:
    await published.check_claims({"laptop": 1_000_000})


async def test_a_claim_that_cannot_be_checked_is_not_believed(published: Published) -> None:
    with pytest.raises(StoreUnavailable):
        await published.check_claims({"n3": 1})


async def test_the_next_clock_of_a_peer_is_awaited_and_not_asked_for(
    published: Published, server: ValkeyServer
) -> None:
    assert await published.next_clock("n2") == {"n1": 2, "n2": 7}
    waiting = asyncio.create_task(published.next_clock("n2"))
    with server.client() as client:

        def reads() -> int:
            return int(client.info("commandstats")["cmdstat_hgetall"]["calls"])

        before = reads()
        for _ in range(20):
            client.ping()
            await asyncio.sleep(0)
        assert reads() == before
        assert not waiting.done()
        header = Header(VersionVector({"n1": 3, "n2": 7}), VersionVector(), 0, Stamp(1, 0))
        client.hset(Keys("n2").header, mapping=encode_header(header))
    assert await waiting == {"n1": 3, "n2": 7}


async def test_what_changed_meanwhile_is_read_at_once(published: Published, server: ValkeyServer) -> None:
    await published.next_clock("n2")
    header = Header(VersionVector({"n1": 3, "n2": 7}), VersionVector(), 0, Stamp(1, 0))
    server.client().hset(Keys("n2").header, mapping=encode_header(header))
    assert await published.next_clock("n2") == {"n1": 3, "n2": 7}


async def test_a_peer_whose_redis_is_away_has_no_next_clock(published: Published, server: ValkeyServer) -> None:
    for peer in ("n3", "n9"):
        with pytest.raises(StoreUnavailable):
            await published.next_clock(peer)
    await published.next_clock("n2")
    waiting = asyncio.create_task(published.next_clock("n2"))
    with server.client() as client:
        await asyncio.sleep(0)
        (found,) = [found for found in client.client_list() if found["name"] == "deltaic-listener-n1"]
        client.client_kill_filter(_id=found["id"])
    assert await waiting == {"n1": 2, "n2": 7}, "what may have changed meanwhile is read again"


async def test_a_node_that_has_left_has_no_next_clock(server: ValkeyServer) -> None:
    """Each call told its clock at once, on a new connection: so who waited for the next one never rested."""
    urls = {"n1": server.url, "n2": server.url}
    peers = Peers(checked({"nodes": {name: {"grpc": f"{name}:1", "redis": url} for name, url in urls.items()}}), "n1")
    left = Published(Node("n1", Replica("n1", founders=["n1"]), "s"), peers)
    try:
        with pytest.raises(StoreUnavailable, match="n2 is no member"):
            await left.next_clock("n2")
    finally:
        await peers.close()
