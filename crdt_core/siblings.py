"""The siblings of one part, and the one rule by which they are written and joined.

A *part* is the smallest thing that can conflict (a set's member, a register's slot, one replica's share of a counter);
its siblings are its live writes, `{dot: payload}`. **A write replaces every sibling that it has seen and leaves the
concurrent ones.** That rule alone is add-wins, the multi-value register and the observed remove (the dot stores of
Almeida, Shoker, Baquero 2018, section 6, with the causal context shared by the whole replica).

A removal is a write too: its payload is `REMOVED`, or a `Spent` that also says what it has seen. It shows nothing, and
is forgotten once every replica has it. A `DENIED` is a removal that also hides what is concurrent to it; it and what it
hides are forgotten together, once every replica has both.

Nearly every part has one sibling, and most of those are set members without a payload. So that a million of them fit,
a dot is packed into one integer (counter, and a small index for the replica: see `Roster`), and siblings are kept in
the least that holds them:

    int               one sibling, payload `True`
    (dot, payload)    one sibling
    {dot: payload}    several: a real conflict
    None              none
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.clocks import Dot, VersionVector
from crdt_core.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.clocks import ReplicaId

__all__ = [
    "DENIED",
    "REMOVED",
    "REPLICAS_MAX",
    "Horizon",
    "PackedDot",
    "Payload",
    "Roster",
    "Siblings",
    "Spent",
    "covered",
    "drop",
    "fold",
    "forget",
    "has_removal",
    "is_removal",
    "join",
    "lasting",
    "shows",
    "unfold",
    "write",
]

Payload = Any
"""What a write says; its shape is the type's own. Immutable."""

PackedDot = int
Siblings = int | tuple[PackedDot, Payload] | dict[PackedDot, Payload] | None
Horizon = list[int]
"""A version vector by the roster's indices; replicas beyond its end count as 0."""

REMOVED = None
"""The payload of a plain removal."""

DENIED = False
"""The payload of a removal that wins: nothing shows in its part until what has seen it replaces or clears it."""

_INDEX_BITS = 12
_INDEX_MASK = (1 << _INDEX_BITS) - 1

_ZERO = ord("0")
_COUNTER_DIGITS_MAX = 15

REPLICAS_MAX = 1 << _INDEX_BITS
"""Replica ids that one replica can tell apart."""


class Spent(NamedTuple):
    """The payload of a counter's removal: the totals of the share that it has seen, and so takes away."""

    increments: int
    decrements: int


class Roster:
    """The replica ids one replica has met, numbered, so that a dot fits one integer. Local: indices never leave it.

    `encoded`: the ids as bytes, as the names of parts hold them. `folded`: the last counters of ids that every member
    has seen the end of. They are in no clock any more.
    """

    __slots__ = ("_encoded_index", "_index", "encoded", "folded", "ids")

    def __init__(self) -> None:
        self.ids: list[ReplicaId] = []
        self.encoded: list[bytes] = []
        self.folded: dict[ReplicaId, int] = {}
        self._index: dict[ReplicaId, int] = {}
        self._encoded_index: dict[bytes, int] = {}

    def index(self, replica: ReplicaId) -> int:
        """The number of `replica`, given at its first use; raises `Malformed` for one too many."""
        found = self._index.get(replica)
        if found is None:
            if len(self.ids) >= REPLICAS_MAX:
                raise Malformed("replica id", f"{replica} would be one more than {REPLICAS_MAX}")
            found = self._index[replica] = len(self.ids)
            self.ids.append(replica)
            self.encoded.append(replica.encode())
            self._encoded_index[self.encoded[-1]] = found
        return found

    def pack(self, replica: ReplicaId, counter: int) -> PackedDot:
        """The dot as one integer."""
        return counter << _INDEX_BITS | self.index(replica)

    def unpack(self, packed: PackedDot) -> Dot:
        """The inverse of `pack`."""
        return Dot(self.ids[packed & _INDEX_MASK], packed >> _INDEX_BITS)

    def written(self, packed: PackedDot) -> tuple[bytes, int]:
        """The dot with its id as bytes, for who writes it out."""
        return self.encoded[packed & _INDEX_MASK], packed >> _INDEX_BITS

    def read(self, text: bytes) -> PackedDot | None:
        """The dot in its text form, in bytes; `None` for any other text, or where the id is not known here."""
        replica, _, counter = text.rpartition(b":")
        index = self._encoded_index.get(replica)
        if index is None or not counter.isdigit() or counter[0] == _ZERO or len(counter) > _COUNTER_DIGITS_MAX:
            return None
        return int(counter) << _INDEX_BITS | index

    def horizon(self, clock: Mapping[ReplicaId, int]) -> Horizon:
        """`clock` by index; raises `Malformed` where its ids do not all fit, and then numbers none of them."""
        strangers = clock.keys() - self._index.keys()
        if len(self.ids) + len(strangers) > REPLICAS_MAX:
            raise Malformed("clock", f"with its {len(clock)} replica ids there would be more than {REPLICAS_MAX}")
        for replica in clock:
            self.index(replica)
        return self.known_horizon(clock)

    def known_horizon(self, clock: Mapping[ReplicaId, int]) -> Horizon:
        """`clock` by index, as far as dots were packed by now: it numbers nobody, so that asking costs no number."""
        return [clock.get(replica, 0) for replica in self.ids]

    def whole(self, clock: VersionVector) -> VersionVector:
        """`clock`, which is of a member that has folded what this one has, with the folded ids back in it."""
        return VersionVector({**self.folded, **clock}) if self.folded else clock


def covered(dot: PackedDot, horizon: Horizon) -> bool:
    """Whether `horizon` has seen `dot`."""
    index = dot & _INDEX_MASK
    return index < len(horizon) and dot >> _INDEX_BITS <= horizon[index]


def unfold(siblings: Siblings) -> dict[PackedDot, Payload]:
    """The siblings as a dict; not to be changed."""
    if siblings is None:
        return {}
    if type(siblings) is int:
        return {siblings: True}
    if type(siblings) is tuple:
        return {siblings[0]: siblings[1]}
    assert isinstance(siblings, dict)
    return siblings


def fold(siblings: dict[PackedDot, Payload]) -> Siblings:
    """The least form that holds `siblings`; owns the dict from then on."""
    if len(siblings) > 1:
        return siblings
    for dot, payload in siblings.items():
        return dot if payload is True else (dot, payload)
    return None


def write(siblings: Siblings, deps: Horizon | None, dot: PackedDot, payload: Payload) -> Siblings:
    """The siblings after the write `dot` that had seen `deps` (`None`: all of them).

    >>> roster = Roster(); a, b = roster.pack("n1", 1), roster.pack("n2", 1)
    >>> one = write(None, None, a, "x")
    >>> both = write(one, roster.horizon({}), b, "y")     # has not seen n1:1
    >>> sorted(unfold(both).values())
    ['x', 'y']
    >>> unfold(write(both, roster.horizon({"n1": 1}), roster.pack("n3", 1), "z")).values()
    dict_values(['y', 'z'])
    """
    if deps is not None and siblings is not None:
        kept = {d: p for d, p in unfold(siblings).items() if not covered(d, deps) and d != dot}
        if kept:
            kept[dot] = payload
            return kept
    return dot if payload is True else (dot, payload)


def drop(siblings: Siblings, deps: Horizon) -> Siblings:
    """The siblings that a clear which had seen `deps` leaves."""
    return fold({d: p for d, p in unfold(siblings).items() if not covered(d, deps)})


def join(mine: Siblings, my_clock: Horizon, theirs: Mapping[PackedDot, Payload], their_clock: Horizon) -> Siblings:
    """What either side holds and the other has not removed: the common ones, and those the other has not seen."""
    held = unfold(mine)
    kept = {d: p for d, p in held.items() if d in theirs or not covered(d, their_clock)}
    kept.update({d: p for d, p in theirs.items() if d not in held and not covered(d, my_clock)})
    return fold(kept)


def is_removal(payload: Payload) -> bool:
    """Whether a payload shows nothing."""
    return payload is REMOVED or payload is DENIED or type(payload) is Spent


def lasting(siblings: Siblings) -> dict[PackedDot, Payload]:
    """The siblings that make up the part's state at rest: none unless the part shows something.

    A `Spent` lasts as long as a live write stands beside it, which it diminishes. Two replicas with the same clock have
    the same lasting siblings, whichever removals each has already forgotten: so the digest is taken over these.
    """
    if not shows(siblings):
        return {}
    return {d: p for d, p in unfold(siblings).items() if p is not REMOVED}


def shows(siblings: Siblings) -> bool:
    """Whether the part has a live write, and none that denies it."""
    kind = type(siblings)
    if kind is int:
        return True
    if kind is tuple:
        payload = siblings[1]  # type: ignore[index]
        return payload is not REMOVED and payload is not DENIED and type(payload) is not Spent
    if siblings is None:
        return False
    payloads = unfold(siblings).values()
    return not (any(payload is DENIED for payload in payloads) or all(map(is_removal, payloads)))


def has_removal(siblings: Siblings) -> bool:
    """Whether one of the writes removes."""
    if type(siblings) is dict:
        return any(map(is_removal, siblings.values()))
    return siblings is not None and not shows(siblings)


def forget(siblings: Siblings, stable: Horizon) -> Siblings:
    """The siblings without the removals that every replica has.

    `Spent`s go together or not at all: a share that starts anew must not meet evidence about its former life. What is
    denied goes with what denies it, or it would come up again.
    """
    held = unfold(siblings)
    if not shows(siblings) and all(covered(d, stable) for d in held):
        return None
    return fold({d: p for d, p in held.items() if p is not REMOVED or not covered(d, stable)})
