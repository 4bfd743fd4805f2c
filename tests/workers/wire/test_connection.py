"""One raw connection: replies in order, and what becomes of the commands when it breaks."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING
from unittest.mock import Mock

import hiredis
import pytest

from crdt_core.codec.pieces import Pieces
from crdt_core.errors import SettingsError, StoreUnavailable
from tests.server import ValkeyServer
from tests.support import free_port, wait_until_async
from workers.wire.connection import Wire, connect
from workers.wire.large_commands import BUFFER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def wire(server: ValkeyServer) -> AsyncIterator[Wire]:
    opened = await connect(server.url, "deltaic-of-a-test", 5)
    yield opened
    opened.close()


async def test_every_command_has_its_reply_in_order_and_an_error_is_one_of_them(wire: Wire) -> None:
    pong, refused, words = await wire.send([("PING",), ("NO-SUCH-COMMAND", 1), ("ECHO", b"\x00\xff\r\n")])
    assert (pong, words) == (b"PONG", b"\x00\xff\r\n")
    assert isinstance(refused, hiredis.ReplyError)


async def test_the_connection_has_the_name_and_the_database_that_were_asked_for(server: ValkeyServer) -> None:
    wire = await connect(server.url.removesuffix("/0") + "/3", "deltaic-named", 5)
    (client,) = [found for found in server.client().client_list() if found["name"] == "deltaic-named"]
    assert client["db"] == "3"
    wire.close()


async def test_a_password_is_shown_and_a_wrong_one_is_a_refusal(tmp_path: Path) -> None:
    secret = "s3cret"  # noqa: S105
    protected = ValkeyServer(tmp_path, password=secret).start()
    try:
        wire = await connect(f"redis://:s3cret@127.0.0.1:{protected.port}/0", "deltaic-of-a-test", 5)
        assert await wire.send([("PING",)]) == [b"PONG"]
        wire.close()
        with pytest.raises(StoreUnavailable, match="Redis refuses the connection: WRONGPASS"):
            await connect(f"redis://:wrong@127.0.0.1:{protected.port}/0", "deltaic-of-a-test", 5)
    finally:
        protected.stop()


async def test_replies_larger_than_a_packet_arrive_whole(wire: Wire) -> None:
    value = os.urandom(5 << 20)
    assert await wire.send([("SET", "large", value), ("GET", "large"), ("DEL", "large")]) == [b"OK", value, 1]


class Sink:
    """A transport that notes what it is given, and is full after `room` writes."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.written: list[bytes | memoryview] = []
        self.room = room
        self.wire = Wire(5)
        transport = Mock(asyncio.Transport)
        transport.is_closing.return_value = False
        transport.get_extra_info.return_value = None
        transport.write.side_effect = self._write
        self.wire.connection_made(transport)

    def _write(self, data: bytes | memoryview) -> None:
        self.written.append(data)
        if len(self.written) == self.room:
            self.wire.pause_writing()


async def test_small_commands_are_one_write() -> None:
    sink = Sink()
    sending = asyncio.create_task(sink.wire.send([("MULTI",), ("SET", "k", b"v"), ("EXEC",)]))
    await asyncio.sleep(0)
    assert len(sink.written) == 1
    sink.wire.connection_lost(None)
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_large_word_is_handed_to_the_transport_uncopied_and_no_faster_than_it_is_sent() -> None:
    """It was copied three times in one step, in which nobody else had the event loop."""
    word = bytes(4 * BUFFER_BYTES_MAX)
    sink = Sink(room=3)
    sending = asyncio.create_task(sink.wire.send([("SET", "k", word), ("PING",)], in_slices=True))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(sink.written) == 3, "what is sent before has to leave first"
    sink.wire.resume_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    sink.wire.data_received(b"+OK\r\n+PONG\r\n")
    assert await sending == [b"OK", b"PONG"]
    views = [data for data in sink.written if isinstance(data, memoryview)]
    assert all(view.obj is word for view in views)
    assert sum(map(len, views)) == len(word)
    assert b"".join(sink.written) == hiredis.pack_command(("SET", "k", word)) + hiredis.pack_command(("PING",))


async def test_a_connection_that_is_lost_while_slices_wait_fails_the_batch() -> None:
    sink = Sink(room=2)
    sending = asyncio.create_task(sink.wire.send([("SET", "k", bytes(4 * BUFFER_BYTES_MAX))], in_slices=True))
    for _ in range(5):
        await asyncio.sleep(0)
    sink.wire.connection_lost(ConnectionResetError("gone"))
    with pytest.raises(StoreUnavailable, match="was lost"):
        await sending
    assert len(sink.written) == 2


async def test_what_is_sent_in_slices_arrives_whole(wire: Wire) -> None:
    value = os.urandom(5 << 20)
    pieces = Pieces([value[:100_000], value[100_000:]])
    commands = [("SET", "large", pieces), ("GET", "large"), ("DEL", "large")]
    assert await wire.send(commands, in_slices=True) == [b"OK", value, 1]


async def test_a_connection_that_is_lost_fails_the_batch_that_waits_and_all_later_ones(
    wire: Wire, server: ValkeyServer
) -> None:
    waiting = asyncio.create_task(wire.send([("BLPOP", "nothing", 0)]))
    await wait_until_async(lambda: server.client().info("clients")["blocked_clients"], what="it to wait")
    server.client().client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(StoreUnavailable, match="the connection to Redis was lost"):
        await waiting
    assert not wire.open
    with pytest.raises(StoreUnavailable, match="is closed"):
        await wire.send([("PING",)])


async def test_a_redis_that_owes_a_reply_and_says_nothing_loses_its_connection(server: ValkeyServer) -> None:
    wire = await connect(server.url, "deltaic-of-a-test", 0.1)
    assert await wire.send([("PING",)]) == [b"PONG"]
    clock = await connect(server.url, "deltaic-of-a-test", 5)
    await clock.send([("BLPOP", "nothing", 0.3)])  # Silence is nothing bad while no reply is owed.
    clock.close()
    assert wire.open
    server.suspend()
    try:
        with pytest.raises(StoreUnavailable, match=r"Redis gave no answer for 0\.1 s"):
            await wire.send([("PING",)])
    finally:
        server.resume()
    await wait_until_async(lambda: not wire.open, what="the connection to be closed")


async def test_a_batch_that_is_given_up_leaves_no_reply_for_the_next_one(wire: Wire, server: ValkeyServer) -> None:
    """The replies that come later would have been taken for those of the next batch."""
    waiting = asyncio.create_task(wire.send([("BLPOP", "nothing", 0)]))
    await wait_until_async(lambda: server.client().info("clients")["blocked_clients"], what="it to wait")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not wire.open


async def test_a_batch_that_is_given_up_when_its_replies_are_there_closes_the_connection_too(wire: Wire) -> None:
    """Who opens a connection and is cancelled at its first replies has nobody who would close it."""
    sending = asyncio.create_task(wire.send([("PING",)]))
    await asyncio.sleep(0)
    settled = asyncio.Event()
    plain_received = wire.data_received

    def received(data: bytes) -> None:
        plain_received(data)
        sending.cancel()
        settled.set()

    wire.data_received = received  # type: ignore[method-assign]
    await settled.wait()
    await asyncio.gather(sending, return_exceptions=True)
    assert sending.cancelled()
    assert not wire.open


async def test_nobody_at_the_other_end_is_said_in_a_few_words() -> None:
    with pytest.raises(StoreUnavailable, match=r"Redis cannot be reached: .*(refused|failed)"):
        await connect(f"redis://127.0.0.1:{free_port()}/0", "name", 5)


async def test_a_connection_to_where_nobody_answers_is_given_up() -> None:
    """The kernel alone takes the connection; the process that should serve it is frozen."""
    gives_up = pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s")
    with socket.create_server(("127.0.0.1", 0)) as frozen, gives_up:
        await connect(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0", "name", 5, timeout_s=0.1)


async def test_tls_files_that_cannot_be_used_are_a_matter_of_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="its TLS files cannot be used"):
        await connect(f"rediss://127.0.0.1:1/0?ssl_ca_certs={tmp_path / 'missing.pem'}", "name", 5)
