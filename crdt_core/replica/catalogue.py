"""The catalogue: the objects of one replica, and the records that persist what changed in them.

From the journal of the objects, `take_changes` makes the records to persist and carries the digest forward. Its cost
depends on what changed, not on the size of the state. Each changed part is encoded once, and the same bytes are
persisted and hashed for the digest (`crdt_core.replica.digest`).

After `take_changes`, the journal stays available as `in_flight`. Whoever had the commit persisted empties it then.
`crdt_core.replica.committed_view` uses it to show the state before the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from xxhash import xxh3_64_intdigest

from crdt_core.codec.records import STATE, Changes, encode_object, encode_part, object_record, part_record, parts_hash
from crdt_core.lattice.siblings import has_tombstone
from crdt_core.lattice.split_dict import MASK
from crdt_core.replica.digest import DIGEST_MASK, object_hash, part_hash, removal_hash
from crdt_core.replica.objects import Objects
from crdt_core.replica.sharded import sharded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.codec.records import Record
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.sharded import Gathered
    from crdt_core.types.object import Object

__all__ = ["Catalogue"]


class Catalogue(Objects):
    """The objects of one replica, whose changes are taken commit by commit.

    `digest` is the digest of the state at the last `take_changes`. `in_flight` maps each address that the last
    `take_changes` persists to the siblings that were there before. Once the commit is confirmed, `Node.confirm` empties
    it: readers are shown the state after the commit from then on. The next `take_changes` implies that the last commit
    is confirmed. `keys_in_flight` holds the keys whose own record the last `take_changes` persists.
    """

    __slots__ = ("digest", "in_flight", "keys_in_flight")

    def __init__(self) -> None:
        super().__init__()
        self.digest = 0
        self.in_flight: Gathered[tuple[bytes, str, bytes], Siblings] = {}
        self.keys_in_flight: Gathered[bytes, None] = {}

    def adopt(self, head: Object) -> None:
        """Add the head of a key, with its type conflicts. They are persisted, and counted in the digest, already.

        For objects that were loaded from the store. The parts of collections must have been loaded, too. A key under
        which nothing is left goes with the next `take_changes`.
        """
        self.heads[head.key] = head
        self.scan_index.adopt(head.key, bool(head.showing()))
        if all(object_.empty for object_ in head.chain()):
            self._stale_keys[head.key] = None
        for object_ in head.chain():
            if object_.type.attribute:
                self.expiring[head.key] = None
            self.size += object_.size
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
        changes, heads = Changes(), self.heads.dicts
        object_: Object | None = None
        for (key, type_name, part), before in journal.items():
            if object_ is None or object_.key != key or object_.type.name != type_name:
                object_ = heads[crc32(key) & MASK][key]
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
            head = heads[crc32(key) & MASK][key]
            if (head.only is None and not head.many) or head.type_conflicts or head.type.collection:
                self._take_key(head, state, changes)
                continue
            value = encode_object(head, self.replica_index)
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
            for object_ in self.heads[key].chain():
                if object_.clears:
                    self._count_removal((key, object_.type.name, None), object_)

    def _count_removal(self, address: Address, object_: Object) -> None:
        new = removal_hash(object_, address[2], self.replica_index)
        self.removals += new - self.tombstones.get(address, 0)
        self.tombstones[address] = new

    def _take_hash(self, object_: Object, stale_keys: dict[bytes, None], changes: Changes) -> bytes:
        """Return the hash that holds the parts of a collection. If no parts are left, the hash is dropped."""
        hash_ = parts_hash(self.heads[object_.key], object_)
        if not object_.size:
            changes.dropped[hash_] = None
            if object_.empty:
                stale_keys[object_.key] = None
        return hash_

    def _take_part(self, object_: Object, hash_: bytes, part: bytes, before: Siblings, changes: Changes) -> None:
        siblings, replica_index = object_.get(part), self.replica_index
        if siblings is not None:
            value = encode_part(object_.type, siblings, replica_index)
            changes.written.setdefault(hash_, []).extend((part, value))
            self.digest += part_hash(object_, part, siblings, replica_index, value)
        elif object_.size:
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
            del self.heads[key]
            self.scan_index.keys.remove(key)
        else:
            state.extend((key, record))

    def _count_hash(self, object_: Object) -> None:
        """Replace what `object_`, which is not a collection, has added to the digest."""
        assert object_.counted_hash is not None, "an object is hashed before its first change"
        new = object_hash(object_, self.replica_index)
        self.digest += new - object_.counted_hash
        object_.counted_hash = new

    def records(self) -> Iterator[Record]:
        """Yield the records that persist the whole state, for a store that holds nothing.

        The catalogue must not change while the caller iterates.
        """
        for head in self.heads.values():
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
