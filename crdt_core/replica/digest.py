"""What a part, or an object, adds to the digest: a hash over its lasting siblings, summed up by the catalogue.

The sum does not depend on the order of changes, and removals that may be forgotten do not count: so replicas with
equal clocks have equal digests, or something is wrong. It guards against mistakes and decay and not against malice,
hence XXH3, which costs next to nothing.

An object whose parts are all in its one record is weighed whole, so that what it added before need not be worked out
again (`Object.weight`); of a collection, each part is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from crdt_core.codec.records import encode_link, encode_part
from crdt_core.lattice.siblings import fold, has_tombstone, lasting

if TYPE_CHECKING:
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.object import Object

__all__ = ["DIGEST_MASK", "part_weight", "slots_weight"]

DIGEST_MASK = (1 << 64) - 1


def slots_weight(link: Object, replica_index: ReplicaIndex, encoded: bytes | None = None) -> int:
    """The weight of an object that is no collection.

    `encoded`: what `encode_link` yields, if that is at hand, and nothing in it is a removal.
    """
    if encoded is None:
        parts = {part: left for part, held in link.parts.items() if (left := fold(lasting(held))) is not None}
        if not parts:
            return 0
        encoded = encode_link(link, parts, replica_index)
    key = link.key
    return xxh3_64_intdigest(b"%d:%b%b" % (len(key), key, encoded))


def part_weight(
    link: Object, part: bytes, siblings: Siblings, replica_index: ReplicaIndex, encoded: bytes | None = None
) -> int:
    """The weight of one part of a collection; `encoded` is what `encode_part` yields, if that is at hand."""
    if type(siblings) is not int:
        if has_tombstone(siblings):
            siblings, encoded = fold(lasting(siblings)), None
        if siblings is None:
            return 0
    key, type_ = link.key, link.type
    value = encoded or encode_part(type_, siblings, replica_index)
    return xxh3_64_intdigest(b"%d:%b%b:%d:%b%b" % (len(key), key, type_.encoded_name, len(part), part, value))
