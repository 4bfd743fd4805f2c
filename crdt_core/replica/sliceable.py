"""What an operation has to offer if it may be too large for one turn (`crdt_core.node.large_calls`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.replica.steps import finish

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Sliceable"]


class Sliceable:
    """An operation that may be too large for one turn, and can then be run a slice at a time."""

    __slots__ = ()

    def run(self, replica: Replica, now: Stamp) -> Any:
        """Run on `replica` at hybrid time `now`, and return what the caller is told."""
        return finish(self.steps(replica, now))

    def is_large(self, replica: Replica, parts_max: int) -> bool:
        """Return whether it may change more than `parts_max` parts of `replica`."""
        raise NotImplementedError

    def steps(self, replica: Replica, now: Stamp) -> Generator[None, None, Any]:
        """Do the same as `run`, and yield after each part that is changed."""
        raise NotImplementedError
