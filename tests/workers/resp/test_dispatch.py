"""Requests that are not simply plain commands: refused, queued, held back, or run by the connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import Fenced
from tests.support import wait_until_async
from tests.workers.resp.inprocess import InProcess

if TYPE_CHECKING:
    from tests.workers.resp.inprocess import Peer


async def test_while_it_listens_a_client_of_resp2_may_do_nothing_else(peer: Peer) -> None:
    await peer.call(b"SUBSCRIBE", b"news")
    assert "Can't execute 'get': only (P|S)SUBSCRIBE" in str(await peer.call(b"GET", b"k"))
    assert "Can't execute 'client|id'" in str(await peer.call(b"CLIENT", b"ID"))
    assert await peer.call(b"PING") == [b"pong", b""]


@pytest.mark.parametrize(
    "words", [(b"NONSENSE",), (b"GET",), (b"ZADD", b"z"), (b"CLIENT", b"NONSENSE"), (b"CLIENT", b"ID", b"1")]
)
async def test_what_cannot_be_understood_spoils_the_transaction(peer: Peer, words: tuple[bytes, ...]) -> None:
    peer.send((b"MULTI",), (b"SET", b"k", b"v"), words, (b"EXEC",), (b"GET", b"k"))
    begun, queued, _, aborted, value = await peer.replies(5)
    assert (begun, queued, value) == (b"OK", b"QUEUED", None)
    assert str(aborted).startswith("EXECABORT")


async def test_commands_of_the_connection_run_in_their_place_within_a_transaction(peer: Peer) -> None:
    peer.send((b"MULTI",), (b"INCR", b"c"), (b"ECHO", b"x"), (b"CLIENT", b"GETNAME"), (b"GET", b"c"), (b"EXEC",))
    assert (await peer.replies(6))[-1] == [1, b"x", None, b"1"]


async def test_what_a_transaction_publishes_leaves_once_its_commit_is_confirmed(face: InProcess, peer: Peer) -> None:
    """PUBLISH ran within the turn, so subscribers heard of a write that no reader saw yet."""
    listener = face.connect()
    await listener.call(b"SUBSCRIBE", b"news")
    face.store.back.clear()
    peer.send(
        (b"MULTI",), (b"INCR", b"c"), (b"PUBLISH", b"news", b"c is 1"), (b"GET", b"c"), (b"EXEC",), (b"ECHO", b"x")
    )
    await face.store.committing.wait()
    assert await face.connect().call(b"GET", b"c") is None
    assert listener.transport.written == b""
    face.store.back.set()
    assert (await peer.replies(6))[-2:] == [[1, 1, b"1"], b"x"]
    assert await listener.reply() == [b"message", b"news", b"c is 1"]


async def test_what_a_transaction_publishes_never_leaves_if_its_commit_is_fenced() -> None:
    site = InProcess()
    turns = asyncio.create_task(site.mailbox.run())
    listener, peer = site.connect(), site.connect()
    await listener.call(b"SUBSCRIBE", b"news")
    site.store.failure = Fenced("n1")
    peer.send((b"MULTI",), (b"SET", b"order:7", b"paid"), (b"PUBLISH", b"news", b"order 7 is paid"), (b"EXEC",))
    with pytest.raises(Fenced):
        await turns
    assert "it may still take effect" in str((await peer.replies(4))[-1])
    assert listener.transport.written == b""


async def test_a_transaction_that_publishes_only_needs_no_commit(face: InProcess, peer: Peer) -> None:
    listener = face.connect()
    await listener.call(b"SUBSCRIBE", b"news")
    peer.send((b"MULTI",), (b"PUBLISH", b"news", b"hello"), (b"EXEC",))
    assert (await peer.replies(3))[-1] == [1]
    assert await listener.reply() == [b"message", b"news", b"hello"]
    assert not face.store.committing.is_set()


async def test_what_a_transaction_asks_of_the_node_shows_its_own_commit(peer: Peer) -> None:
    peer.send((b"MULTI",), (b"SET", b"k", b"v"), (b"INFO", b"keyspace"), (b"INFO", b"deltaic"), (b"EXEC",))
    _, keyspace, node = (await peer.replies(5))[-1]
    assert b"db0:keys=1," in keyspace
    assert b'clock:{"n1":1}' in node


async def test_an_error_of_a_queued_command_of_the_connection_is_its_reply(peer: Peer) -> None:
    peer.send((b"MULTI",), (b"PING", b"a", b"b"), (b"INCR", b"c"), (b"EXEC",))
    refused, one = (await peer.replies(4))[-1]
    assert ("wrong number of arguments for 'ping'" in str(refused), one) == (True, 1)


async def test_a_transaction_that_ends_its_own_connection_is_answered_first(peer: Peer) -> None:
    number = await peer.call(b"CLIENT", b"ID")
    kill = (b"CLIENT", b"KILL", b"ID", b"%d" % number, b"SKIPME", b"no")
    peer.send((b"MULTI",), (b"INCR", b"c"), kill, (b"EXEC",))
    assert (await peer.replies(4))[-1] == [1, 1]
    await wait_until_async(lambda: peer.transport.closed, what="the end of the connection")


async def test_a_command_that_must_not_overtake_waits_for_what_is_before_it(face: InProcess, peer: Peer) -> None:
    face.store.back.clear()
    peer.send((b"SET", b"k", b"v"), (b"PING",), (b"DELTAIC.TOKEN",), (b"ECHO", b"x"))
    assert peer.transport.written == b""
    face.store.back.set()
    ok, pong, token, echo = await peer.replies(4)
    assert (ok, pong, echo) == (b"OK", b"PONG", b"x")
    assert await peer.call(b"DELTAIC.AWAIT", token, b"1000") == b"OK"


async def test_a_muted_client_writes_all_the_same(peer: Peer) -> None:
    peer.send((b"CLIENT", b"REPLY", b"OFF"), (b"INCR", b"c"), (b"NONSENSE",), (b"MULTI",), (b"INCR", b"c"), (b"EXEC",))
    assert await peer.send((b"CLIENT", b"REPLY", b"ON"), (b"GET", b"c")).replies(2) == [b"OK", b"2"]


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n"])
async def test_a_client_that_speaks_http_is_cut_off(peer: Peer, line: bytes) -> None:
    peer.connection.data_received(line + b"\r\nSET forged 1\r\n")
    assert (peer.transport.closed, peer.transport.written) == (True, b"")


async def test_an_error_of_a_command_of_the_connection_is_a_reply(peer: Peer) -> None:
    assert "wrong number of arguments for 'ping'" in str(await peer.call(b"PING", b"a", b"b"))
    assert "unknown node 'n9'" in str(await peer.call(b"DELTAIC.SYNC", b"n9"))
