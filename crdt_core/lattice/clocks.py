"""Dots, version vectors and the hybrid logical clock.

A *dot* (replica id, counter) names one commit. A *version vector* says, per replica, up to which counter everything has
been seen: as deltas are applied in causal order, that is the whole causal context and needs no cloud of single dots
(Almeida, Shoker, Baquero 2018, section 7, "causal consistency"). The hybrid clock orders what causality leaves
unordered (Kulkarni et al. 2014). Nothing here reads a clock: wall time is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crdt_core.errors import InvalidArgument, InvariantBroken, brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Dot", "HybridClock", "ReplicaId", "Stamp", "VersionVector", "check_replica_id"]

ReplicaId = str
"""A node's name plus, after a data loss, its incarnation: `n1`, `n1.2`. Used by one uninterrupted history only."""

_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_ID_LENGTH_MAX = 128
_LOGICAL_MAX = 2**63 - 1


def check_replica_id(replica: object) -> ReplicaId:
    """`replica` itself, if it is a valid id: 1 to 128 of letters, digits, `_`, `.`, `-`; raises `InvalidArgument`."""
    if not isinstance(replica, str) or not 0 < len(replica) <= _ID_LENGTH_MAX or not _ID_LETTERS.issuperset(replica):
        raise InvalidArgument(
            "replica id", f"{brief(replica)} is not 1 to {_ID_LENGTH_MAX} of letters, digits, '_', '.', '-'"
        )
    return replica


class Dot(NamedTuple):
    """The name of one commit: `counter` starts at 1 and rises by one with each commit of `replica`."""

    replica: ReplicaId
    counter: int

    def __str__(self) -> str:
        """`n1:7`, as persisted."""
        return f"{self.replica}:{self.counter}"


class VersionVector(dict[ReplicaId, int]):
    """Per replica, the counter up to which all of its commits have been seen; an absent replica counts as 0.

    >>> here, there = VersionVector(n1=2), VersionVector(n1=1, n2=1)
    >>> here.concurrent_with(there), VersionVector(n1=1) <= here
    (True, True)
    >>> here.merge(there); here
    VersionVector({'n1': 2, 'n2': 1})
    """

    __slots__ = ()

    def __missing__(self, replica: ReplicaId) -> int:
        return 0

    def __repr__(self) -> str:
        return f"VersionVector({dict.__repr__(self)})"

    def increment(self, replica: ReplicaId) -> int:
        """Counts one more commit of `replica`; the new counter."""
        self[replica] = counter = self[replica] + 1
        return counter

    def merge(self, other: Mapping[ReplicaId, int]) -> None:
        """Raises every entry to the larger of both (the pointwise maximum)."""
        for replica, counter in other.items():
            self[replica] = max(self[replica], counter)

    def advance(self, dot: Dot) -> None:
        """Counts in the commit `dot`, which must be the next of its replica; raises `InvariantBroken`."""
        if dot.counter != self[dot.replica] + 1:
            raise InvariantBroken(f"dot {dot} does not follow {dot.replica}:{self[dot.replica]}")
        self[dot.replica] = dot.counter

    def covers(self, dot: Dot) -> bool:
        """Whether commit `dot` has been seen."""
        return dot.counter <= self[dot.replica]

    def __le__(self, other: Mapping[ReplicaId, int]) -> bool:
        """Whether `other` has seen all that this has."""
        return all(counter <= other.get(replica, 0) for replica, counter in self.items())

    def concurrent_with(self, other: VersionVector) -> bool:
        """Whether each has seen something that the other has not."""
        return not self <= other and not other <= self

    def lacks(self, other: Mapping[ReplicaId, int]) -> VersionVector:
        """The entries of `other` that are ahead of this."""
        return VersionVector({replica: counter for replica, counter in other.items() if counter > self[replica]})

    def copy(self) -> VersionVector:
        """An independent copy."""
        return VersionVector(self)

    @classmethod
    def floor(cls, clocks: Iterable[VersionVector]) -> VersionVector:
        """The pointwise minimum: what every one of `clocks` has seen."""
        first, *rest = clocks
        floor = {replica: min([counter, *(clock[replica] for clock in rest)]) for replica, counter in first.items()}
        return cls({replica: counter for replica, counter in floor.items() if counter})


class Stamp(NamedTuple):
    """A point of hybrid time: physical milliseconds and, within one, a logical counter (below 2^63)."""

    ms: int
    logical: int

    def successor(self) -> Stamp:
        """The smallest stamp after this one; the last of its millisecond is its own, so that all can be persisted."""
        return Stamp(self.ms, min(self.logical + 1, _LOGICAL_MAX))


class HybridClock:
    """The hybrid logical clock of one replica: it follows wall time, and never runs backwards.

    The one exception is `set_right`, after wall time itself did.

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
        """A stamp later than all that this clock gave or observed."""
        self.last = Stamp(wall_ms, 0) if wall_ms > self.last.ms else self.last.successor()
        return self.last

    def set_right(self, wall_ms: int, ahead_ms_max: int) -> int:
        """Starts anew at wall time where this clock is more than `ahead_ms_max` ahead of it; by how much, else 0.

        Only a wall clock that was wrong brings it there: stamps that far ahead are not taken over. To stay would have
        every peer refuse its stamps until wall time has caught up. Nothing needs it to stay: what has seen a write
        replaces it, whatever their stamps say.

        >>> clock = HybridClock(Stamp(9000, 3))
        >>> clock.set_right(wall_ms=8500, ahead_ms_max=1000), clock.set_right(wall_ms=100, ahead_ms_max=1000)
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
        """How many ms `stamp` is ahead of `wall_ms`; it is taken over unless that is more than `ahead_ms_max`.

        A stamp that is not taken over cannot drag this clock into the future. Causality does not need it: a write that
        has seen another replaces it, whatever their stamps say.
        """
        ahead_ms = stamp.ms - wall_ms
        if stamp > self.last and ahead_ms <= ahead_ms_max:
            self.last = stamp
        return ahead_ms
