"""Waiting for something that a turn may bring about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Turned"]


class Turned:
    """The tasks that wait for turns: `waiting` has what each waits for, by the future that wakes it.

    A turn that nobody waits for costs nothing. A task is woken only by the turn that brings about what it waits for.
    """

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        """Return once `holds` has returned true: at once, or after the turn that brings it about.

        `holds` is called after every turn, so it has to be quick. Raises what it raises.
        """
        if holds():
            return
        turn = asyncio.get_running_loop().create_future()
        self.waiting[turn] = holds
        try:
            await turn
        finally:
            self.waiting.pop(turn, None)

    def notify(self) -> None:
        """Look for all who wait whether it holds, and wake those for whom it does: a turn is over."""
        for turn, holds in list(self.waiting.items()):
            if turn.done():
                continue
            try:
                if holds():
                    turn.set_result(None)
            except Exception as error:  # noqa: BLE001  it is whose wait it is that has to know
                turn.set_exception(error)
