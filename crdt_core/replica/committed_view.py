"""What a replica shows while a commit is under way: the objects as they were at the last confirmed commit.

A turn changes the replica in memory before the store has confirmed it, and a read must not show what may never have
happened. The catalogue keeps what each part was before the turn in flight (`in_flight`); a key that is listed there is
read from a copy of its object with those parts put back. Any other key is read as it stands, and costs nothing extra.

Clears are not put back: they show nothing by themselves, and the parts that they emptied are listed.

    >>> from crdt_core.replica.replica import Replica
    >>> from crdt_core.lattice.clocks import Stamp
    >>> from crdt_core.types import ORSET
    >>> n1 = Replica("n1")
    >>> before = CommittedView(n1.catalogue)
    >>> n1.write(b"fruit", ORSET, b"fig", True); _ = n1.commit(Stamp(1, 0)); _ = n1.take_changes()
    >>> n1.value(b"fruit"), before.value(b"fruit")
    ([b'fig'], None)
    >>> n1.catalogue.confirm(); before.value(b"fruit")
    [b'fig']
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from crdt_core.types import TYPES, View
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.catalogue import Catalogue
    from crdt_core.types import CrdtType

__all__ = ["CommittedView"]

Before = list[tuple[str, bytes, "Siblings"]]
"""What parts of one key were: (type name, part, siblings)."""


class CommittedView:
    """The objects of `catalogue` as its last confirmed commit left them. To be used between turns, not within one."""

    __slots__ = ("_before", "_catalogue", "_of", "_rewound")

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._of: object = None
        self._before: dict[bytes, Before] = {}
        self._rewound: dict[bytes, Object] = {}

    @property
    def replica_index(self) -> ReplicaIndex:
        """The ids behind packed dots."""
        return self._catalogue.replica_index

    def showing(self, key: bytes) -> list[Object]:
        """The objects under `key` that show something; the first prevails, the others are conflicts of type."""
        head = self.head(key)
        return head.showing() if head else []

    def view(self, key: bytes, type_: CrdtType) -> View:
        """What queries of `type_` see under `key`."""
        head = self.head(key)
        found = next((link for link in head.chain() if link.type is type_), None) if head else None
        return self._catalogue.view(found)

    def value(self, key: bytes) -> Any:
        """The value of the object that prevails under `key`; `None` where there is none."""
        showing = self.showing(key)
        return showing[0].type.value(self._catalogue.view(showing[0])) if showing else None

    def keys(self) -> Iterator[bytes]:
        """Every key that holds anything, or held it then."""
        objects = self._catalogue.objects
        if not self._catalogue.in_flight:
            return iter(objects)
        self._follow()
        return chain(objects, (key for key in self._before if key not in objects))

    def head(self, key: bytes) -> Object | None:
        """The first made of the objects under `key`; the others are its rivals."""
        head = self._catalogue.objects.get(key)
        if not self._catalogue.in_flight:
            return head
        self._follow()
        if key not in self._before:
            return head
        if key not in self._rewound:
            self._rewound[key] = _rewind(key, head, self._before[key])
        return self._rewound[key]

    def _follow(self) -> None:
        """Groups what the turn in flight has changed by key, once for each turn that is read from."""
        changed = self._catalogue.in_flight
        if self._of is changed:
            return
        self._of, self._before, self._rewound = changed, {}, {}
        for (key, type_name, part), siblings in changed.items():
            self._before.setdefault(key, []).append((type_name, part, siblings))


def _rewind(key: bytes, head: Object | None, before: Before) -> Object:
    """A copy of `head` and its rivals (none: all of them were emptied) whose changed parts are as they were."""
    links = {link.type.name: _copy(link) for link in head.chain()} if head else {}
    for type_name, part, siblings in before:
        link = links.setdefault(type_name, Object(key, TYPES[type_name]))
        link.adopt(part, siblings)
    first, *type_conflicts = links.values()
    first.type_conflicts = type_conflicts
    return first


def _copy(link: Object) -> Object:
    copy = Object(link.key, link.type)
    copy.parts, copy.clears, copy.live = link.parts.copy(), link.clears, link.live
    return copy
