"""One connection of the face, without a network: moments that a network seldom offers, and the flow of bytes."""

from __future__ import annotations

import pytest

from tests.workers.resp.inprocess import InProcess
from tests.workers.resp.raw import packed


async def test_what_is_answered_leaves_before_the_end_that_a_client_makes() -> None:
    """The end may arrive between the moment a reply is ready and the moment all connections are written to."""
    async with InProcess() as face:
        peer = face.connect().send((b"PING",))
        if not peer.connection.eof_received():
            peer.transport.close()
        assert peer.transport.written == b"+PONG\r\n"


async def test_a_client_that_has_said_all_is_answered_first() -> None:
    async with InProcess() as face:
        peer = face.connect()
        face.store.back.clear()
        peer.send((b"INCR", b"c"))
        assert peer.connection.eof_received() is True
        face.store.back.set()
        assert await peer.reply() == 1
        assert peer.transport.closed


async def test_a_connection_too_many_is_told_so_and_closed() -> None:
    async with InProcess(connections_max=1) as face:
        first, second = face.connect(), face.connect()
        assert second.transport.written == b"-ERR max number of clients reached\r\n"
        assert second.transport.closed
        first.closes()
        assert await face.connect().call(b"PING") == b"PONG"


async def test_a_protocol_error_is_told_behind_the_replies_before_it() -> None:
    async with InProcess() as face:
        peer = face.connect()
        peer.connection.data_received(packed(b"INCR", b"c") + b"*1\r\n$x\r\n")
        one, error = await peer.replies(2)
        assert (one, str(error)) == (1, "ERR Protocol error: invalid bulk length")
        assert peer.transport.closed


async def test_a_client_that_does_not_read_is_not_answered_until_it_does() -> None:
    async with InProcess() as face:
        peer = face.connect()
        peer.connection.pause_writing()
        peer.send((b"INCR", b"c"), (b"GET", b"c"))
        assert (peer.transport.written, peer.transport.reading) == (b"", False)
        peer.connection.resume_writing()
        assert await peer.replies(2) == [1, b"1"]
        assert peer.transport.reading


async def test_no_more_is_read_while_too_much_waits() -> None:
    async with InProcess() as face:
        peer = face.connect()
        face.store.back.clear()
        peer.send((b"SET", b"k", b"v" * (1 << 20)))
        assert not peer.transport.reading
        face.store.back.set()
        assert await peer.reply() == b"OK"
        assert peer.transport.reading


async def test_no_more_commands_are_under_way_than_the_limit_says() -> None:
    async with InProcess() as face:
        peer = face.connect()
        count = 10_000
        assert await peer.send(*[(b"INCR", b"c")] * count).replies(count) == list(range(1, count + 1))


@pytest.mark.parametrize("waits", [False, True])
async def test_a_client_that_goes_leaves_nothing_behind(waits: bool) -> None:
    async with InProcess() as face:
        peer, other = face.connect(), face.connect()
        await peer.call(b"SUBSCRIBE", b"news") if not waits else peer.send((b"DELTAIC.AWAIT", b"eyJuOSI6OX0=", b"0"))
        assert peer.connection.is_waiting is waits
        peer.closes()
        assert await other.call(b"PUBLISH", b"news", b"x") == 0
        assert b"connected_clients:1\r\n" in await other.call(b"INFO", b"clients")


WAITS = [(b"WAIT", b"9", b"0"), (b"DELTAIC.AWAIT", b"eyJuOSI6OX0=", b"0")]


@pytest.mark.parametrize("words", WAITS, ids=["WAIT", "AWAIT"])
async def test_a_client_that_leaves_while_it_waits_is_freed_and_what_it_sent_behind_is_dropped(
    words: tuple[bytes, ...],
) -> None:
    """Its connection once stayed in CLOSE_WAIT for ever, with its place among the clients."""
    async with InProcess() as face:
        peer, other = face.connect(), face.connect()
        peer.send(words, (b"SET", b"behind", b"v"))
        assert peer.connection.is_waiting
        peer.says_no_more()
        assert peer.transport.closed
        assert b"connected_clients:1\r\nmaxclients" in await other.call(b"INFO", b"clients")
        assert await other.call(b"GET", b"behind") is None


async def test_a_client_that_has_said_all_is_answered_first_by_what_ends_by_itself() -> None:
    async with InProcess() as face:
        peer = face.connect().send((b"DELTAIC.PARTITION", b"n2"))
        peer.says_no_more()
        assert await peer.reply() == [b"n2", b"paused"]
        assert (peer.transport.closed, face.links.paused) == (True, {"n2"})


@pytest.mark.parametrize("words", WAITS, ids=["WAIT", "AWAIT"])
async def test_a_client_that_has_said_all_is_not_waited_for_once_it_would_wait(words: tuple[bytes, ...]) -> None:
    async with InProcess() as face:
        peer = face.connect()
        face.store.back.clear()
        peer.send((b"INCR", b"c"), words, (b"INCR", b"c"))
        peer.says_no_more()
        assert not peer.transport.closed
        face.store.back.set()
        assert await peer.reply() == 1
        assert peer.transport.closed
        assert await face.connect().call(b"GET", b"c") == b"1"


async def test_the_end_of_a_client_that_waits_is_seen_however_much_it_has_sent_behind() -> None:
    """It once was not read any more, so nobody saw that it had left."""
    async with InProcess() as face:
        peer = face.connect().send(WAITS[0], *[(b"SET", b"k", b"v" * (1 << 20))] * 3)
        assert peer.connection.is_waiting
        assert peer.transport.reading


async def test_a_client_that_waits_and_sends_more_than_a_request_may_have_is_cut_off() -> None:
    async with InProcess(message_bytes_max=4096, value_bytes_max=1024) as face:
        peer = face.connect().send(WAITS[0])
        for _ in range(3):
            peer.send((b"SET", b"k", b"v" * 1000))
        assert not peer.transport.aborted
        peer.send((b"SET", b"k", b"v" * 1000), (b"SET", b"k", b"v" * 1000))
        assert peer.transport.aborted


async def test_what_a_client_that_is_gone_had_not_begun_is_dropped() -> None:
    """It may have been repeated elsewhere."""
    async with InProcess() as face:
        peer, other = face.connect(), face.connect()
        face.store.back.clear()
        peer.send((b"INCR", b"begun"))
        await face.store.committing.wait()
        peer.send((b"INCR", b"not begun"))
        peer.closes()
        face.store.back.set()
        assert await other.call(b"INCR", b"after") == 1
        assert [await other.call(b"GET", key) for key in (b"begun", b"not begun")] == [b"1", None]


async def test_wait_is_about_the_commits_of_this_connection() -> None:
    async with InProcess() as face:
        peer, other = face.connect(), face.connect()
        await peer.call(b"SET", b"k", b"v")
        await other.call(b"GET", b"k")
        assert (peer.connection.written, other.connection.written) == (1, 0)
