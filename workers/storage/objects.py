"""Finds the hashes of a replica's objects in Redis by name, whether the catalogue lists them or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workers.storage.ownership import Ownership
    from workers.wire.keys import Keys

__all__ = ["KEYS_PER_SCAN", "scan_objects"]

KEYS_PER_SCAN = 1000


async def scan_objects(ownership: Ownership, keys: Keys) -> AsyncIterator[list[bytes]]:
    """Yield the keys of the catalogue and of all collections, some at a time; never an empty list.

    Raises the errors of `Ownership.ask`.
    """
    prefixes = tuple(keys.record(hash_) for hash_ in (b"state", b"obj:", b"rival:"))
    cursor = b"0"
    while True:
        scan = ("SCAN", cursor, "MATCH", f"{keys.header}:*", "COUNT", KEYS_PER_SCAN)
        ((cursor, found),) = await ownership.ask(scan)
        objects = [key for key in found if key.startswith(prefixes)]
        if objects:
            yield objects
        if cursor == b"0":
            return
