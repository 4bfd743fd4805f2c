"""One object: a typed set of parts, and the objects of other types that were made under the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.siblings import shows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.replica_index import PackedDot
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.contract import CrdtType

__all__ = ["Object"]


class Object:
    """`parts` by name, `clears` as {dot: deps}, `live`: how many parts show something.

    `counted_hash`: what an object that is not a collection has added to the digest; `None` until that is needed.
    `type_conflicts` are the objects of other types under the same key, listed by the one that was made here first.
    """

    __slots__ = ("clears", "counted_hash", "key", "live", "parts", "type", "type_conflicts")

    def __init__(self, key: bytes, type_: CrdtType) -> None:
        self.key = key
        self.type = type_
        self.parts: dict[bytes, Siblings] = {}
        self.clears: dict[PackedDot, VersionVector] = {}
        self.live = 0
        self.counted_hash: int | None = 0 if type_.collection else None
        self.type_conflicts: Sequence[Object] = ()

    def chain(self) -> Iterator[Object]:
        """This object and its rivals."""
        yield self
        yield from self.type_conflicts

    def showing(self) -> list[Object]:
        """Those of the chain that show something; the first prevails, the others are conflicts of type."""
        if not self.type_conflicts:
            return [self] if self.live and not self.type.attribute else []
        shown = (link for link in self.chain() if link.live and not link.type.attribute)
        return sorted(shown, key=lambda link: link.type.rank)

    def adopt(self, part: bytes, siblings: Siblings) -> Siblings:
        """Sets the siblings of one part; what they were before."""
        before = self.parts.get(part)
        if siblings is None:
            self.parts.pop(part, None)
        else:
            self.parts[part] = siblings
        self.live += shows(siblings) if before is None else shows(siblings) - shows(before)
        return before

    @property
    def empty(self) -> bool:
        """Whether nothing is left of it, removals included."""
        return not self.parts and not self.clears
