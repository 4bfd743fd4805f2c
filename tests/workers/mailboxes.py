"""A mailbox without a worker: a real node and the real turn loop on a store that a test can hold up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crdt_core.errors import DeltaicError
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from workers.turns.mailbox import Mailbox
from workers.wire.keys import OPEN, PAUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workers.wire.retry import Trouble

__all__ = ["Health", "Links", "QuickStore", "SlowStore", "end", "open_mailbox"]


class SlowStore:
    """A store whose Redis is away until `back` is set. `committing`: one has begun. `failure`: how commits fail."""

    def __init__(self) -> None:
        self.committing = asyncio.Event()
        self.back = asyncio.Event()
        self.turn = 0
        self.trouble: Trouble | None = None
        self.failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def commit(self, commit: Any, on_committed: Callable[[Exception | None], None]) -> None:
        self._task = asyncio.create_task(self._tell(commit, on_committed))

    def give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _tell(self, commit: Any, on_committed: Callable[[Exception | None], None]) -> None:
        try:
            await self.persist(commit)
        except DeltaicError as error:
            on_committed(error)
        else:
            on_committed(None)

    async def persist(self, _commit: Any) -> None:
        self.committing.set()
        await self.back.wait()
        if self.failure is not None:
            raise self.failure
        self.turn += 1


class QuickStore(SlowStore):
    """A store that confirms at once."""

    def __init__(self) -> None:
        super().__init__()
        self.back.set()


class Health:
    """Whether writes can succeed, as a test says: `trouble`, which `set` changes."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self._news = asyncio.Condition()

    async def set(self, trouble: Trouble | None) -> None:
        self.trouble = trouble
        async with self._news:
            self._news.notify_all()

    async def changed(self, *, since: bool) -> bool:
        async with self._news:
            await self._news.wait_for(lambda: (self.trouble is None) != since)
        return not since


class Links:
    """The links of a node as they were set, without a Redis."""

    def __init__(self, peers: Iterable[str]) -> None:
        self.states = dict.fromkeys(peers, OPEN)

    @property
    def paused(self) -> frozenset[str]:
        return frozenset(peer for peer, state in self.states.items() if state == PAUSED)

    async def read(self) -> dict[str, str]:
        return self.states

    async def last_known(self) -> dict[str, str]:
        return self.states

    async def set(self, peers: Iterable[str], *, paused: bool) -> dict[str, str]:
        self.states.update(dict.fromkeys(peers, PAUSED if paused else OPEN))
        return self.states


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
