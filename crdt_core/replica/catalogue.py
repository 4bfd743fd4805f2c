"""The catalogue: all objects of one replica, and what changed in them since the last commit.

Every change of a part goes through `put`. `put` keeps up to date what is derived from the parts: how many parts of an
object show something, and where tombstones wait to be forgotten. It also keeps a journal: for each changed part, its
siblings before the change.

From the journal, `take_changes` makes the records to persist and carries the digest forward. Its cost depends on what
changed, not on the size of the state. Each changed part is encoded once, and the same bytes are persisted and hashed
for the digest (`crdt_core.replica.digest`).

After `take_changes`, the journal stays available as `in_flight`. Whoever had the commit persisted empties it then.
`crdt_core.replica.committed_view` uses it to show the state before the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from xxhash import xxh3_64_intdigest

from crdt_core.codec.records import STATE, Changes, encode_object, encode_part, object_record, part_record, parts_hash
from crdt_core.lattice.deltas import PatchPart, checksum
from crdt_core.lattice.replica_index import ReplicaIndex, covered
from crdt_core.lattice.siblings import has_tombstone, shows, unfold
from crdt_core.lattice.split_dict import MASK, SplitDict
from crdt_core.replica.digest import DIGEST_MASK, object_hash, part_hash, removal_hash
from crdt_core.replica.discards import Discards
from crdt_core.replica.round_robin import RoundRobin
from crdt_core.replica.scan_index import ScanIndex
from crdt_core.replica.sharded import sharded
from crdt_core.types import View
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from crdt_core.codec.records import Record
    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import DenseClock, PackedDot
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.replica.sharded import Gathered
    from crdt_core.types import CrdtType

__all__ = ["Catalogue"]


class Catalogue:
    """All objects of one replica.

    `objects` maps each key to its head, the object that was made first there; `Object.chain` gives the type conflicts,
    too. `digest` is the digest of the state at the last `take_changes`. `tombstones` maps the addresses with
    tombstones to what each adds to `removals`, the sum of their hashes at that time. `expiring`
    holds the keys that may have a deadline. `size` is the number of parts. `scan_index` orders and counts the keys.

    `in_flight` maps each address that the last `take_changes` persists to the siblings that were there before. Once the
    commit is confirmed, `Node.confirm` empties it: readers are shown the state after the commit from then on. The next
    `take_changes` implies that the last commit is confirmed. `keys_in_flight` holds the keys whose own record the last
    `take_changes` persists. `discards` takes what large work leaves behind.
    """

    __slots__ = (
        "_journal",
        "_stale_keys",
        "_watches",
        "digest",
        "discards",
        "expiring",
        "in_flight",
        "keys_in_flight",
        "objects",
        "removals",
        "replica_index",
        "scan_index",
        "size",
        "tombstones",
    )

    def __init__(self) -> None:
        self.replica_index = ReplicaIndex()
        self.objects: SplitDict[Object] = SplitDict()
        self.discards = Discards()
        self.scan_index = ScanIndex(self.discards)
        self.digest = 0
        self.tombstones: RoundRobin[Address, int] = RoundRobin(checksum)
        self.removals = 0
        self.expiring: RoundRobin[bytes, None] = RoundRobin(crc32)
        self.in_flight: Gathered[tuple[bytes, str, bytes], Siblings] = {}
        self.keys_in_flight: Gathered[bytes, None] = {}
        self.size = 0
        self._watches: list[dict[Address, Siblings]] = []
        self._journal: dict[tuple[bytes, str, bytes], Siblings] = {}
        self._stale_keys: dict[bytes, None] = {}

    def find(self, key: bytes, type_name: str) -> Object | None:
        """Return the object of type `type_name` under `key`, or `None`."""
        head = self.objects.get(key)
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
        head = self.objects.setdefault(new.key, new)
        if head is new:
            self.scan_index.keys.add(new.key)
        if head.type.attribute and not new.type.attribute:
            self.objects[new.key], new.type_conflicts, head.type_conflicts = new, [head, *head.type_conflicts], ()
        elif head is not new:
            head.type_conflicts = [*head.type_conflicts, new]

    def showing(self, key: bytes) -> list[Object]:
        """Return the objects under `key` that show something. The first one prevails, the others are type conflicts."""
        head = self.objects.get(key)
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
            head = self.objects.get(key)
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
        return found.clears if part is None else unfold(found.parts.get(part))

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
        parts, part = found.parts, address[2]
        before = parts.get(part)
        if before == siblings:
            return
        if found.counted_hash is None:
            found.counted_hash = object_hash(found, self.replica_index)
        if siblings is None:
            del parts[part]
            self.size -= 1
            if self.scan_index.parts.kept:
                self.scan_index.parts.remove(address)
        else:
            parts[part] = siblings
            if before is None:
                found.make_room()
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
        head = self.objects[found.key]
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

    def adopt(self, head: Object) -> None:
        """Add the head of a key, with its type conflicts. They are persisted, and counted in the digest, already.

        For objects that were loaded from the store. The parts of collections must have been loaded, too. A key under
        which nothing is left goes with the next `take_changes`.
        """
        self.objects[head.key] = head
        self.scan_index.adopt(head.key, bool(head.showing()))
        if all(object_.empty for object_ in head.chain()):
            self._stale_keys[head.key] = None
        for object_ in head.chain():
            if object_.type.attribute:
                self.expiring[head.key] = None
            self.size += len(object_.parts)
            for part, siblings in object_.parts.items():
                if type(siblings) is not int and has_tombstone(siblings):
                    self._count_removal((object_.key, object_.type.name, part), object_)
            if object_.clears:
                self._count_removal((object_.key, object_.type.name, None), object_)

    def take_changes(self) -> Changes:
        """Return the records that persist everything that changed since the last call, and update the digest."""
        journal, stale_keys, index = self._journal, self._stale_keys, self.scan_index
        self._journal, self._stale_keys, self.in_flight, self.keys_in_flight = {}, {}, journal, stale_keys
        index.shown_before, index.shown_taken = index.shown_taken, index.shown
        if self.tombstones.size:
            self._count_removals(journal, stale_keys)
        changes, objects = Changes(), self.objects.dicts
        object_: Object | None = None
        for (key, type_name, part), before in journal.items():
            if object_ is None or object_.key != key or object_.type.name != type_name:
                object_ = objects[crc32(key) & MASK][key]
                if object_.type.name != type_name:
                    object_ = self.find(key, type_name)
                    assert object_ is not None
                if object_.type.collection:
                    hash_ = self._take_hash(object_, stale_keys, changes)
                else:
                    stale_keys[key] = None
            if object_.type.collection:
                self._take_part(object_, hash_, part, before, changes)
        state: list[bytes] = []
        for key in stale_keys:
            head = objects[crc32(key) & MASK][key]
            if not head.parts or head.type_conflicts or head.type.collection:
                self._take_key(head, state, changes)
                continue
            value = encode_object(head, head.parts, self.replica_index)
            is_lasting = not self.tombstones.size or not any(map(has_tombstone, head.parts.values()))
            assert head.counted_hash is not None, "an object is hashed before its first change"
            if is_lasting:
                new = xxh3_64_intdigest(b"%d:%b%b" % (len(key), key, value))
            else:
                new = object_hash(head, self.replica_index)
            self.digest += new - head.counted_hash
            head.counted_hash = new
            state.append(key)
            state.append(value)
        if state:
            changes.written[STATE] = state
        self.digest &= DIGEST_MASK
        return changes

    def take_slice(self) -> Changes:
        """Do the same as `take_changes`, for one of several calls that share a commit.

        `in_flight` then has what was there before the first of them, and `keys_in_flight` the keys of all of them.
        """
        index = self.scan_index
        shown_before = index.shown_before if self.in_flight else index.shown_taken
        before, keys = sharded(self.in_flight), sharded(self.keys_in_flight)
        changes = self.take_changes()
        for address, siblings in self.in_flight.items():
            before.setdefault(address, siblings)
        for key in self.keys_in_flight:
            keys.setdefault(key, None)
        self.in_flight, self.keys_in_flight, index.shown_before = before, keys, shown_before
        return changes

    def _count_removals(self, addresses: Iterable[Address], keys: Iterable[bytes]) -> None:
        """Count the removals at `addresses`, and the clears of the objects under `keys`, as they are now."""
        for address in addresses:
            if address in self.tombstones:
                found = self.find(address[0], address[1])
                assert found is not None
                self._count_removal(address, found)
        for key in keys:
            for object_ in self.objects[key].chain():
                if object_.clears:
                    self._count_removal((key, object_.type.name, None), object_)

    def _count_removal(self, address: Address, object_: Object) -> None:
        new = removal_hash(object_, address[2], self.replica_index)
        self.removals += new - self.tombstones.get(address, 0)
        self.tombstones[address] = new

    def _take_hash(self, object_: Object, stale_keys: dict[bytes, None], changes: Changes) -> bytes:
        """Return the hash that holds the parts of a collection. If no parts are left, the hash is dropped."""
        hash_ = parts_hash(self.objects[object_.key], object_)
        if not object_.parts:
            changes.dropped[hash_] = None
            if object_.empty:
                stale_keys[object_.key] = None
        return hash_

    def _take_part(self, object_: Object, hash_: bytes, part: bytes, before: Siblings, changes: Changes) -> None:
        siblings, replica_index = object_.parts.get(part), self.replica_index
        if siblings is not None:
            value = encode_part(object_.type, siblings, replica_index)
            changes.written.setdefault(hash_, []).extend((part, value))
            self.digest += part_hash(object_, part, siblings, replica_index, value)
        elif object_.parts:
            changes.removed.setdefault(hash_, []).append(part)
        if before is not None:
            self.digest -= part_hash(object_, part, before, replica_index)

    def _take_key(self, head: Object, state: list[bytes], changes: Changes) -> None:
        """Add the record of a key to `state`, or to the removed fields if nothing is left under the key."""
        for object_ in head.chain():
            if object_.counted_hash is not None and not object_.type.collection:
                self._count_hash(object_)
        self._prune(head)
        _, key, record = object_record(head, self.replica_index)
        assert key is not None
        if record is None:
            changes.removed.setdefault(STATE, []).append(key)
            del self.objects[key]
            self.scan_index.keys.remove(key)
        else:
            state.extend((key, record))

    def _count_hash(self, object_: Object) -> None:
        """Replace what `object_`, which is not a collection, has added to the digest."""
        assert object_.counted_hash is not None, "an object is hashed before its first change"
        new = object_hash(object_, self.replica_index)
        self.digest += new - object_.counted_hash
        object_.counted_hash = new

    def has_changed(self, keys: AbstractSet[bytes]) -> bool:
        """Return whether something under one of `keys` has changed since the last `take_changes`.

        The cost depends on what changed, not on the number of keys.
        """
        return any(key in keys for key, _, _ in self._journal) or not keys.isdisjoint(self._stale_keys)

    def records(self) -> Iterator[Record]:
        """Yield the records that persist the whole state, for a store that holds nothing.

        The catalogue must not change while the caller iterates.
        """
        for head in self.objects.values():
            yield object_record(head, self.replica_index)
            for object_ in head.chain():
                if object_.type.collection:
                    yield from (part_record(head, object_, part, self.replica_index) for part in object_.parts)

    def _prune(self, head: Object) -> None:
        """Drop the type conflicts of which nothing is left."""
        if head.type_conflicts:
            head.type_conflicts = [other for other in head.type_conflicts if not other.empty]
        if head.key in self.expiring and not any(o.type.attribute and not o.empty for o in head.chain()):
            self.expiring.pop(head.key, None)

    def _note_tombstone(self, address: Address, present: bool) -> None:
        if present:
            self.tombstones.setdefault(address, 0)
        elif self.tombstones.size:
            self.removals -= self.tombstones.pop(address, 0)
