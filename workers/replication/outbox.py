"""What leaves the node after a commit: messages into peers' inboxes, answers to jobs.

Nothing here is ever waited for by a turn. A message that cannot be delivered, or that newer ones push out of a full
queue, is reported back to the node, whose round then goes on without that peer; anti-entropy makes up for it later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from redis.exceptions import RedisError

from crdt_core.codec.messages import encode_message
from crdt_core.errors import UnknownNode
from crdt_core.node.events import JobAnswer, Send, SendFailed
from workers.system.tasks import Children
from workers.wire.keys import MESSAGE_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from redis.asyncio import Redis

    from crdt_core.node.events import Effect
    from workers.turns.mailbox import Mailbox
    from workers.wire.peers import Peers

__all__ = ["Outbox"]

log = structlog.get_logger()

_ANSWER_TTL_S = 60
_SEND_TIMEOUT_S = 5.0
_DRAIN_S = 0.5
_MESSAGES_WAITING_MAX = 100
"""For a peer whose Redis does not keep up: a message may be a patch, so this bounds memory."""


class Outbox:
    """Delivers effects: to the Redis of `peers`, and answers to jobs at `own`, the node's Redis.

    Beyond `peers.inbox_entries_max`, an inbox that nobody reads loses its oldest messages; rounds make up for it.
    """

    def __init__(self, own: Redis, peers: Peers) -> None:
        self._own = own
        self._peers = peers
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[str, _Queue] = {}
        self._first_messages: asyncio.Queue[str] = asyncio.Queue()

    def release(self, effect: Effect) -> None:
        """Takes over an effect of a confirmed turn."""
        if isinstance(effect, Send):
            if effect.peer not in self._queues:
                self._queues[effect.peer] = _Queue()
                self._first_messages.put_nowait(effect.peer)
            self._queues[effect.peer].put(effect)
        elif isinstance(effect, JobAnswer):
            task = asyncio.create_task(self._answer(effect))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Returns once the answers to jobs that were taken over have been tried, or soon."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_S)

    async def run(self, mailbox: Mailbox) -> None:
        """Delivers messages, in order for each peer, until cancelled; tells `mailbox` of those that failed."""
        async with Children() as deliveries:
            while True:
                deliveries.start(self._serve(await self._first_messages.get(), mailbox))

    async def _serve(self, peer: str, mailbox: Mailbox) -> None:
        key = Keys(peer).inbox
        while True:
            send, pushed_out = await self._queues[peer].get()
            for round_ in pushed_out:
                log.warning("send_failed", peer=peer, reason=f"{_MESSAGES_WAITING_MAX} newer messages wait")
                mailbox.put(SendFailed(peer, round_))
            if not await _succeeds(self._deliver(peer, key, send), peer=peer):
                mailbox.put(SendFailed(peer, _round(send)))

    async def _deliver(self, peer: str, key: str, send: Send) -> None:
        fields: dict[Any, Any] = {MESSAGE_FIELD: encode_message(send.message)}
        await self._peers.redis(peer).xadd(key, fields, maxlen=self._peers.inbox_entries_max, approximate=True)

    async def _answer(self, answer: JobAnswer) -> None:
        pipeline = self._own.pipeline()
        pipeline.rpush(answer.key, orjson.dumps(answer.result))
        pipeline.expire(answer.key, _ANSWER_TTL_S)
        await _succeeds(pipeline.execute(), peer="job")


class _Queue:
    """The latest messages for one peer, and the rounds of the older ones that they have pushed out."""

    def __init__(self) -> None:
        self._waiting: deque[Send] = deque()
        self._pushed_out: dict[str, None] = {}
        self._arrived = asyncio.Event()

    def put(self, send: Send) -> None:
        """Adds a message; the oldest one gives way."""
        self._waiting.append(send)
        if len(self._waiting) > _MESSAGES_WAITING_MAX:
            self._pushed_out[_round(self._waiting.popleft())] = None
        self._arrived.set()

    async def get(self) -> tuple[Send, list[str]]:
        """The next message, and the rounds of those that will not be delivered."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        pushed_out, self._pushed_out = list(self._pushed_out), {}
        return self._waiting.popleft(), pushed_out


def _round(send: Send) -> str:
    round_: str = getattr(send.message, "round", "")
    return round_


async def _succeeds(delivery: Awaitable[object], *, peer: str) -> bool:
    try:
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            await delivery
    except (RedisError, OSError, TimeoutError, UnknownNode) as error:
        log.warning("send_failed", peer=peer, reason=str(error) or type(error).__name__)
        return False
    return True
