"""One connection of the face, without a network: what becomes of replies in moments that a network seldom offers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.workers.resp.raw import packed
from workers.config.settings import LimitSettings
from workers.resp.face import RespFace
from workers.turns.mailbox import Mailbox


class Store:
    """Where everything is durable at once."""

    turn = 0
    trouble = None

    async def commit(self, _commit: object) -> None:
        self.turn += 1


class Transport:
    """A transport that lets nothing out once it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, _name: str) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True


async def test_what_is_answered_leaves_before_the_end_that_a_client_makes() -> None:
    """The end may arrive between the moment a reply is ready and the moment all connections are written to."""
    mailbox = Mailbox(Node("n1", Replica("n1", founders=["n1"]), "s"), Store(), lambda _: None, call_timeout_s=60)
    nothing: Any = SimpleNamespace()
    transport: Any = Transport()
    connection = RespFace(mailbox, nothing, nothing, LimitSettings()).connect()
    connection.connection_made(transport)
    connection.data_received(packed(b"PING"))
    if not connection.eof_received():
        transport.close()
    assert transport.written == b"+PONG\r\n"
