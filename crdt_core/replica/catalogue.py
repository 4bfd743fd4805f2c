"""The objects of one replica, and what changed in them since the last commit.

Every change of a part goes through `put`, which keeps what is derived: how many parts of an object show something,
where removals wait to be forgotten, and the journal of what each changed part was before. From the journal,
`take_changes` yields the records to persist and carries the digest forward: it costs what changed. Until `confirm`, the
journal stays as `in_flight`: from it `crdt_core.replica.committed_view` shows what was there before.

Each part is encoded once in it: the same bytes are persisted and, for the digest, weighed (`crdt_core.replica.digest`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.records import STATE, Changes, encode_link, encode_part, object_record, part_record, parts_hash
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import has_tombstone, shows
from crdt_core.replica.digest import DIGEST_MASK, part_weight, slots_weight
from crdt_core.types import View
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from crdt_core.codec.records import Record
    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import PackedDot
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types import CrdtType

__all__ = ["Catalogue"]


class Catalogue:
    """All objects of a replica by key. `digest` speaks of the state at the last `take_changes`.

    `tombstones`: the addresses that hold removals, oldest first. `expiring`: the keys that may have a deadline. `size`:
    how many parts there are. `in_flight`: what the parts that the last `take_changes` persists were before, as long as
    it is not confirmed; asking for the next ones implies that it is.
    """

    __slots__ = (
        "_journal",
        "_relisted",
        "_watches",
        "digest",
        "expiring",
        "in_flight",
        "objects",
        "replica_index",
        "size",
        "tombstones",
    )

    def __init__(self) -> None:
        self.replica_index = ReplicaIndex()
        self.objects: dict[bytes, Object] = {}
        self.digest = 0
        self.tombstones: dict[Address, None] = {}
        self.expiring: dict[bytes, None] = {}
        self.in_flight: dict[tuple[bytes, str, bytes], Siblings] = {}
        self.size = 0
        self._watches: list[dict[Address, None]] = []
        self._journal: dict[tuple[bytes, str, bytes], Siblings] = {}
        self._relisted: dict[bytes, None] = {}

    def find(self, key: bytes, type_name: str) -> Object | None:
        """The object of this type under `key`."""
        head = self.objects.get(key)
        if head is None or head.type.name == type_name:
            return head
        if not head.type_conflicts:
            return None
        return next((link for link in head.type_conflicts if link.type.name == type_name), None)

    def ensure(self, key: bytes, type_: CrdtType) -> Object:
        """The object of this type under `key`, made where there is none."""
        found = self.find(key, type_.name)
        if found is None:
            found = Object(key, type_)
            found.weight = 0
            self._list(found)
            self._relisted[key] = None
            if type_.attribute:
                self.expiring[key] = None
        return found

    def _list(self, found: Object) -> None:
        """Adds an object to those under its key: the first one heads them, unless it is an attribute."""
        head = self.objects.setdefault(found.key, found)
        if head.type.attribute and not found.type.attribute:
            self.objects[found.key], found.type_conflicts, head.type_conflicts = found, [head, *head.type_conflicts], ()
        elif head is not found:
            head.type_conflicts = [*head.type_conflicts, found]

    def showing(self, key: bytes) -> list[Object]:
        """The objects under `key` that show something; the first prevails, the others are conflicts of type."""
        head = self.objects.get(key)
        return head.showing() if head else []

    def view(self, found: Object | None) -> View:
        """What mutators and queries see of it."""
        return View(found.parts if found else {}, self.replica_index)

    def addresses(self) -> Iterator[Address]:
        """Every part, and every object that has clears.

        It may be read on while they change: what is added or goes meanwhile comes or not, the rest comes once.
        """
        for head in list(self.objects.values()):
            for link in list(head.chain()):
                if link.clears:
                    yield link.key, link.type.name, None
                for part in list(link.parts):
                    yield link.key, link.type.name, part

    def watch(self) -> dict[Address, None]:
        """A record of every address that changes from now on, in whatever way, until it is given to `unwatch`."""
        changed: dict[Address, None] = {}
        self._watches.append(changed)
        return changed

    @property
    def is_watched(self) -> bool:
        """Whether changes are being recorded for somebody."""
        return bool(self._watches)

    def unwatch(self, changed: dict[Address, None]) -> None:
        """Ends a record; again is no harm."""
        self._watches = [watched for watched in self._watches if watched is not changed]

    def put(self, found: Object, part: bytes, siblings: Siblings) -> None:
        """Sets the siblings of one part."""
        self.put_at((found.key, found.type.name, part), found, siblings)

    def put_at(self, address: tuple[bytes, str, bytes], found: Object, siblings: Siblings) -> None:
        """Sets the siblings of the part at `address`, which is one of `found`."""
        parts, part = found.parts, address[2]
        before = parts.get(part)
        if before == siblings:
            return
        if found.weight is None:
            found.weight = slots_weight(found, self.replica_index)
        if siblings is None:
            del parts[part]
            self.size -= 1
        else:
            parts[part] = siblings
            self.size += before is None
        alive = shows(siblings)
        found.live += alive - shows(before)
        self._journal.setdefault(address, before)
        if not alive or type(siblings) is dict:
            self._mark(address, has_tombstone(siblings))
        elif self.tombstones:
            self.tombstones.pop(address, None)
        for changed in self._watches:
            changed[address] = None

    def put_clears(self, found: Object, clears: dict[PackedDot, VersionVector]) -> None:
        """Sets the clears of an object."""
        if clears != found.clears:
            found.clears = clears
            self._relisted[found.key] = None
            self._mark((found.key, found.type.name, None), bool(clears))
            for changed in self._watches:
                changed[found.key, found.type.name, None] = None

    def adopt(self, head: Object) -> None:
        """Takes in an object that is persisted already, and counted in the digest."""
        self.objects[head.key] = head
        for link in head.chain():
            if link.type.attribute:
                self.expiring[head.key] = None
            self.size += len(link.parts)
            for part, siblings in link.parts.items():
                if type(siblings) is not int and has_tombstone(siblings):
                    self.tombstones[link.key, link.type.name, part] = None
            if link.clears:
                self.tombstones[link.key, link.type.name, None] = None

    def take_changes(self) -> Changes:
        """The records that persist everything changed since the last call; the digest follows."""
        journal, relisted = self._journal, self._relisted
        self._journal, self._relisted, self.in_flight = {}, {}, journal
        changes = Changes()
        link: Object | None = None
        for (key, type_name, part), before in journal.items():
            if link is None or link.key != key or link.type.name != type_name:
                link = self.objects[key]
                if link.type.name != type_name:
                    link = self.find(key, type_name)
                    assert link is not None
                if link.type.collection:
                    hash_ = self._begin(link, relisted, changes)
                else:
                    relisted[key] = None
            if link.type.collection:
                self._take_part(link, hash_, part, before, changes)
        state: list[bytes] = []
        for key in relisted:
            head = self.objects[key]
            if not head.parts or head.type_conflicts or head.type.collection:
                self._take_object(head, state, changes)
                continue
            value = encode_link(head, head.parts, self.replica_index)
            is_lasting = not self.tombstones or not any(map(has_tombstone, head.parts.values()))
            assert head.weight is not None, "it was weighed before it was changed"
            weight = slots_weight(head, self.replica_index, value if is_lasting else None)
            self.digest += weight - head.weight
            head.weight = weight
            state.append(key)
            state.append(value)
        if state:
            changes.written[STATE] = state
        self.digest &= DIGEST_MASK
        return changes

    def _begin(self, link: Object, relisted: dict[bytes, None], changes: Changes) -> bytes:
        """The hash that changed parts of a collection go to, if it has any left."""
        hash_ = parts_hash(self.objects[link.key], link)
        if not link.parts:
            changes.dropped[hash_] = None
            if link.empty:
                relisted[link.key] = None
        return hash_

    def _take_part(self, link: Object, hash_: bytes, part: bytes, before: Siblings, changes: Changes) -> None:
        siblings, replica_index = link.parts.get(part), self.replica_index
        if siblings is not None:
            value = encode_part(link.type, siblings, replica_index)
            changes.written.setdefault(hash_, []).extend((part, value))
            self.digest += part_weight(link, part, siblings, replica_index, value)
        elif link.parts:
            changes.removed.setdefault(hash_, []).append(part)
        if before is not None:
            self.digest -= part_weight(link, part, before, replica_index)

    def _take_object(self, head: Object, state: list[bytes], changes: Changes) -> None:
        """Adds the record of an object and its rivals to `state`, or to what is removed."""
        for link in head.chain():
            if link.weight is not None and not link.type.collection:
                self._weigh(link)
        self._prune(head)
        _, key, found = object_record(head, self.replica_index)
        assert key is not None
        if found is None:
            changes.removed.setdefault(STATE, []).append(key)
            del self.objects[key]
        else:
            state.extend((key, found))

    def _weigh(self, link: Object) -> None:
        assert link.weight is not None, "it was weighed before it was changed"
        weight = slots_weight(link, self.replica_index)
        self.digest += weight - link.weight
        link.weight = weight

    def has_changed(self, keys: AbstractSet[bytes]) -> bool:
        """Whether a change under one of `keys` waits for `take_changes`; it costs what has changed."""
        return any(key in keys for key, _, _ in self._journal) or not keys.isdisjoint(self._relisted)

    def confirm(self) -> None:
        """What `take_changes` yielded last is persisted."""
        self.in_flight = {}

    def records(self) -> Iterator[Record]:
        """The records that hold everything, for a store that holds nothing; no changes meanwhile."""
        for head in self.objects.values():
            yield object_record(head, self.replica_index)
            for link in head.chain():
                if link.type.collection:
                    yield from (part_record(head, link, part, self.replica_index) for part in link.parts)

    def _prune(self, head: Object) -> None:
        """Drops rivals of which nothing is left."""
        if head.type_conflicts:
            head.type_conflicts = [link for link in head.type_conflicts if not link.empty]
        if head.key in self.expiring and not any(link.type.attribute and not link.empty for link in head.chain()):
            del self.expiring[head.key]

    def _mark(self, address: Address, marked: bool) -> None:
        if marked:
            self.tombstones[address] = None
        elif self.tombstones:
            self.tombstones.pop(address, None)
