"""The objects of one replica, and what changed in them since the last commit.

Every change of a part goes through `put`, which keeps what is derived: how many parts of an object show something,
where removals wait to be forgotten, and the journal of what each changed part was before. From the journal,
`take_changes` yields the records to persist and carries the digest forward: it costs what changed. Until `confirm`, the
journal stays as `in_flight`: from it `crdt_core.confirmed` shows what was there before.

The digest is a sum of a hash over each part's lasting siblings, so it does not depend on the order of changes:
replicas with equal clocks have equal digests, or something is wrong.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from crdt_core.objects import Object
from crdt_core.records import Record, emptied_record, encode_part, object_record, part_record
from crdt_core.siblings import Roster, fold, has_removal, lasting
from crdt_core.types import View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from crdt_core.clocks import VersionVector
    from crdt_core.deltas import Address
    from crdt_core.siblings import PackedDot, Siblings
    from crdt_core.types import CrdtType

__all__ = ["Catalogue"]

_DIGEST_BYTES = 8
_DIGEST_MASK = (1 << 8 * _DIGEST_BYTES) - 1


class Catalogue:
    """All objects of a replica by key. `digest` speaks of the state at the last `take_changes`.

    `markers`: the addresses that hold removals, oldest first. `expiring`: the keys that may have a deadline. `size`:
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
        "markers",
        "objects",
        "roster",
        "size",
    )

    def __init__(self) -> None:
        self.roster = Roster()
        self.objects: dict[bytes, Object] = {}
        self.digest = 0
        self.markers: dict[Address, None] = {}
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
        return next((link for link in head.rivals if link.type.name == type_name), None)

    def ensure(self, key: bytes, type_: CrdtType) -> Object:
        """The object of this type under `key`, made where there is none."""
        found = self.find(key, type_.name)
        if found is None:
            found = Object(key, type_)
            self._list(found)
            self._relisted[key] = None
            if type_.attribute:
                self.expiring[key] = None
        return found

    def _list(self, found: Object) -> None:
        """Adds an object to those under its key: the first one heads them, unless it is an attribute."""
        head = self.objects.setdefault(found.key, found)
        if head.type.attribute and not found.type.attribute:
            self.objects[found.key], found.rivals, head.rivals = found, [head, *head.rivals], ()
        elif head is not found:
            head.rivals = [*head.rivals, found]

    def showing(self, key: bytes) -> list[Object]:
        """The objects under `key` that show something; the first prevails, the others are conflicts of type."""
        head = self.objects.get(key)
        return head.showing() if head else []

    def view(self, found: Object | None) -> View:
        """What mutators and queries see of it."""
        return View(found.parts if found else {}, self.roster)

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

    def unwatch(self, changed: dict[Address, None]) -> None:
        """Ends a record; again is no harm."""
        self._watches = [watched for watched in self._watches if watched is not changed]

    def put(self, found: Object, part: bytes, siblings: Siblings) -> None:
        """Sets the siblings of one part."""
        address = (found.key, found.type.name, part)
        before = found.adopt(part, siblings)
        if before != siblings:
            self._journal.setdefault(address, before)
            self._mark(address, has_removal(siblings))
            self.size += (siblings is not None) - (before is not None)
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
                if has_removal(siblings):
                    self.markers[link.key, link.type.name, part] = None
            if link.clears:
                self.markers[link.key, link.type.name, None] = None

    def take_changes(self) -> list[Record]:
        """The records that persist everything changed since the last call; the digest follows."""
        journal, relisted = self._journal, self._relisted
        self._journal, self._relisted, self.in_flight = {}, {}, journal
        records: list[Record] = []
        emptied: dict[tuple[bytes, str], Record] = {}
        for (key, type_name, part), before in journal.items():
            head, link = self.objects[key], self.find(key, type_name)
            assert link is not None
            self.digest += self._weight(link, part, link.parts.get(part)) - self._weight(link, part, before)
            if link.empty or not link.type.collection:
                relisted[key] = None
            if link.type.collection:
                if link.parts:
                    records.append(part_record(head, link, part, self.roster))
                else:
                    emptied[key, type_name] = emptied_record(head, link)
        self.digest &= _DIGEST_MASK
        for key in relisted:
            self._prune(self.objects[key])
            record = object_record(self.objects[key], self.roster)
            if record.value is None:
                del self.objects[key]
            records.append(record)
        return [*records, *emptied.values()]

    def has_changed(self, keys: AbstractSet[bytes]) -> bool:
        """Whether a change under one of `keys` waits for `take_changes`; it costs what has changed."""
        return any(key in keys for key, _, _ in self._journal) or not keys.isdisjoint(self._relisted)

    def confirm(self) -> None:
        """What `take_changes` yielded last is persisted."""
        self.in_flight = {}

    def records(self) -> Iterator[Record]:
        """The records that hold everything, for a store that holds nothing; no changes meanwhile."""
        for head in self.objects.values():
            yield object_record(head, self.roster)
            for link in head.chain():
                if link.type.collection:
                    yield from (part_record(head, link, part, self.roster) for part in link.parts)

    def _prune(self, head: Object) -> None:
        """Drops rivals of which nothing is left."""
        if head.rivals:
            head.rivals = [link for link in head.rivals if not link.empty]
        if head.key in self.expiring and not any(link.type.attribute and not link.empty for link in head.chain()):
            del self.expiring[head.key]

    def _mark(self, address: Address, marked: bool) -> None:
        if marked:
            self.markers[address] = None
        elif self.markers:
            self.markers.pop(address, None)

    def _weight(self, link: Object, part: bytes, siblings: Siblings) -> int:
        if type(siblings) is not int:
            siblings = fold(lasting(siblings))
        if siblings is None:
            return 0
        head = b"%d:%s%s:%d:%s" % (len(link.key), link.key, link.type.name.encode(), len(part), part)
        weight = blake2b(head + encode_part(link, siblings, self.roster), digest_size=_DIGEST_BYTES)
        return int.from_bytes(weight.digest(), "big")
