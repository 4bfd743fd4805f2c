"""One life of a worker: wires the store, the mailbox, the streams and the faces of one node, and runs them.

A life is the time under one fencing token and one replica id. It acquires the replica, loads it, and follows its peers
before it serves. When it is told to stop, it stops serving, commits what is waiting, and releases the replica. If
another process takes the replica over, or an invariant is broken, everything stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
from functools import partial
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from crdt_core.errors import DamagedState, NotAMember, Retired, StoreUnavailable
from crdt_core.node.events import StampAhead
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from workers.config.credentials import Credentials
from workers.config.redis_url import tls_of
from workers.jobs.expiry import sweep
from workers.replication.broadcasts import Broadcasts
from workers.replication.heartbeat import delete_heartbeat
from workers.replication.inbox import Inbox
from workers.replication.links import Links
from workers.replication.outbox import Outbox
from workers.replication.published import Published
from workers.replication.skew import Skew
from workers.storage.eviction import check_eviction
from workers.storage.proofreading import Proofreader
from workers.storage.store import Store
from workers.storage.writability import Writability
from workers.system.tasks import done_before, end, wait_for_first
from workers.turns.mailbox import Mailbox
from workers.wire.keys import Keys
from workers.wire.peers import Peers
from workers.wire.retry import until_redis_answers
from workers.worker.bootstrap import Renamed, bootstrap, end_start
from workers.worker.custody import Custody
from workers.worker.exposure import warn_of_exposure
from workers.worker.faces import faces_of, start_face
from workers.worker.following import follow_peers
from workers.worker.heartbeats import publish_heartbeats
from workers.worker.history import check_history
from workers.worker.joining import SponsorSilent, join, replay_former
from workers.worker.recognition import watch_recognition

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crdt_core.membership.decisions import Start
    from crdt_core.membership.evidence import OperatorOverride
    from crdt_core.node.events import Effect
    from workers.config.settings import FleetSettings

__all__ = ["Life"]

log = structlog.get_logger()

_DRAIN_S = 1.5
_RELEASE_S = 0.5
_PORT_PATIENCE_S = 10.0
_GC_ALLOCATIONS = 20_000
_TOKEN_BYTES = 4


class Life:
    """One life of the worker of node `name`; it ends when `stop` is done. `run` may be called once."""

    def __init__(
        self, settings: FleetSettings, name: str, stop: asyncio.Future[None], override: OperatorOverride
    ) -> None:
        self._settings = settings
        self._name = name
        self._node_settings = settings.node(name)
        self._stop = stop
        self._override = override
        self._peers = Peers(settings, name)
        self._store = Store(
            name,
            self._node_settings.redis,
            secrets.token_hex(_TOKEN_BYTES),
            settings.gossip.log_entries_max,
            commit_timeout_s=settings.limits.commit_timeout_ms / 1000,
        )

    async def run(self, *, takeover: bool) -> None:
        """Serve until `stop` is done.

        Raises `Retired`, `Renamed` or `SponsorSilent` where the node has to begin again; otherwise the errors of
        `run_worker`.
        """
        try:
            loading = asyncio.create_task(self._load(takeover=takeover))
            if not await done_before(self._stop, loading):
                log.info("node_stopped", node=self._name, during="loading")
                return
            start, node = loading.result()
            self._store.commits.enable_refill(node, partial(check_history, node, Published(node, self._peers)))
            await self._serve(node, start, takeover=takeover)
        except (Retired, SponsorSilent):
            await self._store.release()
            raise
        except (NotAMember, Renamed):
            await _release(self._store, self._peers.redis(self._name), self._name)
            raise
        finally:
            self._store.close()
            await self._peers.close()

    async def _load(self, *, takeover: bool) -> tuple[Start, Node]:
        """Acquire the replica, decide on its id, and load its state.

        If the state turns out to be damaged, the node decides anew. Raises `DamagedState` where nobody can help, and
        `EvictingRedis`.
        """
        tls_of(self._node_settings.redis)  # files that cannot be used are a bad setting, and nothing to wait for
        own = self._peers.redis(self._name)
        await until_redis_answers(partial(check_eviction, self._name, own), self._node_settings.redis)
        await self._store.acquire(takeover=takeover)
        while True:
            start = await bootstrap(self._name, self._node_settings, self._store, self._peers, self._override)
            replica = Replica(start.replica, self._settings.gossip.touched_max, start.founders)
            try:
                hlc = await self._store.load(replica)
                break
            except DamagedState as damaged:
                log.warning("stored_state_damaged", node=self._name, replica=replica.id, reason=damaged.reason)
        await until_redis_answers(
            partial(end_start, self._name, self._store.token, self._peers), self._node_settings.redis
        )
        node = Node(
            self._name,
            replica,
            self._store.token,
            sponsor=start.sponsor,
            options=_options(self._settings),
            hlc=hlc,
            departed=start.departed,
        )
        node.stability.restore(self._store.commits.header)
        node.upgraded.restore(self._store.commits.header)
        return start, node

    async def _serve(self, node: Node, start: Start, *, takeover: bool) -> None:
        """Run the loaded node until it is told to stop, or a part of it fails."""
        name, settings = self._name, self._settings
        own = self._peers.redis(name)
        credentials = Credentials.read(settings.security)
        outbox = Outbox(own, self._peers)
        skew = Skew(node, self._peers, settings.clock.skew_warn_ms)
        mailbox = Mailbox(
            node,
            self._store.commits,
            partial(_pass_on, outbox, skew),
            call_timeout_s=settings.limits.write_timeout_ms / 1000,
            calls_waiting_max=settings.limits.calls_waiting_max,
        )
        links = Links(own, self._peers.reader(name), mailbox)
        broadcasts = Broadcasts(mailbox, self._peers, links, fleet_wide=settings.channels.fleet_wide)
        writability = Writability(name, self._peers.probe(name), lambda: self._store.trouble)
        faces = faces_of(
            settings,
            mailbox,
            links,
            Published(node, self._peers),
            skew=skew,
            writability=writability,
            broadcasts=broadcasts,
            credentials=credentials,
        )
        custody = Custody(name, own, Proofreader(node, own, Keys(name), mailbox.put), settings.jobs.audit_interval_s)
        reading_links = asyncio.create_task(until_redis_answers(links.refresh, self._node_settings.redis))
        if not await done_before(self._stop, reading_links):
            log.info("node_stopped", node=name, during="reading the links")
            return
        log.info("replica_loaded", node=name, replica=node.replica.id, objects=len(node.replica.catalogue.heads))
        _exempt_replica_from_gc()
        turns = asyncio.create_task(mailbox.run())
        serving = asyncio.Event()
        background = [
            asyncio.create_task(work)
            for work in (
                Inbox(name, own, links, mailbox).run(),
                links.watch(),
                skew.run(),
                writability.run(),
                publish_heartbeats(
                    self._peers, self._node_settings.grpc, self._store, mailbox, serving, custody=custody
                ),
                custody.run(),
                outbox.run(mailbox),
                follow_peers(self._peers, links, mailbox, outbox.forget, batch=settings.gossip.batch_deltas),
                replay_former(own, start, mailbox),
                watch_recognition(node, self._peers),
                sweep(mailbox),
                broadcasts.run(),
            )
        ]
        try:
            joining = asyncio.create_task(join(start, self._node_settings, mailbox))
            background.append(joining)
            await wait_for_first(turns, *background, self._stop)
            if joining.done() and not joining.exception() and not self._stop.done():
                patience_s = _PORT_PATIENCE_S if takeover else 0
                for face in faces:
                    await start_face(face, name, patience_s)
                    warn_of_exposure(face.name, face.address, settings.security)
                serving.set()
                addresses = {"grpc": self._node_settings.bind_address, "resp": self._node_settings.resp}
                log.info("serving_started", node=name, **addresses)
                background.remove(joining)
                await wait_for_first(turns, *background, self._stop)
            failures = _failures([turns, *background])
            await asyncio.gather(*(face.face.stop() for face in faces))
            if failures:
                raise failures[0]
            mailbox.close()
            await _drain(turns, name)
            await outbox.drain()
            await end(background)  # Before the release: a heartbeat would write again what the release deletes.
            await _release(self._store, own, name)
            log.info("node_stopped", node=name)
        finally:
            await end([turns, *background])


def _pass_on(outbox: Outbox, skew: Skew, effect: Effect) -> None:
    """Hand an effect of a turn to whoever carries it out."""
    if isinstance(effect, StampAhead):
        skew.log_stamp(effect)
    else:
        outbox.release(effect)


def _exempt_replica_from_gc() -> None:
    """Keep Python's garbage collector from searching the whole replica for cycles, which it does not have.

    The loaded objects are excluded for good. New objects are searched after so many allocations that a turn seldom
    causes a search. One in three also looks at those that have outlived one: at three times as many, which takes 30 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS, 1, 1250)


def _options(settings: FleetSettings) -> NodeOptions:
    return NodeOptions(
        exchange_timeout_ms=settings.gossip.timeout_ms,
        chunk_bytes=settings.gossip.chunk_bytes,
        log_entries_kept=settings.gossip.log_entries_kept,
        skew_warn_ms=settings.clock.skew_warn_ms,
        skew_refuse_ms=settings.clock.skew_refuse_ms,
        strangers_max=settings.limits.foreign_replicas_max,
        fence_after_ms=settings.membership.fence_after_s * 1000,
    )


def _failures(tasks: list[asyncio.Task[None]]) -> list[BaseException]:
    """Return the errors of the tasks that have failed, in the order of the tasks."""
    ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return [error for error in ended if error is not None]


async def _drain(turns: asyncio.Task[None], name: str) -> None:
    """Wait until everything in the mailbox is committed.

    Raises `StoreUnavailable` if Redis is away: then no caller was told that its write happened.
    """
    await asyncio.wait([turns], timeout=_DRAIN_S)
    if not turns.done():
        raise StoreUnavailable(f"{name} stopped while its Redis was away; writes without an answer may be lost")
    await turns


async def _release(store: Store, own: Redis, name: str) -> None:
    """Give the replica up and delete what says that its worker runs; raises `StoreUnavailable` if Redis is away."""
    try:
        async with asyncio.timeout(_RELEASE_S):
            await store.release()
            with contextlib.suppress(RedisError, OSError):
                await own.delete(Keys(name).alive)
            await delete_heartbeat(own, name)
    except TimeoutError:
        raise StoreUnavailable(f"{name} stopped while its Redis did not answer") from None
