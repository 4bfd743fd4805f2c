"""Reads a replica's persisted state from Redis into memory.

The catalogue comes in one reply, the parts of the collections in batches, and those of a large collection in pieces.
The process owns the replica meanwhile, so nothing changes between two pieces. What is read is weighed at the same time:
a state that is not what was committed is not loaded.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.codec.header import decode_header, is_sealed, seal_at
from crdt_core.codec.records import decode_object, decode_part, object_hashes
from crdt_core.errors import DamagedState, Malformed, StoreUnavailable
from crdt_core.replica.weighing import Weighing, lost_collections
from workers.storage.object_keys import scan_collections
from workers.wire.replies import corrupt_state, locating_malformed, pairs, text, turn_in

if TYPE_CHECKING:
    from crdt_core.codec.header import Header
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.replica.replica import Replica
    from crdt_core.types.object import Object
    from workers.storage.ownership import Ownership
    from workers.wire.keys import Keys

__all__ = ["LoadedHeader", "load_state"]

_OBJECTS_PER_BATCH = 256
_FIELDS_PER_SCAN = 4096
_KEYS_NAMED = 5


@dataclass(frozen=True, slots=True)
class LoadedHeader:
    """The persisted header: the number of the last commit, the hybrid clock's last stamp, and all raw fields.

    `seal` is that of the last commit; it is empty if that commit was made by a version that knows no seal.
    """

    turn: int
    hlc: Stamp
    seal: bytes
    fields: dict[str, bytes]


async def load_state(ownership: Ownership, keys: Keys, replica: Replica) -> LoadedHeader:
    """Read the state at `keys` into the empty `replica`, and return the header.

    Raises `CorruptState` for data that cannot be read, and `DamagedState` for a state that is not what was committed.
    After a `StoreUnavailable`, it may be called again; what is staged has to be finished first.
    """
    with ownership.slow_replies():
        fields, catalogue = await ownership.ask(("HGETALL", keys.header), ("HGETALL", keys.state))
        by_name = dict(pairs(fields))
        if b"staged" in by_name:  # a Redis that was set back since what is staged was finished
            raise StoreUnavailable("Redis is amid a staged commit again")
        with locating_malformed(keys.header):
            header = decode_header(by_name)
            turn = turn_in(by_name.get(b"turn", b"0"))
            seal = seal_at(by_name, by_name.get(b"turn", b""))
        replica_index = replica.catalogue.replica_index
        weighing = Weighing(replica_index)
        for key, value in pairs(catalogue):
            with locating_malformed(keys.state, key):
                weighing.add_head(decode_object(key, value, replica_index), value)
        await _load_parts(ownership, keys, weighing, replica_index)
        digest = weighing.digest(header.digest)
        found = []
        try:
            replica.restore(header.clock, header.stable, digest, weighing.heads)
        except Malformed as error:
            found.append(str(error))
        if not by_name.get(b"unweighed"):
            found += await _differences(ownership, keys, header, digest, weighing.heads)
            if not found and seal and not is_sealed(header, seal, replica.catalogue.removals):
                found.append(f"the seal in {keys.header} is not that of its clock and of the stored removals")
    if found:
        raise DamagedState(keys.node, ", ".join(found))
    return LoadedHeader(turn, header.hlc, seal, {text(name): value for name, value in by_name.items()})


async def _differences(ownership: Ownership, keys: Keys, header: Header, digest: int, heads: list[Object]) -> list[str]:
    """Return how the objects that were loaded differ from those of the last commit; an empty list if they do not.

    Collections that are gone are named, and those that no catalogue lists any more, if Redis still answers. Which other
    objects differ, the digest cannot tell.
    """
    lost = [keys.record(hash_) for hash_ in lost_collections(heads)]
    if digest == header.digest and not lost:
        return []
    listed = {keys.record(hash_) for head in heads for _, hash_ in object_hashes(head)}
    unlisted: list[bytes] = []
    with suppress(StoreUnavailable):
        async for batch in scan_collections(ownership, keys):
            unlisted += (key for key in batch if key not in listed)
    found = [f"{_some(lost)} is gone"] if lost else []
    found += [f"{keys.state} does not list {_some(unlisted)}"] if unlisted else []
    if digest != header.digest:
        told = "" if found else ", which cannot tell the objects that differ"
        found.append(f"its digest is {digest:016x}, and {header.digest:016x} in {keys.header}{told}")
    return found


def _some(keys: list[bytes]) -> str:
    more = f" and {len(keys) - _KEYS_NAMED} more" if len(keys) > _KEYS_NAMED else ""
    return ", ".join(text(key) for key in sorted(keys)[:_KEYS_NAMED]) + more


async def _load_parts(ownership: Ownership, keys: Keys, weighing: Weighing, replica_index: ReplicaIndex) -> None:
    collections = [found for head in weighing.heads for found in object_hashes(head)]
    for start in range(0, len(collections), _OBJECTS_PER_BATCH):
        batch = collections[start : start + _OBJECTS_PER_BATCH]
        unfinished = [(collection, keys.record(hash_), b"0") for collection, hash_ in batch]
        while unfinished:
            scans = (("HSCAN", key, cursor, "COUNT", _FIELDS_PER_SCAN) for _, key, cursor in unfinished)
            replies = await ownership.ask(*scans)
            scanned, unfinished = unfinished, []
            for (collection, key, _), (cursor, fields) in zip(scanned, replies, strict=True):
                _adopt_parts(collection, key, fields, weighing, replica_index)
                if cursor != b"0":
                    unfinished.append((collection, key, cursor))


def _adopt_parts(
    collection: Object, key: bytes, fields: list[bytes], weighing: Weighing, replica_index: ReplicaIndex
) -> None:
    """Add the parts in the fields of the hash at `key` to `collection`, and weigh them. Raises `CorruptState`."""
    part: bytes | None = None
    try:
        for part, value in pairs(fields):
            collection.adopt(part, decode_part(collection, value, replica_index))
    except Malformed as error:
        raise corrupt_state(key, part, error) from error
    weighing.add_parts(collection, pairs(fields))
