"""Ends asyncio tasks reliably, and ties child tasks to the block that started them.

One call of `cancel` may not be enough. Before Python 3.12, `asyncio.wait_for` (which redis-py uses to send) can lose a
cancellation that arrives together with the result. So the functions here cancel again until the task has ended.
`asyncio.TaskGroup` cancels only once: a fenced worker once waited for ever for a task of such a group.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

__all__ = ["Children", "done_before", "end", "wait_for_first"]

_CANCEL_AGAIN_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks, again and again, and return when all of them have ended."""
    tasks = list(tasks)
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def wait_for_first(*futures: asyncio.Future[Any]) -> None:
    """Return when at least one of `futures` is done. Raises nothing, however they ended."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def done_before(stop: asyncio.Future[None], work: asyncio.Task[Any]) -> bool:
    """Return whether `work` was done before `stop`; raises what `work` raises.

    If `stop` is done first, `work` is cancelled and has ended when this returns.
    """
    await wait_for_first(work, stop)
    if not work.done():
        await end([work])
        return False
    await work
    return True


class Children:
    """A context manager that ends the tasks started in its block when the block ends.

    If a child fails, the block is cancelled, and raises the error of the child itself.
    """

    def __init__(self) -> None:
        self._parent: asyncio.Task[Any] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._ending = False

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a child task and return the task."""
        child = asyncio.create_task(work)
        self._running.add(child)
        child.add_done_callback(self._child_ended)
        return child

    async def __aenter__(self) -> Self:
        self._parent = asyncio.current_task()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        ending = asyncio.create_task(end(self._running))
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                continue  # The children are being ended already.
        if self._failure is not None:
            raise self._failure

    def _child_ended(self, child: asyncio.Task[None]) -> None:
        self._running.discard(child)
        failure = None if child.cancelled() else child.exception()
        if failure is None or self._ending:
            return
        assert self._parent is not None
        self._failure, self._ending = failure, True
        self._parent.cancel()
