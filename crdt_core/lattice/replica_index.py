"""The replica index: a small number for each replica id that one replica knows, so that a dot fits into one integer.

A *packed dot* is `counter << 12 | number of the replica id`. A *dense clock* is a version vector as a list, indexed by
those numbers. The question "has this clock seen that dot?" then costs one comparison (`covered`). The numbers are local
to one replica: everything that leaves the replica names replica ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, VersionVector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId

__all__ = ["INDEX_BITS", "INDEX_MASK", "REPLICAS_MAX", "DenseClock", "PackedDot", "ReplicaIndex", "covered"]

PackedDot = int
"""A dot as one integer, by the numbers of one `ReplicaIndex`."""

DenseClock = list[int]
"""A version vector as a list, by the numbers of one `ReplicaIndex`. Replica ids beyond its end count as 0."""

INDEX_BITS = 12
"""How many bits of a packed dot are the number of its replica."""
INDEX_MASK = (1 << INDEX_BITS) - 1

_ZERO = ord("0")
_COUNTER_DIGITS_MAX = 15

REPLICAS_MAX = 1 << INDEX_BITS
"""How many replica ids one replica can tell apart."""


class ReplicaIndex:
    """The replica ids that one replica has met, each with its number.

    `ids` lists the ids by number, `encoded` the same as bytes (part names contain them in this form). `folded` maps
    each folded replica id to its final counter. A *folded* id has left the fleet, and every member has seen all of its
    commits. So no clock lists it any more; its dots count as seen.

    >>> index = ReplicaIndex()
    >>> dot = index.pack("n1", 7); index.unpack(dot)
    Dot(replica='n1', counter=7)
    >>> covered(dot, index.dense_clock({"n1": 7, "n2": 1})), covered(dot, index.dense_clock({"n1": 6}))
    (True, False)
    """

    __slots__ = ("_encoded_index", "_index", "encoded", "folded", "ids")

    def __init__(self) -> None:
        self.ids: list[ReplicaId] = []
        self.encoded: list[bytes] = []
        self.folded: dict[ReplicaId, int] = {}
        self._index: dict[ReplicaId, int] = {}
        self._encoded_index: dict[bytes, int] = {}

    def index(self, replica: ReplicaId) -> int:
        """Return the number of `replica`, which gets one at its first use.

        Raises `Malformed` if the index is full: a peer's message named one replica id too many.
        """
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
        """Return the dot as one integer. Raises `Malformed` like `index`."""
        index = self._index.get(replica)
        return counter << INDEX_BITS | (self.index(replica) if index is None else index)

    def unpack(self, packed: PackedDot) -> Dot:
        """Return the dot that `pack` packed."""
        return Dot(self.ids[packed & INDEX_MASK], packed >> INDEX_BITS)

    def pack_encoded(self, text: bytes) -> PackedDot | None:
        """Return the packed dot of the text form `b"n1:7"`.

        Returns `None` for any other text, and for a replica id that has no number yet.
        """
        replica, _, counter = text.rpartition(b":")
        index = self._encoded_index.get(replica)
        if index is None or not counter.isdigit() or counter[0] == _ZERO or len(counter) > _COUNTER_DIGITS_MAX:
            return None
        return int(counter) << INDEX_BITS | index

    def dense_clock(self, clock: Mapping[ReplicaId, int]) -> DenseClock:
        """Return `clock` as a dense clock; replica ids without a number get one.

        Raises `Malformed`, and numbers none of them, if the index has no room for all.
        """
        unknown = clock.keys() - self._index.keys()
        if len(self.ids) + len(unknown) > REPLICAS_MAX:
            raise Malformed("clock", f"with its {len(clock)} replica ids there would be more than {REPLICAS_MAX}")
        for replica in clock:
            self.index(replica)
        return self.dense_clock_of_known(clock)

    def dense_clock_of_known(self, clock: Mapping[ReplicaId, int]) -> DenseClock:
        """Return `clock` as a dense clock, without the replica ids that have no number.

        It covers every dot that this index has packed so far, and a mere question uses up no number.
        """
        return [clock.get(replica, 0) for replica in self.ids]

    def with_folded(self, clock: VersionVector) -> VersionVector:
        """Return `clock` with the folded replica ids put back.

        The result is right only for the clock of a replica that has folded the same ids, or still lists them itself.
        """
        return VersionVector({**self.folded, **clock}) if self.folded else clock


def covered(dot: PackedDot, dense_clock: DenseClock) -> bool:
    """Return whether `dense_clock` has seen the commit `dot`."""
    index = dot & INDEX_MASK
    return index < len(dense_clock) and dot >> INDEX_BITS <= dense_clock[index]
