"""All objects of one replica: what stands where, and what changed in them since the last commit.

Every change of a part goes through `put`. `put` keeps up to date what is derived from the parts: how many parts of an
object show something, and where tombstones wait to be forgotten. It also keeps a journal: for each changed part, its
siblings before the change. `crdt_core.replica.catalogue` makes the records to persist from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from crdt_core.lattice.deltas import PatchPart, checksum
from crdt_core.lattice.replica_index import ReplicaIndex, covered
from crdt_core.lattice.siblings import has_tombstone, shows, unfold
from crdt_core.lattice.split_dict import SplitDict
from crdt_core.replica.digest import object_hash
from crdt_core.replica.discards import Discards
from crdt_core.replica.round_robin import RoundRobin
from crdt_core.replica.scan_index import ScanIndex
from crdt_core.types import View
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import DenseClock, PackedDot
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types import CrdtType

__all__ = ["Objects"]


class Objects:
    """All objects of one replica.

    `heads` maps each key to its head, the object that was made first there; `Object.chain` gives the type conflicts,
    too. `tombstones` maps the addresses with tombstones to what each adds to `removals`, the sum of their hashes at the
    last commit. `expiring` holds the keys that may have a deadline. `size` is the number of parts. `scan_index` orders
    and counts the keys. `discards` takes what large work leaves behind.
    """

    __slots__ = (
        "_journal",
        "_stale_keys",
        "_watches",
        "discards",
        "expiring",
        "heads",
        "removals",
        "replica_index",
        "scan_index",
        "size",
        "tombstones",
    )

    def __init__(self) -> None:
        self.replica_index = ReplicaIndex()
        self.heads: SplitDict[Object] = SplitDict()
        self.discards = Discards()
        self.scan_index = ScanIndex(self.discards)
        self.tombstones: RoundRobin[Address, int] = RoundRobin(checksum)
        self.removals = 0
        self.expiring: RoundRobin[bytes, None] = RoundRobin(crc32)
        self.size = 0
        self._watches: list[dict[Address, Siblings]] = []
        self._journal: dict[tuple[bytes, str, bytes], Siblings] = {}
        self._stale_keys: dict[bytes, None] = {}

    def find(self, key: bytes, type_name: str) -> Object | None:
        """Return the object of type `type_name` under `key`, or `None`."""
        head = self.heads.get(key)
        if head is None or head.type.name == type_name:
            return head
        if not head.type_conflicts:
            return None
        return next((other for other in head.type_conflicts if other.type.name == type_name), None)

    def ensure(self, key: bytes, type_: CrdtType) -> Object:
        """Return the object of type `type_` under `key`. It is made if there is none."""
        found = self.find(key, type_.name)
        if found is None:
            found = Object(key, type_)
            found.counted_hash = 0
            self._add(found)
            self._stale_keys[key] = None
            if type_.attribute:
                self.expiring[key] = None
        return found

    def _add(self, new: Object) -> None:
        """Add an object to those under its key. It becomes the head if there are none, or only attributes."""
        head = self.heads.setdefault(new.key, new)
        if head is new:
            self.scan_index.keys.add(new.key)
        if head.type.attribute and not new.type.attribute:
            self.heads[new.key], new.type_conflicts, head.type_conflicts = new, [head, *head.type_conflicts], ()
        elif head is not new:
            head.type_conflicts = [*head.type_conflicts, new]

    def showing(self, key: bytes) -> list[Object]:
        """Return the objects under `key` that show something. The first one prevails, the others are type conflicts."""
        head = self.heads.get(key)
        return head.showing() if head else []

    def view(self, found: Object | None) -> View:
        """Return what mutators and queries see of `found`. For `None`, that is an object without parts."""
        return View(found.parts if found else {}, self.replica_index)

    def addresses(self) -> Iterator[Address]:
        """Yield the address of every part, and of the clears of every object that has some, in the order of a scan.

        The catalogue may change while the caller iterates. An address that is added or removed meanwhile is yielded or
        not; every other address is yielded once. Each step costs the same.
        """
        for key in self.scan_index.keys.walk():
            head = self.heads.get(key)
            for object_ in () if head is None else list(head.chain()):
                if object_.clears:
                    yield object_.key, object_.type.name, None
                for part in object_.walk():
                    yield object_.key, object_.type.name, part

    def siblings(self, address: Address) -> dict[PackedDot, Payload]:
        """Return the siblings of one part, or the clears of one object. The caller must not change the dict."""
        key, type_name, part = address
        found = self.find(key, type_name)
        if found is None:
            return {}
        return found.clears if part is None else unfold(found.get(part))

    def listing(self, address: Address, siblings: Siblings) -> PatchPart:
        """Return `siblings` of `address` in the form that a patch has them."""
        unpack = self.replica_index.unpack
        return PatchPart(*address, {unpack(dot): payload for dot, payload in unfold(siblings).items()})

    def lacks(self, seen: DenseClock, address: Address) -> bool:
        """Return whether a replica at clock `seen` lacks something of what stands at `address`."""
        return any(not covered(dot, seen) for dot in self.siblings(address))

    def watch(self) -> dict[Address, Siblings]:
        """Return a dict that collects every address that changes from now on, in whatever way.

        It maps the address to the siblings, or the clears, that were there before the first change. Each change costs
        something extra until the dict is given to `unwatch`.
        """
        changed: dict[Address, Siblings] = {}
        self._watches.append(changed)
        return changed

    @property
    def is_watched(self) -> bool:
        """Whether a dict that `watch` returned still collects changes."""
        return bool(self._watches)

    def unwatch(self, changed: dict[Address, Siblings]) -> None:
        """Stop collecting into `changed`, which `watch` returned. Idempotent."""
        self._watches = [watched for watched in self._watches if watched is not changed]

    def put(self, found: Object, part: bytes, siblings: Siblings) -> None:
        """Set the siblings of `part` of `found`; `None` removes the part."""
        self.put_at((found.key, found.type.name, part), found, siblings)

    def put_at(self, address: tuple[bytes, str, bytes], found: Object, siblings: Siblings) -> None:
        """Do the same as `put`, for a caller that has the address of the part at hand."""
        part = address[2]
        before = found.held if part == found.only else found.get(part)
        if before == siblings:
            return
        if found.counted_hash is None:
            found.counted_hash = object_hash(found, self.replica_index)
        if siblings is not None and part == found.only:
            found.held = siblings
        else:
            found.put(part, siblings)
        if siblings is None:
            self.size -= 1
            if self.scan_index.parts.kept:
                self.scan_index.parts.remove(address)
        elif before is None:
            self.size += 1
            if self.scan_index.parts.kept:
                self.scan_index.parts.add(address)
        self._journal.setdefault(address, before)
        if type(before) is not tuple or type(siblings) is not tuple or type(before[1]) is not type(siblings[1]):
            # Else the new payload shows, or is a tombstone, as the one before: a payload's type decides that.
            self._note_change(address, found, before, siblings)
        for changed in self._watches:
            changed.setdefault(address, before)

    def _note_change(self, address: Address, found: Object, before: Siblings, siblings: Siblings) -> None:
        """Note whether the part shows now, and whether it has a tombstone."""
        alive = shows(siblings)
        self.set_live(found, found.live + alive - shows(before))
        if not alive or type(siblings) is dict:
            self._note_tombstone(address, has_tombstone(siblings))
        elif self.tombstones.size:
            self.removals -= self.tombstones.pop(address, 0)

    def set_live(self, found: Object, live: int) -> None:
        """Set how many parts of `found` show, and note whether its key shows."""
        if (live > 0) is (found.live > 0):
            found.live = live
            return
        head = self.heads[found.key]
        before = bool(head.showing())
        found.live = live
        self.scan_index.note(found.key, before, bool(head.showing()))

    def put_clears(self, found: Object, clears: dict[PackedDot, VersionVector]) -> None:
        """Set the clears of `found`, as `{dot: deps}`."""
        if clears != found.clears:
            for changed in self._watches:
                changed.setdefault((found.key, found.type.name, None), found.clears)
            found.clears = clears
            self._stale_keys[found.key] = None
            self._note_tombstone((found.key, found.type.name, None), bool(clears))

    def _note_tombstone(self, address: Address, present: bool) -> None:
        if present:
            self.tombstones.setdefault(address, 0)
        elif self.tombstones.size:
            self.removals -= self.tombstones.pop(address, 0)

    def has_changed(self, keys: AbstractSet[bytes]) -> bool:
        """Return whether something under one of `keys` has changed since the last `take_changes`.

        The cost depends on what changed, not on the number of keys.
        """
        return any(key in keys for key, _, _ in self._journal) or not keys.isdisjoint(self._stale_keys)
