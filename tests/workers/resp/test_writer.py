"""Clients are written to together, after all that has arrived is handled."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.workers.resp.inprocess import InProcess


async def test_all_clients_are_written_to_by_one_callback() -> None:
    async with InProcess() as face:
        peers = [face.connect() for _ in range(3)]
        writer = peers[0].connection.services.writer
        for peer in peers:
            peer.send((b"GET", b"nothing"), (b"GET", b"nothing"))
        assert len(writer.filled) == 3
        assert [peer.transport.written for peer in peers] == [b""] * 3
        await asyncio.sleep(0)
        assert [peer.transport.written for peer in peers] == [b"$-1\r\n$-1\r\n"] * 3
        assert writer.filled == []


async def test_what_gets_ready_while_others_are_written_to_is_written_next() -> None:
    async with InProcess() as face:
        first, second = face.connect(), face.connect()
        first.transport.write = lambda _: second.connection.say(1)  # type: ignore[method-assign]
        first.connection.say(1)
        for _ in range(2):
            await asyncio.sleep(0)
        assert second.transport.written == b":1\r\n"


async def test_a_client_that_cannot_be_written_to_leaves_the_others_their_replies() -> None:
    """Those behind it were skipped, and got nothing more until 64 KiB were ready."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    def fail(_: bytes) -> None:
        raise BrokenPipeError

    async with InProcess() as face:
        first, second = face.connect(), face.connect()
        first.transport.write = fail  # type: ignore[method-assign]
        for peer in (first, second):
            peer.send((b"GET", b"nothing"))
        await asyncio.sleep(0)
        assert second.transport.written == b"$-1\r\n"
        assert [type(failure["exception"]) for failure in failures] == [BrokenPipeError]
