"""The way to the other nodes: whose address counts, and connections that are shared and closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import UnknownNode
from crdt_core.types.members import Fact, Members, Standing
from tests.support import wait_until_async
from workers.config.loading import checked
from workers.wire.peers import Peers

if TYPE_CHECKING:
    from tests.server import ValkeyServer

OWN = "redis://127.0.0.1:1/0"


def peers_of(n1: str, **others: str) -> Peers:
    nodes = {name: {"grpc": f"{name}:7101", "redis": url} for name, url in {"n1": n1, **others}.items()}
    return Peers(checked({"nodes": nodes, "limits": {"inbox_entries_max": 7}}), "n1")


def members(**urls: str) -> Members:
    """Active members with the published Redis URLs `urls`."""
    return Members({name: Fact(Standing.ACTIVE, name, redis=url) for name, url in urls.items()}, {})


def port_of(peers: Peers, node: str) -> int:
    port: int = peers.redis(node).connection_pool.connection_kwargs["port"]
    return port


def test_the_fleet_file_comes_before_what_members_have_published() -> None:
    peers = peers_of("redis://127.0.0.1:1/0", n2="redis://127.0.0.1:2/0")
    assert peers.in_fleet_file() == ["n2"]
    peers.members = members(n2="redis://127.0.0.1:22/0", n3="redis://127.0.0.1:3/0")
    assert [port_of(peers, node) for node in ("n1", "n2", "n3")] == [1, 2, 3]
    assert peers.inbox_entries_max == 7


@pytest.mark.parametrize("known", [None, members(n3=""), members(n2="redis://127.0.0.1:2/0")])
def test_a_node_whose_address_nobody_knows_is_unknown(known: Members | None) -> None:
    peers = peers_of("redis://127.0.0.1:1/0")
    peers.members = known
    for ask in (peers.redis, peers.reader, peers.probe):
        with pytest.raises(UnknownNode):
            ask("n3")


def test_what_the_start_found_counts_until_the_node_is_a_member() -> None:
    peers = peers_of("redis://127.0.0.1:1/0")
    peers.members = members(n2="redis://127.0.0.1:2/0")
    peers.follow(members(n3="redis://127.0.0.1:3/0"), joins=True)
    assert [port_of(peers, node) for node in ("n2", "n3")] == [2, 3]
    peers.follow(members(n3="redis://127.0.0.1:3/0"), joins=False)
    with pytest.raises(UnknownNode):
        peers.redis("n2")


@pytest.mark.parametrize(
    ("known", "port"),
    [(None, 0), (members(), 0), (members(n1=""), 0), (members(n1=OWN), 0), (members(n1="redis://127.0.0.1:9/0"), 9)],
)
def test_another_redis_that_is_recorded_for_this_node_is_found(known: Members | None, port: int) -> None:
    peers = peers_of(OWN)
    peers.members = known
    recorded = peers.recorded()
    assert (recorded.connection_pool.connection_kwargs["port"] if recorded else 0) == port


def test_nodes_that_share_a_redis_share_a_client() -> None:
    peers = peers_of("redis://127.0.0.1:1/0", n2="redis://127.0.0.1:1/0", n3="redis://127.0.0.1:3/0")
    assert peers.redis("n1") is peers.redis("n2")
    assert peers.redis("n1") is not peers.redis("n3")


async def test_every_reader_has_a_connection_of_its_own_and_all_are_closed(server: ValkeyServer) -> None:
    peers = peers_of(server.url, n2=server.url)
    readers = [peers.reader("n2"), peers.reader("n2")]
    for reader in readers:
        assert await reader.ask(("PING",)) == [b"PONG"]
    await peers.redis("n2").ping()

    def reading() -> int:
        return sum(client["name"] == "deltaic-reader-n1" for client in server.client().client_list())

    assert reading() == 2
    await peers.close()
    await wait_until_async(lambda: reading() == 0, what="the connections to be closed")
