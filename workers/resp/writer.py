"""Writing to all clients of a face: together, once everybody has been called for whom something has arrived.

To write to a client that sleeps wakes it up, which costs more than all the rest. A client that is awake reads on.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Writer"]


class _Filled(Protocol):
    def write(self) -> None:
        """Write what is ready."""


class Writer:
    """`filled` are those that have something to write. Who comes first has the event loop call `write` soon."""

    def __init__(self) -> None:
        self.filled: list[_Filled] = []

    def write(self) -> None:
        """Write all that is ready."""
        filled, self.filled = self.filled, []
        for one in filled:
            try:
                one.write()
            except Exception as failure:  # noqa: BLE001  the others are written to all the same
                told = {"message": "Exception while a client was written to", "exception": failure}
                asyncio.get_running_loop().call_exception_handler(told)
