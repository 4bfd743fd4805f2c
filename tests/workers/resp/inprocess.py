"""A Redis face without a network: its connections are given bytes, and what they write is read back.

The mailbox and the node are real; commits are durable at once, or when the test says so.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import hiredis

from crdt_core.errors import StoreUnavailable
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.support import wait_until_async
from tests.workers.mailboxes import Health, Links, QuickStore, end
from tests.workers.resp.raw import packed
from workers.config.settings import LimitSettings
from workers.resp import RespFace
from workers.turns.mailbox import Mailbox

if TYPE_CHECKING:
    import ssl

    from crdt_core.node.options import NodeOptions
    from workers.resp.connection import Connection

__all__ = ["InProcess", "Peer", "Transport"]


class Transport:
    """A transport that keeps what is written, and lets nothing out once it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.aborted = False
        self.reading = True
        self.unsent = 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("127.0.0.1", 6379 if name == "sockname" else 50_000)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Peer:
    """One client of the face. Errors are values, as in `tests.workers.resp.raw`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transport = Transport()
        self._reader = hiredis.Reader()
        transport: Any = self.transport
        connection.connection_made(transport)

    def send(self, *requests: tuple[bytes, ...]) -> Self:
        self.connection.data_received(b"".join(packed(*words) for words in requests))
        return self

    async def reply(self) -> Any:
        """The next reply."""
        return (await self.replies(1))[0]

    async def replies(self, count: int) -> list[Any]:
        """The next `count` replies."""
        found: list[Any] = []

        def arrived() -> bool:
            data, self.transport.written = self.transport.written, b""
            self._reader.feed(data)
            while len(found) < count and (reply := self._reader.gets()) is not False:
                found.append(reply)
            return len(found) == count

        await wait_until_async(arrived, what=f"{count} replies")
        return found

    async def call(self, *words: bytes) -> Any:
        """The reply to one request."""
        return await self.send(words).reply()

    def closes(self) -> None:
        """The client closes the connection."""
        self.connection.connection_lost(None)

    def says_no_more(self) -> None:
        """The client's end of input arrives; it is all that a server hears of a client that has vanished."""
        if not self.connection.eof_received():
            self.transport.close()
        if self.transport.closed:
            self.connection.connection_lost(None)


class Published:
    """What the peers have published: nothing, ever."""

    async def next_clock(self, peer: str) -> Any:
        raise StoreUnavailable(f"{peer} is away")


class InProcess:
    """An async context manager: the face of node n1, of a fleet of n1 and n2, and the turns behind it."""

    def __init__(
        self,
        *,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        options: NodeOptions | None = None,
        **limits: int,
    ) -> None:
        self.store = QuickStore()
        self.links = Links(["n2"])
        self.node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=options)
        self.mailbox = Mailbox(self.node, self.store, lambda _: None, call_timeout_s=60)
        links: Any = self.links
        published: Any = Published()
        self.health = Health()
        self.broadcast: list[tuple[bytes, bytes]] = []
        broadcasts: Any = SimpleNamespace(publish=lambda *message: self.broadcast.append(message))
        self.face = RespFace(
            self.mailbox,
            links,
            published,
            LimitSettings(**limits),
            health=self.health,
            broadcasts=broadcasts,
            password=password,
            tls=tls,
        )

    async def __aenter__(self) -> Self:
        self._turns = asyncio.create_task(self.mailbox.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self.mailbox, self._turns, self.store)

    def connect(self) -> Peer:
        """One more client."""
        return Peer(self.face.connect())
