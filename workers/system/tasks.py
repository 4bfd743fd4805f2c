"""Tasks that end when they are told to, and those that live no longer than the task that started them.

One cancellation may not do: before Python 3.12, `asyncio.wait_for` (by which redis-py sends) can lose one that arrives
together with the result. So whoever waits for an end cancels again. `asyncio.TaskGroup` does not: a worker that was
fenced once waited for ever for a task of such a group.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

__all__ = ["Children", "end"]

_CANCEL_AGAIN_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels the tasks until all have ended."""
    tasks = list(tasks)
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


class Children:
    """The tasks started within a block: a context manager that ends them with it.

    A child that fails ends the block, which then raises what the child did.
    """

    def __init__(self) -> None:
        self._parent: asyncio.Task[Any] | None = None
        self._living: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._ending = False

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` as a child."""
        child = asyncio.create_task(work)
        self._living.add(child)
        child.add_done_callback(self._ended)
        return child

    async def __aenter__(self) -> Self:
        self._parent = asyncio.current_task()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        ending = asyncio.create_task(end(self._living))
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                continue  # it ends already
        if self._failure is not None:
            raise self._failure

    def _ended(self, child: asyncio.Task[None]) -> None:
        self._living.discard(child)
        failure = None if child.cancelled() else child.exception()
        if failure is None or self._ending:
            return
        assert self._parent is not None
        self._failure, self._ending = failure, True
        self._parent.cancel()
