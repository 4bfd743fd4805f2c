"""What a turn needs and is too large for one, done a slice at a time before that turn.

A large patch is joined like that (`crdt_core.node.joins`), a large delta applied (`crdt_core.node.large_deltas`), a
large call run (`crdt_core.node.large_calls`). The turn that meets it only puts it aside. After that turn the shell has
it prepared, and does other things between two slices. The next turn ends it, and its commit persists all slices. They
stand there in the order in which they were made: what waits for one turn is prepared and ended in one order
(`crdt_core.node.large_work`), because two of them may change the same part.

Between the slices readers are shown the committed state, as during any commit: the catalogue keeps what was there
before. No turn runs meanwhile, because the replica holds writes that its clock does not cover. Nothing is persisted and
nothing has left before that commit: a crash before it is a crash before all of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.codec.records import Changes

__all__ = ["Prepared"]


class Prepared(ABC):
    """Work that is done a slice at a time. `slices` persist what has changed so far."""

    def __init__(self) -> None:
        self.slices: list[Changes] = []
        self._steps = self._run()

    def advance(self) -> bool:
        """Do the next slice, and return whether there are more."""
        for changes in self._steps:
            if changes:
                self.slices.append(changes)
            return True
        return False

    def end(self) -> None:
        """Do what is left: all of it, if the shell takes its turns without slices."""
        while self.advance():
            pass

    @abstractmethod
    def _run(self) -> Generator[Changes | None, None, None]:
        """Do all of the work; yield after each slice what has changed since the last."""
