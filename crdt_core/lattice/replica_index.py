"""The replica ids that one replica has met, each with a small number, so that a dot fits one integer.

A dot is packed as `counter << 12 | number of the replica`. A dense clock is a version vector as a list by those
numbers, which makes the question "has this clock seen that dot?" one comparison. Both are local to one replica:
whatever leaves it names replica ids.
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
DenseClock = list[int]
"""A version vector by the numbers of a `ReplicaIndex`; replicas beyond its end count as 0."""

INDEX_BITS = 12
"""How many bits of a packed dot are the number of its replica."""
INDEX_MASK = (1 << INDEX_BITS) - 1

_ZERO = ord("0")
_COUNTER_DIGITS_MAX = 15

REPLICAS_MAX = 1 << INDEX_BITS
"""Replica ids that one replica can tell apart."""


class ReplicaIndex:
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
        index = self._index.get(replica)
        return counter << INDEX_BITS | (self.index(replica) if index is None else index)

    def unpack(self, packed: PackedDot) -> Dot:
        """The inverse of `pack`."""
        return Dot(self.ids[packed & INDEX_MASK], packed >> INDEX_BITS)

    def written(self, packed: PackedDot) -> tuple[bytes, int]:
        """The dot with its id as bytes, for who writes it out."""
        return self.encoded[packed & INDEX_MASK], packed >> INDEX_BITS

    def read(self, text: bytes) -> PackedDot | None:
        """The dot in its text form, in bytes; `None` for any other text, or where the id is not known here."""
        replica, _, counter = text.rpartition(b":")
        index = self._encoded_index.get(replica)
        if index is None or not counter.isdigit() or counter[0] == _ZERO or len(counter) > _COUNTER_DIGITS_MAX:
            return None
        return int(counter) << INDEX_BITS | index

    def dense_clock(self, clock: Mapping[ReplicaId, int]) -> DenseClock:
        """`clock` by index; raises `Malformed` where its ids do not all fit, and then numbers none of them."""
        strangers = clock.keys() - self._index.keys()
        if len(self.ids) + len(strangers) > REPLICAS_MAX:
            raise Malformed("clock", f"with its {len(clock)} replica ids there would be more than {REPLICAS_MAX}")
        for replica in clock:
            self.index(replica)
        return self.known_dense_clock(clock)

    def known_dense_clock(self, clock: Mapping[ReplicaId, int]) -> DenseClock:
        """`clock` by index, as far as dots were packed by now: it numbers nobody, so that asking costs no number."""
        return [clock.get(replica, 0) for replica in self.ids]

    def whole(self, clock: VersionVector) -> VersionVector:
        """`clock`, which is of a member that has folded what this one has, with the folded ids back in it."""
        return VersionVector({**self.folded, **clock}) if self.folded else clock


def covered(dot: PackedDot, dense_clock: DenseClock) -> bool:
    """Whether `horizon` has seen `dot`."""
    index = dot & INDEX_MASK
    return index < len(dense_clock) and dot >> INDEX_BITS <= dense_clock[index]
