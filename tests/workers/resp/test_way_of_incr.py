"""The way of one INCR through the code: which functions it enters, from bytes in to reply out, and how few they are.

A lone client sends one INCR to a worker's face in front of a real server; `pytest -s` prints the hops. A hop is a
function of `crdt_core` or `workers` that a reader steps into. What Python itself makes (constructors of dataclasses,
frames of comprehensions) and the standard library are none.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.support import free_port
from tests.workers.mailboxes import Health
from tests.workers.resp.raw import packed
from workers.config.settings import LimitSettings
from workers.replication.broadcasts import Broadcasts
from workers.resp import RespFace
from workers.storage.store import Store
from workers.system.tasks import end
from workers.turns.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import FrameType

    from tests.server import ValkeyServer

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "design.md").read_text("utf-8")
HOPS_MAX = 40
TRIES = 20


class Client(asyncio.Protocol):
    """A client that waits for one reply at a time."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reply.set_result(data)

    async def call(self, *words: bytes) -> bytes:
        """The bytes of the reply."""
        self._reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport.write(packed(*words))
        return await self._reply

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
async def client(server: ValkeyServer) -> AsyncIterator[Client]:
    """A client of a worker's face; behind it are a real node, a real store and a real server."""
    async with AsyncExitStack() as cleanup:
        store = Store("n1", server.url, "token", 1000)
        cleanup.push_async_callback(store.release)
        await store.acquire(takeover=False)
        replica = Replica("n1", founders=["n1", "n2"])
        await store.load(replica)
        mailbox = Mailbox(Node("n1", replica, "token"), store.commits, lambda _: None, call_timeout_s=60)
        turns = asyncio.create_task(mailbox.run())
        cleanup.push_async_callback(end, [turns])
        links: Any = SimpleNamespace()
        published: Any = SimpleNamespace()
        face = RespFace(
            mailbox, links, published, LimitSettings(), health=Health(), broadcasts=Broadcasts(mailbox, links, links)
        )
        cleanup.push_async_callback(face.stop)
        port = free_port()
        await face.start("n1", f"127.0.0.1:{port}")
        _, connected = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
        cleanup.callback(connected.close)
        yield connected


async def hops_of(client: Client, *words: bytes) -> list[str]:
    """The functions that a request enters, in the order in which it enters them first."""
    entered: dict[str, None] = {}

    def note(frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        if event == "call" and "<" not in code.co_qualname and code.co_filename.startswith(str(ROOT)):
            package = Path(code.co_filename).relative_to(ROOT).parts[0]
            if package in {"crdt_core", "workers"}:
                entered[code.co_qualname] = None

    sys.setprofile(note)
    try:
        await client.call(*words)
    finally:
        sys.setprofile(None)
    return list(entered)


async def test_the_way_of_one_incr_is_short_and_is_documented(client: Client) -> None:
    for number in range(1, TRIES):
        assert await client.call(b"INCR", b"hits") == b":%d\r\n" % number
    # The way on which nothing else happens meanwhile, such as a tick, is the shortest.
    hops = min([await hops_of(client, b"INCR", b"hits") for _ in range(TRIES)], key=len)
    print("\n".join(f"{number:2} {hop}" for number, hop in enumerate(hops, 1)))
    assert len(hops) <= HOPS_MAX
    section = PAGE.split("## The way of one INCR\n")[1].split("\n## ")[0]
    assert re.findall(r"(?m)^\d+\. `([\w.]+)`", section) == hops
