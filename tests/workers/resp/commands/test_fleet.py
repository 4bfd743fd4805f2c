"""DELTAIC.PARTITION, DELTAIC.HEAL and DELTAIC.SYNC: two sides part and agree again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet
    from tests.workers.resp.inprocess import InProcess, Peer

    Client = Callable[..., Redis]


def test_two_sides_part_and_agree_again(fleet: Fleet, client: Client, key: str) -> None:
    n1, n2 = client("n1"), client("n2")
    n1.set(key, 5)
    n1.sadd(key + ":set", "apple")
    assert n1.wait(4, 10_000) == 4
    for name in fleet.nodes:
        links = client(name).execute_command("DELTAIC.PARTITION")
        assert b"paused" in links
    n1.set(key, 100)
    assert n2.incr(key) == 6
    n1.srem(key + ":set", "apple")
    n2.sadd(key + ":set", "apple", "fig")
    assert (n1.get(key), n2.get(key)) == (b"100", b"6")
    for name in fleet.nodes:
        client(name).execute_command("DELTAIC.HEAL")
    n1.execute_command("DELTAIC.SYNC", "n2")
    assert (n1.get(key), n2.get(key)) == (b"101", b"101")
    assert n1.smembers(key + ":set") == n2.smembers(key + ":set") == {b"apple", b"fig"}
    with pytest.raises(ResponseError, match="unknown node 'n9'"):
        n1.execute_command("DELTAIC.SYNC", "n9")


def test_without_names_a_node_exchanges_with_all_that_it_listens_to(client: Client) -> None:
    n1 = client("n1")
    n1.execute_command("DELTAIC.PARTITION", "n3")
    try:
        _, contacted, _, failed, *_ = n1.execute_command("DELTAIC.SYNC")
        assert (sorted(contacted), failed) == ([b"n2", b"n4", b"n5"], [])
    finally:
        n1.execute_command("DELTAIC.HEAL")


async def test_links_are_set_for_the_peers_that_are_named_or_for_all(face: InProcess, peer: Peer) -> None:
    assert await peer.call(b"DELTAIC.PARTITION") == [b"n2", b"paused"]
    assert await peer.call(b"DELTAIC.HEAL", b"n2") == [b"n2", b"open"]
    assert "unknown node 'n7'" in str(await peer.call(b"DELTAIC.PARTITION", b"n2", b"n7"))
    assert face.links.paused == frozenset()


async def test_they_cannot_be_queued(peer: Peer) -> None:
    """A transaction is one turn, and cannot wait for peers."""
    peer.send((b"MULTI",), (b"DELTAIC.SYNC",), (b"EXEC",))
    begun, refused, aborted = await peer.replies(3)
    assert begun == b"OK"
    assert "not allowed inside a transaction" in str(refused)
    assert str(aborted).startswith("EXECABORT")
