"""A line to a Redis: what it asks for is answered, or said to be out of reach, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import StoreUnavailable
from workers.replication.tail import Tail
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from pathlib import Path


async def test_tls_files_that_are_missing_just_now_are_waited_for(tmp_path: Path) -> None:
    """They may be in the middle of being replaced while a peer is met again: that must not end the worker."""
    line = ReconnectingConnection(f"rediss://127.0.0.1:1/0?ssl_ca_certs={tmp_path / 'ca.pem'}", "deltaic-reader-n1", 1)
    with pytest.raises(StoreUnavailable, match="TLS"):
        await line.ask(("PING",))


async def test_a_tail_that_ends_while_its_link_is_paused_closes_its_line() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(b"+OK\r\n" * 2)
        ended.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        line = ReconnectingConnection(
            f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", "deltaic-reader-n1", 5
        )
        await line.ask(("PING",), ("PING",))
        asked = asyncio.Event()

        async def refresh() -> frozenset[str]:
            asked.set()
            return frozenset({"n2"})

        links: Any = SimpleNamespace(refresh=refresh)
        mailbox: Any = None
        following = asyncio.create_task(Tail("n2", "n2", line, links, mailbox, batch=10).run())
        await asked.wait()
        following.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(following, return_exceptions=True)
            await ended.wait()
