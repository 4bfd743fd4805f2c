"""A mailbox without a worker: a real node and the real turn loop on a store that a test can hold up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from workers.turns.mailbox import Mailbox

if TYPE_CHECKING:
    from workers.wire.retry import Trouble

__all__ = ["QuickStore", "SlowStore", "end", "open_mailbox"]


class SlowStore:
    """A store whose Redis is away until `back` is set."""

    def __init__(self) -> None:
        self.committing = asyncio.Event()
        self.back = asyncio.Event()
        self.turn = 0
        self.trouble: Trouble | None = None

    async def commit(self, _commit: object) -> None:
        self.committing.set()
        await self.back.wait()
        self.turn += 1


class QuickStore(SlowStore):
    """A store that confirms at once."""

    def __init__(self) -> None:
        super().__init__()
        self.back.set()


def open_mailbox(
    store: SlowStore, *, call_timeout_s: float, calls_waiting_max: int = 100, exchange_timeout_ms: int = 5000
) -> tuple[Mailbox, asyncio.Task[None]]:
    """The mailbox of node n1 of two, and its turn loop, which runs until `end`."""
    options = NodeOptions(exchange_timeout_ms=exchange_timeout_ms)
    mailbox = Mailbox(
        Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=options),
        store,
        lambda _: None,
        call_timeout_s=call_timeout_s,
        calls_waiting_max=calls_waiting_max,
    )
    return mailbox, asyncio.create_task(mailbox.run())


async def end(mailbox: Mailbox, turns: asyncio.Task[None], store: SlowStore) -> None:
    """Let everything under way be confirmed, and end the turn loop."""
    store.back.set()
    mailbox.close()
    await turns
