"""Large values in replies are gathered as they arrive; all replies are those that hiredis finds."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.connection import connect
from workers.wire.large_replies import LARGE_BYTES, LargeReplyWire

if TYPE_CHECKING:
    from tests.server import ValkeyServer


_Reader, CHUNK_BYTES = hiredis.Reader, 1 << 16


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(items: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(items), b"".join(items))


VALUES = st.binary(max_size=60) | st.sampled_from([b"$40\r\n", b"-\r\n", b"$3\r\nabc\r\n" * 5])
LEAVES = VALUES.map(bulk) | st.sampled_from([b":7\r\n", b"+OK\r\n", b"-ERR no\r\n", b"-\r\n", b"$-1\r\n", b"*-1\r\n"])
REPLIES = st.lists(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3).map(array)), min_size=1, max_size=4)


async def received(chunks: list[bytes], count: int) -> list[Any]:
    """What the wire finds in `chunks` in reply to `count` commands."""
    wire, transport = LargeReplyWire(5), Mock(asyncio.Transport)
    transport.is_closing.return_value = False
    transport.get_extra_info.return_value = None
    wire.connection_made(transport)
    sending = asyncio.ensure_future(wire.send([("PING",)] * count))
    await asyncio.sleep(0)
    for chunk in chunks:
        wire.data_received(chunk)
    replies = await sending
    sending = asyncio.ensure_future(wire.send([("PING",)]))  # nothing is left over for the next batch
    await asyncio.sleep(0)
    wire.data_received(b"+PONG\r\n")
    assert await sending == [b"PONG"]
    wire.connection_lost(None)
    return replies


def comparable(reply: Any) -> Any:
    if isinstance(reply, list):
        return [comparable(item) for item in reply]
    return ("error", str(reply)) if isinstance(reply, hiredis.ReplyError) else reply


@given(REPLIES, st.data())
def test_replies_are_those_that_hiredis_finds_however_they_are_cut(replies: list[bytes], data: st.DataObject) -> None:
    stream, reader = b"".join(replies), hiredis.Reader()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=6)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader.feed(stream)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("workers.wire.large_replies.LARGE_BYTES", 20)
        found = asyncio.run(received(chunks, len(replies)))
    assert comparable(found) == [comparable(reader.gets()) for _ in replies]


class CountingReader:
    """A parser of hiredis that counts the bytes which all such parsers are fed."""

    fed = 0

    def __init__(self, **options: Any) -> None:
        self._reader = _Reader(**options)
        self.gets = self._reader.gets

    def feed(self, data: bytes) -> None:
        CountingReader.fed += len(data)
        self._reader.feed(data)


async def test_no_step_copies_a_large_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """hiredis gathered all of it, and made the value of that in one step."""
    monkeypatch.setattr(CountingReader, "fed", 0)
    monkeypatch.setattr(hiredis, "Reader", CountingReader)
    value = bytes(8 * LARGE_BYTES)
    stream = array([bulk(b"log"), array([bulk(b"1-0"), bulk(value)])])
    chunks = [stream[start : start + CHUNK_BYTES] for start in range(0, len(stream), CHUNK_BYTES)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        (found,) = await received(chunks, 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [b"log", [b"1-0", value]]
    assert peak - before < len(value) + LARGE_BYTES
    assert CountingReader.fed < 2 * CHUNK_BYTES


async def test_a_large_entry_of_a_stream_arrives_whole(server: ValkeyServer) -> None:
    wire = await connect(server.url, "deltaic-of-a-test", 5, make=LargeReplyWire)
    values = [os.urandom(3 * LARGE_BYTES), b"small", os.urandom(LARGE_BYTES)]
    for number, value in enumerate(values, 1):
        await wire.send([("XADD", "large", f"{number}-0", "d", value)])
    reply, pong, _ = await wire.send([("XREAD", "STREAMS", "large", "0"), ("PING",), ("DEL", "large")])
    assert reply == [[b"large", [[b"%d-0" % number, [b"d", value]] for number, value in enumerate(values, 1)]]]
    assert pong == b"PONG"
    wire.close()
