"""The digest: a 64-bit sum of hashes over the lasting siblings of a replica. Equal clocks must mean equal digests.

A sum does not depend on the order of the changes. Lasting siblings (`crdt_core.lattice.siblings.lasting`) do not depend
on which removals a replica has forgotten. So two replicas with equal clocks and different digests have gone wrong. The
digest guards against mistakes and decay, not against malice; hence XXH3, which costs next to nothing.

Removals have a sum of their own (`removal_hash`). No two replicas need to have the same, because each forgets removals
in its own time: it only shows whether a store has kept them.

An object whose parts are all in its one record is hashed as a whole, and remembers what it has added to the digest
(`Object.counted_hash`): so its state before a change need not be encoded again. A collection is hashed part by part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from crdt_core.codec.records import encode_object, encode_part
from crdt_core.lattice.siblings import fold, has_tombstone, lasting
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Siblings

__all__ = ["DIGEST_MASK", "digest_of", "object_hash", "part_hash", "removal_hash", "stored_parts_hash"]

DIGEST_MASK = (1 << 64) - 1


def object_hash(object_: Object, replica_index: ReplicaIndex, encoded: bytes | None = None) -> int:
    """Return what `object_`, which is not a collection, adds to the digest: 0 if nothing in it is lasting.

    A caller that has the result of `encode_object` at hand may pass it as `encoded`, if `object_` holds no removal.
    """
    if encoded is None:
        left = Object(object_.key, object_.type)
        for part, held in object_.parts.items():
            left.put(part, fold(lasting(held)))
        if left.empty:
            return 0
        encoded = encode_object(left, replica_index)
    key = object_.key
    return xxh3_64_intdigest(b"%d:%b%b" % (len(key), key, encoded))


def part_hash(
    object_: Object, part: bytes, siblings: Siblings, replica_index: ReplicaIndex, encoded: bytes | None = None
) -> int:
    """Return what one part of the collection `object_` adds to the digest: 0 if nothing in it is lasting.

    A caller that has the result of `encode_part` for these siblings at hand may pass it as `encoded`.
    """
    if type(siblings) is not int:
        if has_tombstone(siblings):
            siblings, encoded = fold(lasting(siblings)), None
        if siblings is None:
            return 0
    key, type_ = object_.key, object_.type
    value = encoded or encode_part(type_, siblings, replica_index)
    return xxh3_64_intdigest(b"%d:%b%b:%d:%b%b" % (len(key), key, type_.encoded_name, len(part), part, value))


def stored_parts_hash(object_: Object, stored: Iterable[tuple[bytes, bytes]], replica_index: ReplicaIndex) -> int:
    """Return what parts of the collection `object_` add to the digest. `stored` has each part with its record."""
    parts, key, type_ = object_.parts, object_.key, object_.type
    prefix = b"%d:%b%b:" % (len(key), key, type_.encoded_name)
    total = 0
    for part, value in stored:
        if type(parts[part]) is int:  # nearly all parts; as `part_hash` does
            total += xxh3_64_intdigest(b"%b%d:%b%b" % (prefix, len(part), part, value))
        else:
            total += part_hash(object_, part, parts[part], replica_index, value)
    return total


def removal_hash(object_: Object, part: bytes | None, replica_index: ReplicaIndex) -> int:
    """Return the hash of all siblings of a part that holds a removal; for `None`, of the clears of `object_`."""
    key, type_ = object_.key, object_.type
    if part is None:
        clears = sorted((str(replica_index.unpack(dot)), sorted(deps.items())) for dot, deps in object_.clears.items())
        return xxh3_64_intdigest(b"%d:%b%b:%b" % (len(key), key, type_.encoded_name, repr(clears).encode()))
    value = encode_part(type_, object_.get(part), replica_index)
    return xxh3_64_intdigest(b"%d:%b%b:%d:%b%b" % (len(key), key, type_.encoded_name, len(part), part, value))


def digest_of(heads: Iterable[Object], replica_index: ReplicaIndex) -> int:
    """Return the digest of the state that consists of the objects in the chains of `heads`."""
    digest = 0
    for head in heads:
        for object_ in head.chain():
            if object_.type.collection:
                digest += sum(part_hash(object_, part, held, replica_index) for part, held in object_.parts.items())
            else:
                digest += object_hash(object_, replica_index)
    return digest & DIGEST_MASK
