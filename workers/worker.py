"""The replica worker: wires one node's store, mailbox, tails, inbox, outbox, heartbeat and faces, and runs them.

Started, it claims the replica, loads it, and follows its peers before it serves. On SIGTERM or SIGINT it stops serving,
gives what is waiting its turn, and releases the replica. If another process takes the replica over, or an invariant is
broken, everything stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from crdt_core.errors import Fenced, InvariantBroken, StoreUnavailable
from crdt_core.events import LinksRead
from crdt_core.node import Node, NodeOptions
from crdt_core.replica import Replica
from workers.clock import wall_ms
from workers.grpc_face import GrpcFace
from workers.inbox import Inbox
from workers.keys import FLEET, Keys
from workers.links import Links
from workers.mailbox import Mailbox
from workers.outbox import Outbox
from workers.ports import PortTaken
from workers.published import Published
from workers.retry import until_redis_answers
from workers.store import Store
from workers.tail import Tail

if TYPE_CHECKING:
    from crdt_core.clocks import HybridClock
    from workers.settings import FleetSettings

__all__ = ["end", "run_worker"]

log = structlog.get_logger()

HEARTBEAT_S = 1.0
_LINKS_S = 0.2
_DRAIN_S = 1.5
_REPLY_TIMEOUT_S = 5.0
_CANCEL_AGAIN_S = 0.1
_PORT_PATIENCE_S = 10.0
_PORT_RETRY_S = 0.2


async def run_worker(settings: FleetSettings, name: str, *, takeover: bool = False) -> None:
    """Runs node `name` until it is told to stop.

    Raises `UnknownNode`, `AlreadyRunning`, `PortTaken`; `Fenced` or `InvariantBroken` where it has to stop, and
    `StoreUnavailable` where Redis was away when it was told to.
    """
    stop = _stop_signal()
    url = settings.node(name).redis
    store = Store(name, url, secrets.token_hex(4), settings.gossip.log_entries_max)
    replica = Replica(name, settings.gossip.touched_max)
    loading = asyncio.create_task(_load(store, replica, takeover=takeover))
    await _first_of(loading, stop)
    if not loading.done():
        loading.cancel()
        log.info("node_stopped", node=name, before="its Redis answered")
        return
    peers = settings.peers_of(name)
    node = Node(name, replica, list(peers), store.token, options=_options(settings), hlc=loading.result())
    own = _connection(url)
    peer_redis = {peer: _connection(peer_settings.redis) for peer, peer_settings in peers.items()}
    try:
        await _check_history(node, Published(peer_redis))
        await _serve(settings, node, store, own, peer_redis, stop=stop, takeover=takeover)
    finally:
        for redis in (own, *peer_redis.values()):
            await redis.aclose()


async def _load(store: Store, replica: Replica, *, takeover: bool) -> HybridClock:
    await store.claim(takeover=takeover)
    return await store.load(replica)


async def _check_history(node: Node, published: Published) -> None:
    """Raises `InvariantBroken` where a peer has seen more of this replica than its own Redis still has.

    To go on would spend dots twice, and overwrite at the peers what only they still have. Peers that cannot be reached
    are left out: what they have seen is noticed once they answer, if this node has not overtaken it by then.
    """
    own = node.replica.clock[node.replica.id]

    async def check(peer: str) -> None:
        with contextlib.suppress(StoreUnavailable):
            seen = (await published.clock(peer))[node.replica.id]
            if seen > own:
                raise InvariantBroken(
                    f"the Redis of {node.name} has lost commits: it is at {own}, and {peer} has seen {seen}"
                )

    for found in await asyncio.gather(*map(check, node.peers), return_exceptions=True):
        if isinstance(found, BaseException):
            raise found


async def _serve(
    settings: FleetSettings,
    node: Node,
    store: Store,
    own: Redis,
    peer_redis: dict[str, Redis],
    *,
    stop: asyncio.Future[None],
    takeover: bool,
) -> None:
    """Runs a loaded node until `stop`, or until it must not go on."""
    name, node_settings = node.name, settings.node(node.name)
    outbox = Outbox(own, peer_redis)
    mailbox = Mailbox(node, store, outbox.release, call_timeout_s=settings.limits.write_timeout_ms / 1000)
    links = Links(name, peer_redis, own, mailbox)
    face = GrpcFace(mailbox, links, Published(peer_redis), settings.limits)
    mailbox.put(LinksRead(await until_redis_answers(links.refresh, node_settings.redis)))
    log.info("replica_loaded", node=name, objects=len(node.replica.catalogue.objects), clock=dict(node.replica.clock))
    turns = asyncio.create_task(mailbox.run())
    background = [
        asyncio.create_task(work)
        for work in (
            Inbox(name, own, links, mailbox).run(),
            _watch_links(links),
            _beat(own, name, settings, store.token),
            *(outbox.serve(peer, mailbox) for peer in peer_redis),
            *(Tail(p, r, links, mailbox, settings.gossip.batch_deltas).run() for p, r in peer_redis.items()),
        )
    ]
    try:
        await _serve_face(face, name, node_settings.bind_address, _PORT_PATIENCE_S if takeover else 0)
        log.info("node_serving", node=name, grpc=node_settings.bind_address)
        await _first_of(turns, *background, stop)
        failures = _failures([turns, *background])
        await face.stop()
        if failures:
            raise failures[0]
        mailbox.close()
        await _drain(turns, name)
        await outbox.drain()
        await store.release()
        with contextlib.suppress(RedisError, OSError):
            await own.hdel(FLEET, name)
        log.info("node_stopped", node=name)
    finally:
        await end([turns, *background])


async def _serve_face(face: GrpcFace, name: str, address: str, patience_s: float) -> None:
    """Starts the face; the process that was just fenced needs a moment to give the port up. Raises `PortTaken`."""
    patient = AsyncRetrying(
        retry=retry_if_exception_type(PortTaken),
        stop=stop_after_delay(patience_s),
        wait=wait_fixed(_PORT_RETRY_S),
        reraise=True,
    )
    await patient(face.start, name, address)


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancels the tasks until all have ended.

    Once may not do: before Python 3.12, `asyncio.wait_for` (by which redis-py sends) can lose a cancellation.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


def _connection(url: str) -> Redis:
    """A Redis whose connections notice it when the other end has vanished without a word."""
    return Redis.from_url(url, socket_timeout=_REPLY_TIMEOUT_S, socket_connect_timeout=_REPLY_TIMEOUT_S)


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _drain(turns: asyncio.Task[None], name: str) -> None:
    """Gives what is waiting its turn, unless Redis is away: then nobody has been told that it happened."""
    await asyncio.wait([turns], timeout=_DRAIN_S)
    if not turns.done():
        raise StoreUnavailable(f"{name} stopped while its Redis was away; writes without an answer may be lost")
    await turns


def _options(settings: FleetSettings) -> NodeOptions:
    return NodeOptions(
        exchange_timeout_ms=settings.gossip.timeout_ms,
        chunk_bytes=settings.gossip.chunk_bytes,
        log_entries_kept=settings.gossip.log_entries_kept,
        skew_warn_ms=settings.clock.skew_warn_ms,
        skew_refuse_ms=settings.clock.skew_refuse_ms,
    )


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def request() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request)
    return stop


async def _watch_links(links: Links) -> None:
    """Notices links that were set while nothing is being read."""
    while True:
        with contextlib.suppress(RedisError, OSError):
            await links.refresh()
        await asyncio.sleep(_LINKS_S)


async def _beat(own: Redis, name: str, settings: FleetSettings, token: str) -> None:
    """Says that the node lives, in the fleet hash of its Redis.

    Raises `Fenced`: a node without writes has no commit that would tell it, and would go on showing what it last knew.
    Raises `InvariantBroken` where Redis has lost even the header.
    """
    fields = {"grpc": settings.node(name).grpc, "pid": os.getpid(), "replica": name}
    while True:
        with contextlib.suppress(RedisError, OSError):
            owner, format_ = await own.hmget(Keys(name).header, "owner", "format")
            if format_ is None:
                raise InvariantBroken(f"{name}: Redis has lost the replica's header")
            if owner != token.encode():
                raise Fenced(name)
            await own.hset(FLEET, name, orjson.dumps({**fields, "beat_ms": wall_ms()}))
        await asyncio.sleep(HEARTBEAT_S)


def _failures(tasks: list[asyncio.Task[None]]) -> list[BaseException]:
    """What tasks that have ended ended with, in their order."""
    ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return [error for error in ended if error is not None]
