"""What is addressed to the node: read from its inbox through a consumer group, acknowledged in the commit that used it.

So a message is taken in exactly once by a worker that lives, and again by the next one if this one dies before its
commit. Every message is safe to take in twice.

Messages wait in Redis, which bounds them, rather than here: no more are read while many wait for a turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError, ResponseError

from crdt_core.errors import StoreUnavailable
from crdt_core.node.events import MessagesRead
from workers.wire.keys import GROUP, MESSAGE_FIELD, Keys
from workers.wire.streams import entries_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox

__all__ = ["Inbox"]

log = structlog.get_logger()

_BLOCK_MS = 1000
_BATCH = 64
_WAITING_MAX = 256
_RETRY_S = 0.2
_CONSUMER = "replica"
_HANDED_OUT = "0"
_NEW = ">"


class Inbox:
    """Passes the messages of node `node`, read through `redis` (its own Redis), to the mailbox."""

    def __init__(self, node: str, redis: Redis, links: Links, mailbox: Mailbox) -> None:
        self._key = Keys(node).inbox
        self._redis = redis
        self._links = links
        self._mailbox = mailbox

    async def run(self) -> None:
        """Reads until cancelled: first what was handed out but not acknowledged, then what is new.

        Handed out to a former worker, or to this one in a reply that was lost with its connection.
        """
        cursor = _HANDED_OUT
        while True:
            try:
                cursor = await self._step(cursor)
            except (RedisError, OSError, StoreUnavailable) as error:
                cursor = _HANDED_OUT
                log.warning("inbox_unreachable", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _step(self, cursor: str) -> str:
        await self._wait_for_turns()
        try:
            reply = await self._redis.xreadgroup(GROUP, _CONSUMER, {self._key: cursor}, count=_BATCH, block=_BLOCK_MS)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._redis.xgroup_create(self._key, GROUP, "0", mkstream=True)
            return cursor
        entries = entries_of(reply)
        if not entries:
            return _NEW
        await self._links.refresh()
        self._mailbox.put(MessagesRead([(entry.decode(), _content(fields)) for entry, fields in entries]))
        return cursor if cursor == _NEW else entries[-1][0].decode()

    async def _wait_for_turns(self) -> None:
        mailbox = self._mailbox
        await mailbox.turned.wait_for(lambda: mailbox.messages_waiting <= _WAITING_MAX)


def _content(fields: dict[bytes, bytes]) -> bytes | None:
    """The message in an entry; `None` where the entry was trimmed after it was handed out, and has no fields left."""
    return fields.get(MESSAGE_FIELD, b"") if fields else None
