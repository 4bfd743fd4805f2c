"""What leaves the node after a commit: messages into peers' inboxes, answers to jobs.

Nothing here is ever waited for by a turn. A message that cannot be delivered is reported back to the node, whose round
then goes on without that peer; anti-entropy makes up for it later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from crdt_core.events import JobAnswer, Send, SendFailed
from crdt_core.messages import encode_message
from workers.keys import MESSAGE_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from redis.asyncio import Redis

    from crdt_core.events import Effect
    from workers.mailbox import Mailbox

__all__ = ["Outbox"]

log = structlog.get_logger()

_ANSWER_TTL_S = 60
_SEND_TIMEOUT_S = 5.0


class Outbox:
    """Delivers effects: to `peers` (each peer's Redis), and answers to jobs at `own`, the node's Redis.

    Beyond `inbox_entries_max`, an inbox that nobody reads loses its oldest messages: anti-entropy makes up for them.
    """

    def __init__(self, own: Redis, peers: Mapping[str, Redis], inbox_entries_max: int) -> None:
        self._inbox_entries_max = inbox_entries_max
        self._own = own
        self._peers = peers
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[str, asyncio.Queue[Send]] = {peer: asyncio.Queue() for peer in peers}

    def release(self, effect: Effect) -> None:
        """Takes over an effect of a confirmed turn."""
        if isinstance(effect, Send):
            self._queues[effect.peer].put_nowait(effect)
        elif isinstance(effect, JobAnswer):
            task = asyncio.create_task(self._answer(effect))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Returns once what was taken over has been tried."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SEND_TIMEOUT_S)

    async def serve(self, peer: str, mailbox: Mailbox) -> None:
        """Delivers the messages for `peer`, in order, until cancelled."""
        key = Keys(peer).inbox
        while True:
            send = await self._queues[peer].get()
            delivery = self._peers[peer].xadd(
                key, {MESSAGE_FIELD: encode_message(send.message)}, maxlen=self._inbox_entries_max, approximate=True
            )
            if not await _succeeds(delivery, peer=peer):
                mailbox.put(SendFailed(peer, getattr(send.message, "round", "")))

    async def _answer(self, answer: JobAnswer) -> None:
        pipeline = self._own.pipeline()
        pipeline.rpush(answer.key, orjson.dumps(answer.result))
        pipeline.expire(answer.key, _ANSWER_TTL_S)
        await _succeeds(pipeline.execute(), peer="job")


async def _succeeds(delivery: Awaitable[object], *, peer: str) -> bool:
    try:
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            await delivery
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("send_failed", peer=peer, reason=str(error) or type(error).__name__)
        return False
    return True
