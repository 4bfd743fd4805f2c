"""The siblings of one part, and the one rule by which they are written and joined.

A *part* is the smallest thing that can conflict: a member of a set, the slot of a register, one replica's share of a
counter. Its *siblings* are its live writes, `{dot: payload}`. The rule:

    A write replaces every sibling that it has seen, and leaves the concurrent ones.

This rule alone gives the add-wins set, the multi-value register and the observed remove. Source: the dot stores of
Almeida, Shoker, Baquero 2018, section 6, with one causal context for the whole replica.

A removal is a write, too. Its payload is one of three:

- `TOMBSTONE` says only that something was removed.
- `ObservedReset` also says which totals of a counter's share the removal had seen.
- `WINNING_TOMBSTONE` also hides what is concurrent to it.

A removal shows nothing. It is forgotten once every replica has it. A winning tombstone and the siblings that it hides
are forgotten together, once every replica has all of them.

Nearly every part has one sibling, and most of those are set members without a payload. A million of them must fit into
memory. So a dot is packed into one integer (`crdt_core.lattice.replica_index`), and siblings have the smallest form
that holds them:

    None              no siblings
    int               one sibling with payload `True`: its dot
    (dot, payload)    one sibling
    {dot: payload}    several siblings: a real conflict
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
    "clashing",
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
"""What a write says. Its shape is up to the type of the object. Immutable."""

Siblings = int | tuple[PackedDot, Payload] | dict[PackedDot, Payload] | None
"""The siblings of one part, in one of the four forms that the module docstring lists."""

TOMBSTONE = None
"""The payload of a plain removal."""

WINNING_TOMBSTONE = False
"""The payload of a removal that wins: the part shows nothing until a write or clear that has seen it removes it."""


class ObservedReset(NamedTuple):
    """The payload of a counter's removal: the totals of the share that the removal has seen, and so takes away."""

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
    """Return the smallest form that holds `siblings`. The caller must not change the dict afterwards."""
    if len(siblings) > 1:
        return siblings
    for dot, payload in siblings.items():
        return dot if payload is True else (dot, payload)
    return None


def write(siblings: Siblings, deps: DenseClock | None, dot: PackedDot, payload: Payload) -> Siblings:
    """Return the siblings after the write `dot`, made at the clock `deps`; `None`: it has seen all of `siblings`.

    Replicas n1 and n2 each write without having seen the other's write: both siblings stay. Then n3, which has seen
    only n1's write, writes: its write replaces that one.

    >>> from crdt_core.lattice.replica_index import ReplicaIndex
    >>> index = ReplicaIndex(); a, b, c = (index.pack(replica, 1) for replica in ("n1", "n2", "n3"))
    >>> only_a = write(None, index.dense_clock({}), a, "x")
    >>> a_and_b = write(only_a, index.dense_clock({}), b, "y")
    >>> sorted(unfold(a_and_b).values())
    ['x', 'y']
    >>> sorted(unfold(write(a_and_b, index.dense_clock({"n1": 1}), c, "z")).values())
    ['y', 'z']
    """
    if deps is not None and siblings is not None:
        kept = {d: p for d, p in unfold(siblings).items() if not covered(d, deps) and d != dot}
        if kept:
            kept[dot] = payload
            return kept
    return dot if payload is True else (dot, payload)


def drop(siblings: Siblings, deps: DenseClock) -> Siblings:
    """Return the siblings that remain after a clear made at the clock `deps`: those that it had not seen."""
    return fold({d: p for d, p in unfold(siblings).items() if not covered(d, deps)})


def join(
    mine: Siblings, my_clock: DenseClock, theirs: Mapping[PackedDot, Payload], their_clock: DenseClock
) -> Siblings:
    """Return the lattice join of one part at two replicas, each with the clock of its replica.

    A sibling stays if both replicas hold it, or if one holds it and the other has not seen it. A sibling that a replica
    has seen and does not hold was replaced or removed there: it goes. Commutative, associative and idempotent.

    Both replicas have seen n1:1. Here it is still held; there n2:1 has replaced it. After the join only n2:1 is left:

    >>> from crdt_core.lattice.replica_index import ReplicaIndex
    >>> index = ReplicaIndex(); old, new = index.pack("n1", 1), index.pack("n2", 1)
    >>> here, there = index.dense_clock({"n1": 1}), index.dense_clock({"n1": 1, "n2": 1})
    >>> join((old, "old"), here, {new: "new"}, there) == (new, "new")
    True
    """
    held = unfold(mine)
    kept = {d: p for d, p in held.items() if d in theirs or not covered(d, their_clock)}
    kept.update({d: p for d, p in theirs.items() if d not in held and not covered(d, my_clock)})
    return fold(kept)


def clashing(mine: Siblings, theirs: Mapping[PackedDot, Payload]) -> PackedDot | None:
    """Return a dot under which `mine` and `theirs` hold different payloads, or `None` if there is none.

    A dot names one commit, and a commit writes a part once. So two payloads say that two histories used one replica id.

    >>> clashing({5: "x", 6: "y"}, {6: "y", 7: "z"}), clashing({5: "x", 6: "y"}, {6: "z"})
    (None, 6)
    """
    held = unfold(mine)
    for dot, payload in theirs.items():
        if dot in held and (type(held[dot]) is not type(payload) or held[dot] != payload):
            return dot
    return None


def is_tombstone(payload: Payload) -> bool:
    """Return whether `payload` is one of the three removals."""
    return payload is TOMBSTONE or payload is WINNING_TOMBSTONE or type(payload) is ObservedReset


def lasting(siblings: Siblings) -> dict[PackedDot, Payload]:
    """Return the siblings that do not depend on which removals this replica has forgotten already.

    There are none if the part shows nothing. An `ObservedReset` is lasting while a live write stands beside it, because
    it lowers what that write shows.

    Two replicas with equal clocks have equal lasting siblings. So the digest covers exactly these.
    """
    if not shows(siblings):
        return {}
    return {d: p for d, p in unfold(siblings).items() if p is not TOMBSTONE}


def shows(siblings: Siblings) -> bool:
    """Return whether the part shows something: it has a live write, and no winning tombstone hides it."""
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
    """Return whether one of the siblings is a removal."""
    if type(siblings) is dict:
        return any(map(is_tombstone, siblings.values()))
    return siblings is not None and not shows(siblings)


def forget(siblings: Siblings, stable: DenseClock) -> Siblings:
    """Return the siblings without the removals that can be forgotten, given the stable frontier `stable`.

    - A plain tombstone is forgotten as soon as it is stable.
    - The observed resets of a part are forgotten together, once all siblings are stable and the part shows nothing. A
      share that starts anew must not meet a reset from its former life.
    - A winning tombstone is forgotten together with what it hides, under the same condition. Otherwise what it hid
      would show again.

    >>> from crdt_core.lattice.replica_index import ReplicaIndex
    >>> index = ReplicaIndex(); removed, added = index.pack("n1", 1), index.pack("n2", 1)
    >>> forget({removed: TOMBSTONE, added: True}, index.dense_clock({"n1": 1})) == added
    True
    """
    held = unfold(siblings)
    if not shows(siblings) and all(covered(d, stable) for d in held):
        return None
    return fold({d: p for d, p in held.items() if p is not TOMBSTONE or not covered(d, stable)})
