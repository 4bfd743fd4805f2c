"""A connection that opens itself again: its questions are answered, or Redis is said to be out of reach."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import StoreUnavailable
from tests.support import free_port, wait_until_async
from workers.wire.outages import Outages
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.server import ValkeyServer

NAME = "deltaic-reader-n1"


@pytest.fixture
async def connection(server: ValkeyServer) -> AsyncIterator[ReconnectingConnection]:
    opened = ReconnectingConnection(server.url, NAME, 5, Outages())
    yield opened
    opened.close()


async def test_a_connection_that_was_lost_is_opened_again_by_the_next_question(
    connection: ReconnectingConnection, server: ValkeyServer
) -> None:
    assert await connection.ask(("PING",), ("ECHO", "x")) == [b"PONG", b"x"]
    (client,) = [found for found in server.client().client_list() if found["name"] == NAME]
    server.client().client_kill_filter(_id=client["id"])

    async def asks_again() -> bool:
        try:
            return await connection.ask(("PING",)) == [b"PONG"]
        except StoreUnavailable:
            return False

    await wait_until_async(asks_again, what="an answer over a new connection")
    connection.close()
    assert await connection.ask(("PING",)) == [b"PONG"]


async def test_concurrent_questions_get_their_own_answers(connection: ReconnectingConnection) -> None:
    answers = await asyncio.gather(*(connection.ask(("ECHO", str(number))) for number in range(100)))
    assert answers == [[str(number).encode()] for number in range(100)]


async def test_a_refusal_is_an_error_and_the_connection_stays(connection: ReconnectingConnection) -> None:
    with pytest.raises(StoreUnavailable, match="Redis refuses: ERR unknown command"):
        await connection.ask(("NO-SUCH-COMMAND",))
    assert await connection.ask(("PING",)) == [b"PONG"]


async def test_nobody_at_the_other_end_is_an_error_each_time() -> None:
    connection = ReconnectingConnection(f"redis://127.0.0.1:{free_port()}/0", NAME, 5, Outages())
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await connection.ask(("PING",))
    connection.close()


async def test_tls_files_that_are_missing_just_now_are_waited_for(tmp_path: Path) -> None:
    """They may be in the middle of being replaced while a peer is met again: that must not end the worker."""
    connection = ReconnectingConnection(
        f"rediss://127.0.0.1:1/0?ssl_ca_certs={tmp_path / 'ca.pem'}", NAME, 1, Outages()
    )
    with pytest.raises(StoreUnavailable, match="TLS"):
        await connection.ask(("PING",))
