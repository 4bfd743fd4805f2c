"""The committed view: the objects of a replica as the last confirmed commit left them, while the next is under way.

A turn changes the replica in memory before the store has confirmed the commit. A read must not show a write that may
never happen. The catalogue keeps what each part was before the turn in flight (`in_flight`). A key that is listed there
is read with those parts put back: over its collections as they are now, and in a copy of any other object, which has
few parts. So a read of a member costs no more than what the turn has changed of the key. Any other key is read in
place, at no extra cost.

The view has what a command's session reads: `head`, `keys` and `replica_index`, as a replica has them.

Clears are not put back: a clear shows nothing by itself, and the parts that it emptied are listed.

    >>> from crdt_core.replica.replica import Replica
    >>> from crdt_core.lattice.clocks import Stamp
    >>> from crdt_core.types import ORSET
    >>> n1 = Replica("n1")
    >>> before = CommittedView(n1.catalogue)
    >>> n1.write(b"fruit", ORSET, b"fig", True); _ = n1.commit(Stamp(1, 0)); _ = n1.take_changes()
    >>> n1.head(b"fruit").live, before.head(b"fruit").live
    (1, 0)
    >>> n1.catalogue.in_flight = {}; before.head(b"fruit").live
    1
"""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING

from crdt_core.lattice.siblings import shows
from crdt_core.replica.sharded import Sharded
from crdt_core.types import TYPES
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.catalogue import Catalogue
    from crdt_core.replica.scan_order import ScanOrder
    from crdt_core.replica.sharded import Gathered

__all__ = ["CommittedView"]

_LARGE = 100
"""Of so many changed parts, an object is made at once."""

Before = list[tuple[str, bytes, "Siblings"]]
"""What the changed parts of one key were: (type name, part, siblings)."""


class CommittedView:
    """The objects of `catalogue` as its last confirmed commit left them. It is read between turns, never within one."""

    __slots__ = ("_before", "_catalogue", "_followed", "_of", "_rewound")

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._of: object = None
        self._followed = 0
        self._before: Gathered[bytes, Before] = {}
        self._rewound: dict[bytes, Object] = {}

    @property
    def replica_index(self) -> ReplicaIndex:
        """The ids behind packed dots."""
        return self._catalogue.replica_index

    @property
    def order(self) -> ScanOrder:
        """All keys in the order of a scan, without those that the turn in flight has removed: they are about to go."""
        return self._catalogue.scan_index.keys

    @property
    def shown(self) -> int:
        """How many keys show something, expired ones included."""
        index = self._catalogue.scan_index
        return index.shown_before if self._catalogue.in_flight else index.shown

    def part_order_by_step(self, found: Object) -> Generator[None, None, ScanOrder]:
        """Return the order of the parts of `found`, a collection, without those that the turn in flight has removed."""
        now = self._catalogue.find(found.key, found.type.name) or Object(found.key, found.type)
        return self._catalogue.scan_index.parts.make_by_step(now)

    def keys(self) -> Iterator[bytes]:
        """Yield every key that holds anything, or held something at the last confirmed commit."""
        objects = self._catalogue.heads
        if not self._catalogue.in_flight:
            return iter(objects)
        self.follow()
        return chain(objects, (key for key in self._before if key not in objects))

    def head(self, key: bytes) -> Object | None:
        """Return the first object made under `key`; the objects of other types there are its `type_conflicts`."""
        head = self._catalogue.heads.get(key)
        if not self._catalogue.in_flight:
            return head
        self.follow()
        if key not in self._before:
            return head
        if key not in self._rewound:
            self._rewound[key] = _rewind(key, head, self._before[key])
        return self._rewound[key]

    def discard(self) -> None:
        """Let go of what a large commit has changed: it is confirmed."""
        self._catalogue.discards.add(self._before, self._rewound)
        self._of, self._before, self._rewound = None, {}, {}

    def follow(self) -> None:
        """Group by key what the turn in flight has changed, as far as that has not been done: a read needs all of it.

        What has changed only grows, where a turn is prepared in slices. An object that was read before stays right: the
        parts are put back in it, too. So an object of which much has changed is made before anybody reads it.
        """
        changed = self._catalogue.in_flight
        if self._of is not changed:
            self._of, self._followed, self._rewound = changed, 0, {}
            self._before = Sharded() if isinstance(changed, Sharded) else {}
        if self._followed == len(changed):
            return
        latest = list(islice(reversed(changed), len(changed) - self._followed))
        self._followed = len(changed)
        large: dict[bytes, None] = {}
        for address in reversed(latest):
            (key, type_name, part), siblings = address, changed[address]
            rewound = self._rewound.get(key)
            if rewound is None:
                before = self._before.setdefault(key, [])
                before.append((type_name, part, siblings))
                if len(before) > _LARGE:
                    large[key] = None
                continue
            for link in rewound.chain():
                if link.type.name == type_name:
                    _put_back(link, part, siblings)
        for key in large:
            self._rewound[key] = _rewind(key, self._catalogue.heads.get(key), self._before[key])


class _PartsBefore(Mapping[bytes, "Siblings"]):
    """The parts of a collection before the turn in flight: those in `before`, and for all others those of `now`.

    `before` has `None` for a part that was not there.
    """

    __slots__ = ("_now", "before")

    def __init__(self, now: Object) -> None:
        self._now = now
        self.before: dict[bytes, Siblings] = {}

    def __getitem__(self, part: bytes) -> Siblings:
        siblings = self.before[part] if part in self.before else self._now.get(part)
        if siblings is None:
            raise KeyError(part)
        return siblings

    def __iter__(self) -> Iterator[bytes]:
        return (part for part, _ in self.pairs())

    def __len__(self) -> int:
        now, before = self._now, self.before
        return now.size + sum((held is not None) - (now.get(part) is not None) for part, held in before.items())

    def items(self) -> ItemsView[bytes, Siblings]:
        """Return all parts with their siblings; to go through them costs little more than with a dict."""
        return _Pairs(self)

    def pairs(self) -> Iterator[tuple[bytes, Siblings]]:
        """Yield all parts with their siblings."""
        before = self.before
        unchanged = (pair for pair in self._now.parts.items() if pair[0] not in before)
        return chain(unchanged, (pair for pair in before.items() if pair[1] is not None))


class _Pairs(ItemsView[bytes, "Siblings"]):
    _mapping: _PartsBefore

    def __iter__(self) -> Iterator[tuple[bytes, Siblings]]:
        return self._mapping.pairs()


def _rewind(key: bytes, head: Object | None, before: Before) -> Object:
    """Return `head` and its type conflicts with the changed parts as they were.

    Without a `head`, the turn has emptied all of them: they are made anew.
    """
    links = {link.type.name: _readable(link) for link in head.chain()} if head else {}
    for type_name, part, siblings in before:
        link = links.setdefault(type_name, Object(key, TYPES[type_name]))
        link.live += shows(siblings) - shows(link.get(part))
        _put_back(link, part, siblings)
    first, *type_conflicts = links.values()
    first.type_conflicts = type_conflicts
    return first


def _readable(link: Object) -> Object:
    """Return an object that reads as `link`, and in which parts can be put back without a change of `link`."""
    readable = Object(link.key, link.type)
    readable.clears, readable.live = link.clears, link.live
    if link.type.collection:
        # Nobody writes to what readers are shown.
        readable.parts = _PartsBefore(link)
    else:
        for part, siblings in link.parts.items():
            readable.put(part, siblings)
    return readable


def _put_back(link: Object, part: bytes, siblings: Siblings) -> None:
    """Have `link`, which is readable, show `siblings` as those of `part`."""
    parts: object = link.parts
    if isinstance(parts, _PartsBefore):
        parts.before[part] = siblings
    else:
        link.put(part, siblings)
