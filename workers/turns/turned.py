"""Waiting for something that a turn may bring about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Turned"]


class Turned:
    """The tasks that wait for turns; `waiting` has a future of each. A turn that nobody waits for costs nothing."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        """Return once `holds` returns true: at once, or after the turn that brings it about."""
        while not holds():
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn

    def notify(self) -> None:
        """Have all who wait look again: a turn is over."""
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
