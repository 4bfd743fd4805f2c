"""Delivers what leaves a node after a commit: messages into the inboxes of peers, and answers to jobs.

No turn ever waits for a delivery. If a message cannot be delivered, or newer messages push it out of a full queue, the
node is told. Its gossip round then goes on without that peer, and anti-entropy repairs the loss later. `send_failed` is
logged for the first message that fails, and `send_succeeded` for the first one that arrives again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from redis.exceptions import RedisError

from crdt_core.codec.messages import encode_message
from crdt_core.errors import UnknownNode, brief
from crdt_core.node.events import JobAnswer, Send, SendFailed
from workers.system.tasks import Children
from workers.wire.keys import MESSAGE_FIELD, Keys
from workers.wire.outages import PeerFailures

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
"""Per peer, if its Redis does not keep up. A message may be a patch, so this bounds memory."""


async def answer_job(node: str, own: Redis, key: str, result: object) -> None:
    """Put `result` where a job of `node` waits for its answer: at `key` in the node's own Redis.

    The key comes out of a message, so it could be any key of this Redis. Raises the connection's errors.
    """
    if not key.startswith(Keys(node).answer("")):
        log.warning("answer_refused", key=brief(key), reason="no job of this node waits there")
        return
    async with own.pipeline() as pipeline:
        pipeline.rpush(key, orjson.dumps(result))
        pipeline.expire(key, _ANSWER_TTL_S)
        await pipeline.execute()


class Outbox:
    """Delivers messages to the Redis of `peers`, and answers to jobs to `own`, the node's own Redis.

    An inbox that nobody reads loses its oldest messages beyond `peers.inbox_entries_max`; gossip rounds repair that.
    """

    def __init__(self, own: Redis, peers: Peers) -> None:
        self._own = own
        self._peers = peers
        self._answers: set[asyncio.Task[None]] = set()
        self._queues: dict[str, _PeerQueue] = {}
        self._new_queues: asyncio.Queue[tuple[str, _PeerQueue]] = asyncio.Queue()
        self._failures = PeerFailures("send_failed", "send_succeeded")

    def release(self, effect: Effect) -> None:
        """Take an effect of a confirmed turn for delivery; returns at once."""
        if isinstance(effect, Send):
            if effect.peer not in self._queues:
                self._queues[effect.peer] = _PeerQueue()
                self._new_queues.put_nowait((effect.peer, self._queues[effect.peer]))
            self._queues[effect.peer].put(effect)
        elif isinstance(effect, JobAnswer):
            task = asyncio.create_task(self._answer(effect))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    def forget(self, peer: str) -> None:
        """Give the queue to `peer` up once it is empty: the peer has left. A later message begins a new one."""
        if peer in self._queues:
            self._queues.pop(peer).close()
        self._failures.forget(peer)

    async def drain(self) -> None:
        """Return when all answers to jobs have been delivered or have failed, and after half a second at the latest."""
        if self._answers:
            await asyncio.wait(self._answers, timeout=_DRAIN_S)

    async def run(self, mailbox: Mailbox) -> None:
        """Deliver messages until cancelled, in order for each peer; tell `mailbox` which ones failed."""
        async with Children() as deliveries:
            while True:
                peer, queue = await self._new_queues.get()
                deliveries.start(self._deliver_all(peer, queue, mailbox))

    async def _deliver_all(self, peer: str, queue: _PeerQueue, mailbox: Mailbox) -> None:
        key = Keys(peer).inbox
        while (found := await queue.get()) is not None:
            send, pushed_out = found
            for round_ in pushed_out:
                self._failures.failed(peer, f"{_MESSAGES_WAITING_MAX} newer messages wait")
                mailbox.put(SendFailed(peer, round_))
            if not await self._succeeds(self._deliver(peer, key, send), peer):
                mailbox.put(SendFailed(peer, _round(send)))

    async def _deliver(self, peer: str, key: str, send: Send) -> None:
        fields: dict[Any, Any] = {MESSAGE_FIELD: encode_message(send.message)}
        await self._peers.redis(peer).xadd(key, fields, maxlen=self._peers.inbox_entries_max, approximate=True)

    async def _answer(self, answer: JobAnswer) -> None:
        await self._succeeds(answer_job(self._peers.name, self._own, answer.key, answer.result), "job")

    async def _succeeds(self, delivery: Awaitable[object], peer: str) -> bool:
        """Await `delivery` for some seconds, and return whether it succeeded; the first failure in a row is logged."""
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await delivery
        except (RedisError, OSError, TimeoutError, UnknownNode) as error:
            self._failures.failed(peer, str(error) or type(error).__name__)
            return False
        self._failures.succeeded(peer)
        return True


class _PeerQueue:
    """The latest messages for one peer, and the rounds of the older messages that these have pushed out."""

    def __init__(self) -> None:
        self._waiting: deque[Send] = deque()
        self._pushed_out: dict[str, None] = {}
        self._arrived = asyncio.Event()
        self._is_closed = False

    def put(self, send: Send) -> None:
        """Add a message. If the queue is full, the oldest message is dropped."""
        self._waiting.append(send)
        if len(self._waiting) > _MESSAGES_WAITING_MAX:
            self._pushed_out[_round(self._waiting.popleft())] = None
        self._arrived.set()

    def close(self) -> None:
        """Have `get` return `None` once the queue is empty."""
        self._is_closed = True
        self._arrived.set()

    async def get(self) -> tuple[Send, list[str]] | None:
        """Wait for the next message, and return it with the rounds of the messages dropped since the last call."""
        while not self._waiting:
            if self._is_closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        pushed_out, self._pushed_out = list(self._pushed_out), {}
        return self._waiting.popleft(), pushed_out


def _round(send: Send) -> str:
    """Return the id of the round that the message belongs to; empty if it belongs to none."""
    round_: str = getattr(send.message, "round", "")
    return round_
