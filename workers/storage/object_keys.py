"""Finds the keys of a replica's objects by name, whether the catalogue lists them or not, and deletes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workers.storage.ownership import Ownership
    from workers.wire.keys import Keys

__all__ = ["KEYS_PER_SCAN", "delete_objects", "scan_collections", "scan_objects"]

KEYS_PER_SCAN = 1000
"""How many keys of the Redis, of all its nodes, one step of the search looks at."""


async def delete_objects(ownership: Ownership, keys: Keys) -> None:
    """Delete the catalogue and all collections, in bounded steps; each requires the ownership.

    Raises what `Ownership.transact` raises. What an interrupted call has left, another one deletes.
    """
    async for found in scan_objects(ownership, keys):
        await ownership.transact(("UNLINK", *found))


def scan_objects(ownership: Ownership, keys: Keys) -> AsyncIterator[list[bytes]]:
    """Yield the keys of the catalogue and of all collections, in batches; never an empty one.

    A key may be yielded twice, if keys are written meanwhile. Raises the errors of `Ownership.ask`.
    """
    return _scan(ownership, keys, (b"state", b"obj:", b"rival:"))


def scan_collections(ownership: Ownership, keys: Keys) -> AsyncIterator[list[bytes]]:
    """Yield the keys of all collections, as `scan_objects` does."""
    return _scan(ownership, keys, (b"obj:", b"rival:"))


async def _scan(ownership: Ownership, keys: Keys, hashes: tuple[bytes, ...]) -> AsyncIterator[list[bytes]]:
    prefixes = tuple(keys.record(hash_) for hash_ in hashes)
    cursor = b"0"
    while True:
        scan = ("SCAN", cursor, "MATCH", f"{keys.header}:*", "COUNT", KEYS_PER_SCAN)
        ((cursor, keys_found),) = await ownership.ask(scan)
        if found := [key for key in keys_found if key.startswith(prefixes)]:
            yield found
        if cursor == b"0":
            return
