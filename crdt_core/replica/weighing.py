"""Weighs a state while it is loaded: computes its digest from the very bytes that the store returned.

A commit persists the bytes that it has hashed (`crdt_core.replica.digest`). So the sum of the hashes of what was loaded
is the digest in the header, unless something was lost or altered. Hashing the stored bytes spares encoding the state a
second time. Only a sum that differs is computed again, from the objects: two spellings may mean the same.

The digest is one number, so it cannot say which object differs. Lost collections show in another way: the catalogue
still lists them. Removals do not count; the seal of the header covers them (`crdt_core.codec.header`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.records import object_hashes
from crdt_core.lattice.siblings import has_tombstone
from crdt_core.replica.digest import DIGEST_MASK, digest_of, object_hash, stored_parts_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.types.object import Object

__all__ = ["Weighing", "lost_collections"]


class Weighing:
    """The objects that were loaded so far, and the sum of their hashes.

    `add_head` takes the head of a key, without the parts of collections; `add_parts` takes those. `heads` has all
    heads, in their order.
    """

    __slots__ = ("_replica_index", "_sum", "heads")

    def __init__(self, replica_index: ReplicaIndex) -> None:
        self.heads: list[Object] = []
        self._replica_index = replica_index
        self._sum = 0

    def add_head(self, head: Object, value: bytes) -> None:
        """Add the head of a key, which was decoded from the record `value`."""
        self.heads.append(head)
        if head.type_conflicts:
            found = (object_ for object_ in head.chain() if not object_.type.collection)
            self._sum += sum(object_hash(object_, self._replica_index) for object_ in found)
        elif not head.type.collection:
            encoded = None if any(map(has_tombstone, head.parts.values())) else value
            self._sum += object_hash(head, self._replica_index, encoded)

    def add_parts(self, collection: Object, stored: Iterable[tuple[bytes, bytes]]) -> None:
        """Add parts of `collection`, which it has adopted. `stored` has each part with its record."""
        self._sum += stored_parts_hash(collection, stored, self._replica_index)

    def digest(self, expected: int) -> int:
        """Return the digest of all that was added; `expected` is what it should be."""
        if self._sum & DIGEST_MASK == expected:
            return expected
        return digest_of(self.heads, self._replica_index)


def lost_collections(heads: Iterable[Object]) -> Sequence[bytes]:
    """Return the hashes that the catalogue lists and the store does not have.

    Nobody persists a key under which nothing is left, so a collection without parts has lost them.
    """
    empty = (head for head in heads if all(object_.empty for object_ in head.chain()))
    return [hash_ for head in empty for _, hash_ in object_hashes(head)]
