"""What a replica at a clock cannot hold is refused when it is loaded, with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.replica.coverage import check_covered
from crdt_core.types import ORSET, PNCOUNTER
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from crdt_core.lattice.siblings import Siblings


def holding(part: bytes, siblings: Siblings) -> Object:
    made = Object(b"set", ORSET)
    made.adopt(part, siblings)
    return made


def test_what_the_clock_covers_is_taken() -> None:
    index = ReplicaIndex()
    one, two = index.pack("n1", 1), index.pack("n1", 2)
    made = holding(b"pear", {one: True, two: TOMBSTONE})
    made.clears = {two: VersionVector(n1=1)}
    check_covered([made], VersionVector(n1=2), index)


@pytest.mark.parametrize("number", [3, 2])
def test_a_write_that_the_clock_does_not_cover_is_refused(number: int) -> None:
    index = ReplicaIndex()
    head = Object(b"set", PNCOUNTER)
    head.type_conflicts = [holding(b"pear", (index.pack("n1", number), TOMBSTONE))]
    with pytest.raises(Malformed, match=rf"\(b'set', b'pear'\) holds n1:{number}, which the clock does not cover"):
        check_covered([head], VersionVector(n1=1), index)


def test_a_clear_that_the_clock_does_not_cover_is_refused() -> None:
    index = ReplicaIndex()
    made = Object(b"set", ORSET)
    made.clears = {index.pack("n1", 2): VersionVector()}
    with pytest.raises(Malformed, match="b'set' holds n1:2, which the clock does not cover"):
        check_covered([made], VersionVector(n1=1), index)


def test_a_clear_that_has_seen_more_than_the_replica_is_refused() -> None:
    index = ReplicaIndex()
    made = Object(b"set", ORSET)
    made.clears = {index.pack("n1", 1): VersionVector(n2=7)}
    with pytest.raises(Malformed, match="has a clear that has seen more than the replica"):
        check_covered([made], VersionVector(n1=1), index)
