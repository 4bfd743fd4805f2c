"""Reads a replica's persisted state from Redis into memory.

The catalogue comes in one reply, the parts of the collections in batches, and those of a large collection in pieces.
The process owns the replica meanwhile, so nothing changes between two pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.codec.header import decode_header
from crdt_core.codec.records import decode_object, decode_part, object_hashes
from crdt_core.errors import Malformed
from workers.wire.replies import corrupt_state, locating_malformed, pairs, text, turn_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.replica.replica import Replica
    from crdt_core.types.object import Object
    from workers.storage.ownership import Ownership
    from workers.wire.keys import Keys

__all__ = ["LoadedHeader", "decode_heads", "load_state"]

_OBJECTS_PER_BATCH = 256
_FIELDS_PER_SCAN = 4096


@dataclass(frozen=True, slots=True)
class LoadedHeader:
    """The persisted header: the number of the last commit, the hybrid clock's last stamp, and all raw fields."""

    turn: int
    hlc: Stamp
    fields: dict[str, bytes]


async def load_state(ownership: Ownership, keys: Keys, replica: Replica) -> LoadedHeader:
    """Read the state at `keys` into the empty `replica`, and return the header.

    Raises `CorruptState` for data that cannot be read. After a `StoreUnavailable`, it may be called again.
    """
    with ownership.slow_replies():
        fields, catalogue = await ownership.ask(("HGETALL", keys.header), ("HGETALL", keys.state))
        by_name = dict(pairs(fields))
        with locating_malformed(keys.header):
            header = decode_header(by_name)
            turn = turn_in(by_name.get(b"turn", b"0"))
        heads = decode_heads(keys, pairs(catalogue), replica.catalogue.replica_index)
        collections = [(part_of, hash_) for head in heads for part_of, hash_ in object_hashes(head)]
        await _load_parts(ownership, keys, collections, replica.catalogue.replica_index)
        with locating_malformed(keys.state):
            replica.restore(header.clock, header.stable, header.digest, heads)
    return LoadedHeader(turn, header.hlc, {text(name): value for name, value in by_name.items()})


def decode_heads(keys: Keys, catalogue: Iterable[tuple[bytes, bytes]], replica_index: ReplicaIndex) -> list[Object]:
    """Return the objects in the fields of the catalogue; collections have no parts yet. Raises `CorruptState`."""
    heads = []
    for key, value in catalogue:
        with locating_malformed(keys.state, key):
            heads.append(decode_object(key, value, replica_index))
    return heads


async def _load_parts(
    ownership: Ownership, keys: Keys, collections: list[tuple[Object, bytes]], replica_index: ReplicaIndex
) -> None:
    for start in range(0, len(collections), _OBJECTS_PER_BATCH):
        batch = collections[start : start + _OBJECTS_PER_BATCH]
        unfinished = [(collection, keys.record(hash_), b"0") for collection, hash_ in batch]
        while unfinished:
            scans = (("HSCAN", key, cursor, "COUNT", _FIELDS_PER_SCAN) for _, key, cursor in unfinished)
            replies = await ownership.ask(*scans)
            scanned, unfinished = unfinished, []
            for (collection, key, _), (cursor, fields) in zip(scanned, replies, strict=True):
                _adopt_parts(collection, key, fields, replica_index)
                if cursor != b"0":
                    unfinished.append((collection, key, cursor))


def _adopt_parts(collection: Object, key: bytes, fields: list[bytes], replica_index: ReplicaIndex) -> None:
    """Add the parts in the fields of the hash at `key` to `collection`. Raises `CorruptState`."""
    part: bytes | None = None
    try:
        for part, value in pairs(fields):
            collection.adopt(part, decode_part(collection, value, replica_index))
    except Malformed as error:
        raise corrupt_state(key, part, error) from error
