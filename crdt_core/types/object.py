"""One object: a typed set of parts, and the objects of other types that were made under the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from crdt_core.lattice.siblings import shows
from crdt_core.lattice.split_dict import SplitDict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.replica_index import PackedDot
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.contract import CrdtType

__all__ = ["SPLIT_FROM", "Object"]

SPLIT_FROM = 1 << 15
"""So many parts are spread over many small dicts, which takes 9 ms."""


class Object:
    """One object of one type under one key.

    An object is *flat* as long as it has not had two parts at once, as most never do: it has the name of its part in
    `only` and the siblings in `held`, or `None` in both. Otherwise its parts are in `many`, by name: in one dict or, if
    there are a great many, in a `SplitDict`. Whoever is not in a hurry reads `parts`, which says the same of both
    forms. Parts are changed by `put` and `adopt` alone.

    `live` counts the parts that show. `counted_hash` is what an object that is no collection has added to the digest,
    `None` as long as nobody had to know.

    The object that was made first under a key is its *head*. `type_conflicts` of the head are the other objects under
    the key: those of other types, made concurrently, and attributes.
    """

    __slots__ = ("_clears", "counted_hash", "held", "key", "live", "many", "only", "type", "type_conflicts")

    def __init__(self, key: bytes, type_: CrdtType) -> None:
        self.key = key
        self.type = type_
        self.only: bytes | None = None
        self.held: Siblings = None
        self.many: MutableMapping[bytes, Siblings] | None = None
        self._clears: dict[PackedDot, VersionVector] | None = None
        self.live = 0
        self.counted_hash: int | None = 0 if type_.collection else None
        self.type_conflicts: Sequence[Object] = ()

    @property
    def parts(self) -> Mapping[bytes, Siblings]:
        """The siblings of each part by its name, as they are now: after the next change, they have to be read again."""
        if self.many is not None:
            return self.many
        return {} if self.only is None else {self.only: self.held}

    @parts.setter
    def parts(self, parts: Mapping[bytes, Siblings]) -> None:
        """Replace all parts by `parts`, which belong to the object from now on."""
        if type(parts) is dict and len(parts) < 2:
            ((self.only, self.held),) = parts.items() or ((None, None),)
            self.many = None
        else:
            self.only = self.held = None
            self.many = cast("MutableMapping[bytes, Siblings]", parts)

    @property
    def clears(self) -> dict[PackedDot, VersionVector]:
        """`{dot: deps}` of each delete that is not stable. It is replaced by another one, never changed."""
        return {} if self._clears is None else self._clears

    @clears.setter
    def clears(self, clears: dict[PackedDot, VersionVector]) -> None:
        self._clears = clears or None

    def get(self, part: bytes) -> Siblings:
        """Return the siblings of `part`, `None` if there are none."""
        if self.many is not None:
            return self.many.get(part)
        return self.held if part == self.only else None

    def put(self, part: bytes, siblings: Siblings) -> None:
        """Set the siblings of `part`, which may be the first ones; `None` removes it."""
        many = self.many
        if many is None:
            if part == self.only or self.only is None:
                self.only, self.held = (None, None) if siblings is None else (part, siblings)
            elif siblings is not None:
                self.many = {self.only: self.held, part: siblings}
                self.only = self.held = None
        elif siblings is None:
            many.pop(part, None)
        else:
            many[part] = siblings
            if len(many) >= SPLIT_FROM and type(many) is dict:
                self.many = SplitDict(many)

    def adopt(self, part: bytes, siblings: Siblings) -> None:
        """Set the siblings of one part, and count it if it shows."""
        self.live += shows(siblings) - shows(self.get(part))
        self.put(part, siblings)

    @property
    def size(self) -> int:
        """How many parts there are, those that do not show included."""
        return int(self.only is not None) if self.many is None else len(self.many)

    @property
    def empty(self) -> bool:
        """Return whether nothing is left of the object, tombstones included."""
        return self.only is None and not self.many and self._clears is None

    def walk(self) -> Iterator[bytes]:
        """Iterate over the parts. Those that are added or removed meanwhile come or not, all others once."""
        return self.many.walk() if isinstance(self.many, SplitDict) else iter(list(self.parts))

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
