"""Proofreading: compares what a node's Redis holds with the replica in memory, some fields at a time, again and again.

Keys may vanish or change without a commit that would notice: a command by hand, an eviction, another program. The
worker reads a bounded number of fields at a time, and counts those of the hashes that it comes across. What differs is
persisted again by a turn of the node (`RecordsDiffer`). Fields that nobody has persisted are deleted in the same way. A
Redis that has lost the header is refilled as a whole instead (`workers.storage.refill`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from crdt_core.errors import brief
from crdt_core.node.events import RecordsDiffer
from crdt_core.replica.proof import CATALOGUE, Proof, Shelf, collections_of, fields_of, hash_of
from crdt_core.replica.steps import batched
from workers.wire.replies import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

    from crdt_core.node.events import Event
    from crdt_core.node.node import Node
    from workers.wire.keys import Keys

__all__ = ["IN_FLIGHT_MAX", "Proofreader"]

log = structlog.get_logger()

IN_FLIGHT_MAX = 10_000
"""How many parts of a commit under way a proof may list: that takes a few milliseconds at each question."""
_FIELDS_AT_A_TIME = 2000
_FIELDS_PER_QUESTION = 200
_FIELDS_NAMED = 5


class Proofreader:
    """Reads the stored records of `node` in its Redis `own`, and puts an event for what differs from memory."""

    def __init__(self, node: Node, own: Redis, keys: Keys, put: Callable[[Event], None]) -> None:
        self._catalogue = node.replica.catalogue
        self._node = node
        self._own = own
        self._keys = keys
        self._put = put
        self._cursor = 0
        self._unread: deque[tuple[Shelf, int]] = deque()

    async def go_on(self) -> None:
        """Read the next fields, and report those that differ. Raises the errors of the connection.

        While a commit has much under way, it reads nothing: a proof leaves that out, and would take long to list it.
        """
        budget = _FIELDS_AT_A_TIME
        while budget > 0 and len(self._catalogue.in_flight) <= IN_FLIGHT_MAX:
            if self._unread:
                shelf, cursor = self._unread.popleft()
                cursor, found = await self._read(shelf, cursor)
                if cursor:
                    self._unread.appendleft((shelf, cursor))
            else:
                self._cursor, found = await self._read(CATALOGUE, self._cursor)
                self._unread.extend((shelf, 0) for key in found for shelf in collections_of(self._catalogue, key))
                if not self._cursor and not self._unread:
                    return
            budget -= len(found) + 1

    async def _read(self, shelf: Shelf, cursor: int) -> tuple[int, list[bytes]]:
        """Read fields of `shelf` from `cursor` on; return the next cursor, which is 0 at the end, and the fields.

        At the beginning of a shelf, its fields are counted, too.
        """
        hash_ = hash_of(self._catalogue, shelf)
        if hash_ is None:
            return 0, []
        key, proof, begins = self._keys.record(hash_), Proof(self._catalogue), not cursor
        try:
            async with self._own.pipeline(transaction=True) as pipeline:
                pipeline.hscan(key, cursor, count=_FIELDS_PER_QUESTION)
                pipeline.hlen(key)
                (cursor, found), size = await pipeline.execute()
            self._report(shelf, proof.wrong(shelf, found.items()))
            is_incomplete = begins and proof.has_other_size(shelf, size)
        finally:
            proof.end()
        if is_incomplete:
            await self._look_for_all(shelf)
        return cursor, list(found)

    async def _look_for_all(self, shelf: Shelf) -> None:
        """Report all fields that `shelf` should have and does not."""
        for asked in batched(fields_of(self._catalogue, shelf), _FIELDS_PER_QUESTION):
            hash_ = hash_of(self._catalogue, shelf)
            if hash_ is None:
                return
            proof = Proof(self._catalogue)
            try:
                values: Any = await self._own.hmget(self._keys.record(hash_), asked)
                self._report(shelf, proof.wrong(shelf, zip(asked, values, strict=True)))
            finally:
                proof.end()

    def _report(self, shelf: Shelf, wrong: list[bytes]) -> None:
        if not wrong:
            return
        self._put(RecordsDiffer(shelf, wrong))
        key = self._keys.record(hash_of(self._catalogue, shelf) or b"")
        named = ", ".join(brief(field) for field in wrong[:_FIELDS_NAMED])
        log.warning("stored_records_differ", node=self._node.name, key=text(key), count=len(wrong), fields=named)
