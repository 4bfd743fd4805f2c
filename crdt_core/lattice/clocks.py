"""Dots, version vectors and the hybrid logical clock.

A *dot* `(replica id, counter)` names one commit. A *version vector* maps each replica id to a counter, and says that
all commits of that replica up to that counter have been seen. Replicas apply deltas in causal order, so a version
vector describes the whole causal context of a replica. Single dots beyond it ("dot clouds") cannot occur. Source:
Almeida, Shoker, Baquero 2018, section 7 (causal consistency).

The *hybrid logical clock* orders commits that causality leaves unordered. Source: Kulkarni et al. 2014.

Nothing in this module reads a clock: wall time is always an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crdt_core.errors import InvalidArgument, InvariantBroken, brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Dot", "HybridClock", "ReplicaId", "Stamp", "VersionVector", "check_replica_id"]

ReplicaId = str
"""The name of one uninterrupted history: the node's name, plus an incarnation after a data loss. `n1`, `n1.2`."""

_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_ID_LENGTH_MAX = 128
_LOGICAL_MAX = 2**63 - 1


def check_replica_id(replica: object) -> ReplicaId:
    """Return `replica` if it is a valid replica id.

    A valid id has 1 to 128 characters out of letters, digits, `_`, `.` and `-`. Raises `InvalidArgument` for anything
    else.
    """
    if not isinstance(replica, str) or not 0 < len(replica) <= _ID_LENGTH_MAX or not _ID_LETTERS.issuperset(replica):
        raise InvalidArgument(
            "replica id", f"{brief(replica)} is not 1 to {_ID_LENGTH_MAX} of letters, digits, '_', '.', '-'"
        )
    return replica


class Dot(NamedTuple):
    """The name of one commit. `counter` starts at 1 and rises by one with each commit of `replica`."""

    replica: ReplicaId
    counter: int

    def __str__(self) -> str:
        """Return the persisted text form, for example `n1:7`."""
        return f"{self.replica}:{self.counter}"


class VersionVector(dict[ReplicaId, int]):
    """Per replica id, the counter up to which all commits have been seen. An absent replica id counts as 0.

    Two replicas that have each committed once are concurrent. After a merge, the first has seen both commits:

    >>> n1, n2 = VersionVector(n1=1), VersionVector(n2=1)
    >>> n1.concurrent_with(n2), n1.lacks(n2)
    (True, VersionVector({'n2': 1}))
    >>> n1.merge(n2); n1
    VersionVector({'n1': 1, 'n2': 1})
    >>> n2 <= n1, n1 <= n2, n1.covers(Dot("n2", 1)), n1.covers(Dot("n2", 2))
    (True, False, True, False)
    """

    __slots__ = ()

    def __missing__(self, replica: ReplicaId) -> int:
        return 0

    def __repr__(self) -> str:
        return f"VersionVector({dict.__repr__(self)})"

    def increment(self, replica: ReplicaId) -> int:
        """Count one more commit of `replica`, and return its counter."""
        self[replica] = counter = self[replica] + 1
        return counter

    def merge(self, other: Mapping[ReplicaId, int]) -> None:
        """Raise every entry to the larger of both: the pointwise maximum, which is the join of version vectors."""
        for replica, counter in other.items():
            self[replica] = max(self[replica], counter)

    def advance(self, dot: Dot) -> None:
        """Count the commit `dot`. Raises `InvariantBroken` if it is not the next commit of its replica."""
        if dot.counter != self[dot.replica] + 1:
            raise InvariantBroken(f"dot {dot} does not follow {dot.replica}:{self[dot.replica]}")
        self[dot.replica] = dot.counter

    def covers(self, dot: Dot) -> bool:
        """Return whether this clock has seen the commit `dot`."""
        return dot.counter <= self[dot.replica]

    def __le__(self, other: Mapping[ReplicaId, int]) -> bool:
        """Return whether `other` dominates this clock: it has seen every commit that this clock has seen."""
        return all(counter <= other.get(replica, 0) for replica, counter in self.items())

    def concurrent_with(self, other: VersionVector) -> bool:
        """Return whether each clock has seen a commit that the other has not."""
        return not self <= other and not other <= self

    def lacks(self, other: Mapping[ReplicaId, int]) -> VersionVector:
        """Return the entries of `other` that are ahead of this clock."""
        return VersionVector({replica: counter for replica, counter in other.items() if counter > self[replica]})

    def copy(self) -> VersionVector:
        """Return an independent copy."""
        return VersionVector(self)

    @classmethod
    def floor(cls, clocks: Iterable[VersionVector]) -> VersionVector:
        """Return the pointwise minimum: what every one of `clocks` has seen. `clocks` must not be empty.

        >>> VersionVector.floor([VersionVector(n1=3, n2=1), VersionVector(n1=2)])
        VersionVector({'n1': 2})
        """
        first, *rest = clocks
        floor = {replica: min([counter, *(clock[replica] for clock in rest)]) for replica, counter in first.items()}
        return cls({replica: counter for replica, counter in floor.items() if counter})


class Stamp(NamedTuple):
    """A point in hybrid time: wall time in milliseconds, and a logical counter that orders events within one of them.

    Both are from 0 to 2^63 - 1.
    """

    ms: int
    logical: int

    def successor(self) -> Stamp:
        """Return the smallest stamp after this one.

        The last stamp of a millisecond is its own successor: a larger logical counter could not be persisted.
        """
        return Stamp(self.ms, min(self.logical + 1, _LOGICAL_MAX))


class HybridClock:
    """The hybrid logical clock of one replica. It follows wall time and never goes backwards.

    The one exception is `reset_if_ahead`, for a wall clock that was wrong and has been corrected.

    >>> clock = HybridClock()
    >>> clock.tick(wall_ms=100), clock.tick(wall_ms=90)
    (Stamp(ms=100, logical=0), Stamp(ms=100, logical=1))
    >>> clock.observe(Stamp(500, 7), wall_ms=90, ahead_ms_max=1000); clock.tick(wall_ms=91)
    410
    Stamp(ms=500, logical=8)
    """

    __slots__ = ("last",)

    def __init__(self, last: Stamp | None = None) -> None:
        self.last = last or Stamp(0, 0)

    def tick(self, wall_ms: int) -> Stamp:
        """Return a stamp that is later than every stamp this clock has returned or adopted."""
        self.last = Stamp(wall_ms, 0) if wall_ms > self.last.ms else self.last.successor()
        return self.last

    def reset_if_ahead(self, wall_ms: int, ahead_ms_max: int) -> int:
        """Reset this clock to wall time if it is more than `ahead_ms_max` ahead of it.

        Returns by how many milliseconds the clock was ahead, or 0 if it was not reset.

        Only a wall clock that was wrong can bring the hybrid clock so far ahead, because `observe` does not adopt such
        stamps. A clock that stayed ahead would have its stamps refused by every peer until wall time catches up. The
        reset is safe: a write that has seen another write replaces it, whatever the stamps of the two say.

        >>> clock = HybridClock(Stamp(9000, 3))
        >>> clock.reset_if_ahead(wall_ms=8500, ahead_ms_max=1000), clock.reset_if_ahead(wall_ms=100, ahead_ms_max=1000)
        (0, 8900)
        >>> clock.tick(wall_ms=100)
        Stamp(ms=100, logical=1)
        """
        ahead_ms = self.last.ms - wall_ms
        if ahead_ms <= ahead_ms_max:
            return 0
        self.last = Stamp(wall_ms, 0)
        return ahead_ms

    def observe(self, stamp: Stamp, wall_ms: int, ahead_ms_max: int) -> int:
        """Adopt `stamp`, which a peer sent, unless it is more than `ahead_ms_max` ahead of `wall_ms`.

        Returns by how many milliseconds `stamp` is ahead of `wall_ms`; negative if it is behind.

        A stamp that is not adopted cannot drag this clock into the future. Causality does not depend on the stamp: a
        write that has seen another write replaces it, whatever the stamps of the two say.
        """
        ahead_ms = stamp.ms - wall_ms
        if stamp > self.last and ahead_ms <= ahead_ms_max:
            self.last = stamp
        return ahead_ms
