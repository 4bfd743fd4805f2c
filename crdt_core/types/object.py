"""One object: a typed set of parts, and the objects of other types that were made under the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.siblings import shows
from crdt_core.lattice.split_dict import SplitDict

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.replica_index import PackedDot
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.contract import CrdtType

__all__ = ["SPLIT_FROM", "Object"]

SPLIT_FROM = 1 << 15
"""So many parts are spread over many small dicts, which takes 9 ms."""


class Object:
    """One object of one type under one key.

    `parts` has the siblings of each part by its name: in one dict or, if there are many, in a `SplitDict`. `clears` has
    `{dot: deps}` of each delete that is not stable. `live` counts the parts that show. `counted_hash` is what an object
    that is no collection has added to the digest, `None` as long as nobody had to know.

    The object that was made first under a key is its *head*. `type_conflicts` of the head are the other objects under
    the key: those of other types, made concurrently, and attributes.
    """

    __slots__ = ("clears", "counted_hash", "key", "live", "parts", "type", "type_conflicts")

    def __init__(self, key: bytes, type_: CrdtType) -> None:
        self.key = key
        self.type = type_
        self.parts: MutableMapping[bytes, Siblings] = {}
        self.clears: dict[PackedDot, VersionVector] = {}
        self.live = 0
        self.counted_hash: int | None = 0 if type_.collection else None
        self.type_conflicts: Sequence[Object] = ()

    def chain(self) -> Iterator[Object]:
        """Iterate over this object and its type conflicts."""
        yield self
        yield from self.type_conflicts

    def showing(self) -> list[Object]:
        """Return the objects of the chain that show, attributes left out. The first prevails over the others."""
        if not self.type_conflicts:
            return [self] if self.live and not self.type.attribute else []
        shown = (link for link in self.chain() if link.live and not link.type.attribute)
        return sorted(shown, key=lambda link: link.type.rank)

    def adopt(self, part: bytes, siblings: Siblings) -> None:
        """Set the siblings of one part."""
        before = self.parts.get(part)
        if siblings is None:
            self.parts.pop(part, None)
        else:
            self.parts[part] = siblings
            if before is None:
                self.make_room()
        self.live += shows(siblings) if before is None else shows(siblings) - shows(before)

    def walk(self) -> Iterator[bytes]:
        """Iterate over the parts. Those that are added or removed meanwhile come or not, all others once."""
        return self.parts.walk() if isinstance(self.parts, SplitDict) else iter(list(self.parts))

    def make_room(self) -> None:
        """See to it that the next part finds room at once, however many there are. To be called for each new one."""
        if len(self.parts) >= SPLIT_FROM and type(self.parts) is dict:
            self.parts = SplitDict(self.parts)

    @property
    def empty(self) -> bool:
        """Return whether nothing is left of the object, tombstones included."""
        return not self.parts and not self.clears
