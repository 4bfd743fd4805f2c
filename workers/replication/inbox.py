"""Reads the messages to a node from its inbox, a stream with a consumer group.

A message is acknowledged in the commit that used it. So a worker that lives takes each message in exactly once. If the
worker dies before that commit, the next worker gets the message again, unless it is a patch.

A patch that waits while no worker runs may hold commits that their author has lost meanwhile. Neither clock says so,
thus the author may use their dots again. So a starting worker discards such patches, and the next round brings what of
them still counts.

Messages wait in Redis, which bounds their number, and not in memory: the inbox stops reading while many messages wait
for a turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError, ResponseError

from crdt_core.codec.messages import job_asking, may_be_outdated
from crdt_core.errors import StoreUnavailable
from crdt_core.node.events import MessagesRead
from workers.replication.outbox import answer_job
from workers.turns.weights import slices
from workers.wire.keys import CONSUMER, GROUP, MESSAGE_FIELD, Keys
from workers.wire.streams import entries_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox
    from workers.wire.streams import Entry

__all__ = ["Inbox", "discard_outdated"]

log = structlog.get_logger()

_BLOCK_MS = 1000
_BATCH = 64
_DISCARD_BATCH = 16
"""Entries that are looked at together at the start; each may be as large as a patch."""
_RETRY_S = 0.2
_UNACKNOWLEDGED = "0"
_NEW = ">"


class Inbox:
    """Passes the messages of node `node` from its own Redis, `redis`, to the mailbox.

    It reads nothing while more than `messages_waiting_max` messages wait in the mailbox.
    """

    def __init__(
        self, node: str, redis: Redis, links: Links, mailbox: Mailbox, *, messages_waiting_max: int = 256
    ) -> None:
        self._key = Keys(node).inbox
        self._redis = redis
        self._links = links
        self._mailbox = mailbox
        self._messages_waiting_max = messages_waiting_max

    async def run(self) -> None:
        """Read until cancelled: first messages that were delivered but not acknowledged, then new ones.

        The former were delivered to a worker before this one, or to this worker in a reply that was lost.
        """
        cursor, refused = _UNACKNOWLEDGED, ""
        while True:
            try:
                cursor = await self._step(cursor)
            except ResponseError as error:
                cursor = _UNACKNOWLEDGED
                if str(error) != refused:
                    refused = str(error)
                    log.warning("inbox_read_failed", reason=refused)
                await asyncio.sleep(_RETRY_S)
            except (RedisError, OSError, StoreUnavailable):  # The readers of the links log that Redis is lost.
                cursor = _UNACKNOWLEDGED
                await asyncio.sleep(_RETRY_S)
            else:
                refused = ""

    async def _step(self, cursor: str) -> str:
        """Read and pass on one batch from `cursor`, and return the next cursor."""
        await self._wait_for_room()
        try:
            reply = await self._redis.xreadgroup(GROUP, CONSUMER, {self._key: cursor}, count=_BATCH, block=_BLOCK_MS)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._redis.xgroup_create(self._key, GROUP, "0", mkstream=True)
            return cursor
        entries = entries_of(reply)
        if not entries:
            return _NEW
        await self._links.refresh()
        read = [(entry.decode(), _content(fields)) for entry, fields in entries]
        for piece in slices(read, _size):
            self._mailbox.put(MessagesRead(piece))
        return cursor if cursor == _NEW else entries[-1][0].decode()

    async def _wait_for_room(self) -> None:
        mailbox = self._mailbox
        await mailbox.turned.wait_for(lambda: mailbox.messages_waiting <= self._messages_waiting_max)


async def _entries_from(start: str, key: str, redis: Redis) -> list[Entry]:
    """Return the next entries of the stream at `key`."""
    found: Any = await redis.xrange(key, min=start, count=_DISCARD_BATCH)
    return [(entry, fields or {}) for entry, fields in found]


async def discard_outdated(node: str, redis: Redis) -> None:
    """Delete the messages that wait in the inbox of `node` and may be outdated; tell the jobs that ask something there.

    Raises the connection's errors.
    """
    key, after, discarded = Keys(node).inbox, "-", 0
    try:
        while entries := await _entries_from(after, key, redis):
            waiting = {entry: _content(fields) or b"" for entry, fields in entries}
            outdated = {entry: content for entry, content in waiting.items() if may_be_outdated(content)}
            if outdated:
                discarded += await redis.xdel(key, *outdated)
            for job in filter(None, map(job_asking, outdated.values())):
                await answer_job(node, redis, job, {"skipped": f"{node} has started since"})
            after = f"({entries[-1][0].decode()}"
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):  # `Inbox` logs this.
            raise
    if discarded:
        log.info("outdated_discarded", node=node, messages=discarded)


def _size(entry: tuple[str, bytes | None]) -> int:
    return len(entry[1] or b"")


def _content(fields: dict[bytes, bytes]) -> bytes | None:
    """Return the message in an entry; `None` if the entry was trimmed after its delivery and has no fields left."""
    return fields.get(MESSAGE_FIELD, b"") if fields else None
