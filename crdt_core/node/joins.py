"""Large patches that are joined a slice at a time, between two turns.

A patch is joined as one: its writes show together, in one commit. But a patch of hundreds of thousands of parts takes
seconds. So the turn that has received all of it only puts it aside, to be prepared (`crdt_core.node.prepared`). The
next turn moves the exchange on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crdt_core.codec.patches import check_parts
from crdt_core.errors import InvalidArgument, Malformed
from crdt_core.node.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.codec.records import Changes
    from crdt_core.lattice.deltas import Patch
    from crdt_core.replica.replica import Replica

__all__ = ["PreparedJoin"]


class PreparedJoin(Prepared):
    """The join of `patch` into `replica`, `size` parts at a time.

    Once `advance` returns false, the patch is joined, and `new` of its writes were new. Or it is refused: `error` says
    why, and nothing has changed. A patch of a caller (`is_offered`) is refused, too, if a dot has another payload here.
    """

    def __init__(self, replica: Replica, patch: Patch, size: int, *, is_offered: bool = False) -> None:
        super().__init__()
        self.patch = patch
        self.new = 0
        self.error: Malformed | InvalidArgument | None = None
        self._replica = replica
        self._size = size
        self._is_offered = is_offered

    def _run(self) -> Generator[Changes | None, None, None]:
        parts = self.patch.parts
        try:
            for start in range(0, len(parts), self._size):
                self._check(replace(self.patch, parts=parts[start : start + self._size]))
                yield None
            self.new = yield from self._replica.join_in_slices(self.patch, self._size)
        except (Malformed, InvalidArgument) as error:
            self.error = error
            return
        self.patch = replace(self.patch, parts=())
        self._replica.catalogue.discards.add([*parts])

    def _check(self, some: Patch) -> None:
        check_parts(some.parts, some.clock)
        if self._is_offered and (found := self._replica.contradiction(some)):
            raise InvalidArgument("patch", found)
