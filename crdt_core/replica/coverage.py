"""Whether objects that were loaded from the store can belong to a replica at a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import Malformed, brief
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import fold, unfold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.replica_index import DenseClock, ReplicaIndex
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.object import Object

__all__ = ["check_covered"]


def check_covered(heads: Iterable[Object], clock: VersionVector, replica_index: ReplicaIndex) -> None:
    """Raise `Malformed` if one of the objects holds a write, or a clear has seen one, that `clock` does not cover.

    `heads` are the heads of keys, and `clock` contains folded replica ids. Every peer would refuse such a state.
    """
    dense_clock = replica_index.dense_clock(clock)
    for head in heads:
        for object_ in head.chain():
            if not all(deps <= clock for deps in object_.clears.values()):
                raise Malformed("object", f"{brief(object_.key)} has a clear that has seen more than the replica")
            for part, siblings in object_.parts.items():
                if type(siblings) is not int or not covered(siblings, dense_clock):
                    _check(siblings, dense_clock, replica_index, (object_.key, part))
            _check(fold(object_.clears), dense_clock, replica_index, object_.key)


def _check(siblings: Siblings, dense_clock: DenseClock, replica_index: ReplicaIndex, place: object) -> None:
    for packed in unfold(siblings):
        if not covered(packed, dense_clock):
            dot = replica_index.unpack(packed)
            raise Malformed("object", f"{brief(place)} holds {dot}, which the clock does not cover")
