"""Large patches that are joined a slice at a time, between two turns.

A patch is joined as one: its writes show together, in one commit. But a patch of hundreds of thousands of parts takes
seconds. So the turn that has received all of it only puts it aside. Before the next turn the shell has it checked and
joined, a slice at a time (`PreparedJoin.advance`), and does other things between two slices. The next turn moves the
exchange on, and its commit persists all slices.

Between the slices readers are shown the committed state, as during any commit: the catalogue keeps what was there
before. No turn runs meanwhile, because the replica holds writes that its clock does not cover.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crdt_core.codec.patches import check_parts
from crdt_core.errors import InvalidArgument, Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.codec.records import Changes
    from crdt_core.lattice.deltas import Patch
    from crdt_core.replica.replica import Replica

__all__ = ["PreparedJoin"]


class PreparedJoin:
    """The join of `patch` into `replica`, `size` parts at a time.

    Once `advance` returns false, the patch is joined: `new` of its writes were new, and `slices` persist it. Or it is
    refused: `error` says why, and nothing has changed. A patch of a caller (`is_offered`) is refused, too, if a dot has
    another payload here.
    """

    def __init__(self, replica: Replica, patch: Patch, size: int, *, is_offered: bool = False) -> None:
        self.patch = patch
        self.new = 0
        self.slices: list[Changes] = []
        self.error: Malformed | InvalidArgument | None = None
        self._replica = replica
        self._size = size
        self._is_offered = is_offered
        self._steps = self._run()

    def advance(self) -> bool:
        """Do the next slice, and return whether there are more."""
        return next(self._steps, False)

    def _run(self) -> Iterator[bool]:
        parts = self.patch.parts
        try:
            for start in range(0, len(parts), self._size):
                self._check(replace(self.patch, parts=parts[start : start + self._size]))
                yield True
            yield from self._join()
        except (Malformed, InvalidArgument) as error:
            self.error = error

    def _join(self) -> Iterator[bool]:
        joining = self._replica.join_in_slices(self.patch, self._size)
        while True:
            try:
                self.slices.append(next(joining))
            except StopIteration as end:
                self.new = end.value
                return
            yield True

    def _check(self, some: Patch) -> None:
        check_parts(some.parts, some.clock)
        if self._is_offered and (found := self._replica.contradiction(some)):
            raise InvalidArgument("patch", found)
