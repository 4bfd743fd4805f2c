"""The siblings of one part, and the one rule by which they are written and joined.

A *part* is the smallest thing that can conflict (a set's member, a register's slot, one replica's share of a counter);
its siblings are its live writes, `{dot: payload}`. **A write replaces every sibling that it has seen and leaves the
concurrent ones.** That rule alone is add-wins, the multi-value register and the observed remove (the dot stores of
Almeida, Shoker, Baquero 2018, section 6, with the causal context shared by the whole replica).

A removal is a write too: its payload is `TOMBSTONE`, or an `ObservedReset`, which also says what it has seen. It shows
nothing, and is forgotten once every replica has it. A `WINNING_TOMBSTONE` is a removal that also hides concurrent
writes. The tombstone and what it hides are forgotten together, once every replica has both.

Nearly every part has one sibling, and most of those are set members without a payload. To fit a million of them in
memory, a dot is packed into one integer (the counter, and a small number for the replica: see `ReplicaIndex`), and
siblings are kept in the smallest form that holds them:

    int               one sibling, payload `True`
    (dot, payload)    one sibling
    {dot: payload}    several: a real conflict
    None              none
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.lattice.replica_index import PackedDot, covered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.replica_index import DenseClock

__all__ = [
    "TOMBSTONE",
    "WINNING_TOMBSTONE",
    "ObservedReset",
    "Payload",
    "Siblings",
    "all_covered",
    "drop",
    "fold",
    "forget",
    "has_tombstone",
    "is_tombstone",
    "join",
    "lasting",
    "shows",
    "unfold",
    "write",
]

Payload = Any
"""What a write says. The type decides its form. Immutable."""

Siblings = int | tuple[PackedDot, Payload] | dict[PackedDot, Payload] | None
TOMBSTONE = None
"""The payload of a plain removal."""

WINNING_TOMBSTONE = False
"""The payload of a removal that wins. Its part shows nothing until a write that has seen it replaces or clears it."""


class ObservedReset(NamedTuple):
    """The payload of a counter's removal: the totals of the share that it has seen. It takes these away."""

    increments: int
    decrements: int


def unfold(siblings: Siblings) -> dict[PackedDot, Payload]:
    """Return the siblings as a dict. The caller must not change it."""
    if siblings is None:
        return {}
    if type(siblings) is int:
        return {siblings: True}
    if type(siblings) is tuple:
        return {siblings[0]: siblings[1]}
    assert isinstance(siblings, dict)
    return siblings


def fold(siblings: dict[PackedDot, Payload]) -> Siblings:
    """Return the smallest form that holds `siblings`. The dict belongs to the result from then on."""
    if len(siblings) > 1:
        return siblings
    for dot, payload in siblings.items():
        return dot if payload is True else (dot, payload)
    return None


def write(siblings: Siblings, deps: DenseClock | None, dot: PackedDot, payload: Payload) -> Siblings:
    """Return the siblings after the write `dot`, which had seen `deps` (`None`: all of them).

    >>> from crdt_core.lattice.replica_index import ReplicaIndex
    >>> replica_index = ReplicaIndex(); a, b = replica_index.pack("n1", 1), replica_index.pack("n2", 1)
    >>> one = write(None, None, a, "x")
    >>> both = write(one, replica_index.dense_clock({}), b, "y")     # has not seen n1:1
    >>> sorted(unfold(both).values())
    ['x', 'y']
    >>> unfold(write(both, replica_index.dense_clock({"n1": 1}), replica_index.pack("n3", 1), "z")).values()
    dict_values(['y', 'z'])
    """
    if deps is not None and siblings is not None:
        kept = {d: p for d, p in unfold(siblings).items() if not covered(d, deps) and d != dot}
        if kept:
            kept[dot] = payload
            return kept
    return dot if payload is True else (dot, payload)


def drop(siblings: Siblings, deps: DenseClock) -> Siblings:
    """Return the siblings that are left by a clear that had seen `deps`."""
    return fold({d: p for d, p in unfold(siblings).items() if not covered(d, deps)})


def join(
    mine: Siblings, my_clock: DenseClock, theirs: Mapping[PackedDot, Payload], their_clock: DenseClock
) -> Siblings:
    """Return the siblings that both sides hold, and those that one side holds and the other has not seen."""
    held = unfold(mine)
    kept = {d: p for d, p in held.items() if d in theirs or not covered(d, their_clock)}
    kept.update({d: p for d, p in theirs.items() if d not in held and not covered(d, my_clock)})
    return fold(kept)


def is_tombstone(payload: Payload) -> bool:
    """Return whether a payload shows nothing."""
    return payload is TOMBSTONE or payload is WINNING_TOMBSTONE or type(payload) is ObservedReset


def lasting(siblings: Siblings) -> dict[PackedDot, Payload]:
    """Return the siblings that make up the part's state at rest: none unless the part shows.

    An `ObservedReset` lasts as long as a live write stands beside it, which it diminishes. Two replicas with the same
    clock have the same lasting siblings, whichever removals each has already forgotten. So the digest is taken over
    these.
    """
    if not shows(siblings):
        return {}
    return {d: p for d, p in unfold(siblings).items() if p is not TOMBSTONE}


def shows(siblings: Siblings) -> bool:
    """Return whether the part shows: it has a live write, and no winning tombstone."""
    kind = type(siblings)
    if kind is int:
        return True
    if kind is tuple:
        payload = siblings[1]  # type: ignore[index]
        return payload is not TOMBSTONE and payload is not WINNING_TOMBSTONE and type(payload) is not ObservedReset
    if siblings is None:
        return False
    payloads = unfold(siblings).values()
    return not (any(payload is WINNING_TOMBSTONE for payload in payloads) or all(map(is_tombstone, payloads)))


def all_covered(siblings: Siblings, dense_clock: DenseClock) -> bool:
    """Return whether `dense_clock` has seen every live write of the part."""
    return all(is_tombstone(payload) or covered(dot, dense_clock) for dot, payload in unfold(siblings).items())


def has_tombstone(siblings: Siblings) -> bool:
    """Return whether one of the writes is a removal."""
    if type(siblings) is dict:
        return any(map(is_tombstone, siblings.values()))
    return siblings is not None and not shows(siblings)


def forget(siblings: Siblings, stable: DenseClock) -> Siblings:
    """Return the siblings without the removals that every replica has.

    All `ObservedReset`s of a part are forgotten together, and only once nothing live stands beside them: a share that
    starts anew must not meet evidence about its former life. A winning tombstone is forgotten together with the writes
    that it hides, or these would show again.
    """
    held = unfold(siblings)
    if not shows(siblings) and all(covered(d, stable) for d in held):
        return None
    return fold({d: p for d, p in held.items() if p is not TOMBSTONE or not covered(d, stable)})
