"""Requests that are not simply plain commands: refused, queued, held back, or run by the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workers.resp.inprocess import InProcess, Peer


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
