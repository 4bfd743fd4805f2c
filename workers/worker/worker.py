"""The replica worker: wires one node's store, mailbox, tails, inbox, outbox, heartbeat and faces, and runs them.

Started, it claims the replica, loads it, and follows its peers before it serves. On SIGTERM or SIGINT it stops serving,
gives what is waiting its turn, and releases the replica. If another process takes the replica over, or an invariant is
broken, everything stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from crdt_core.errors import Fenced, InvariantBroken, NotAMember, Retired, StoreUnavailable
from crdt_core.membership.evidence import OperatorOverride
from crdt_core.node.events import LinksRead, StampAhead
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from workers.config.credentials import Credentials, resp_tls, warn_of_exposure
from workers.config.policies import policies_of
from workers.jobs.expiry import sweep
from workers.replication.heartbeat import beat, doing, last_beat
from workers.replication.inbox import Inbox
from workers.replication.links import Links
from workers.replication.outbox import Outbox
from workers.replication.published import Published
from workers.replication.skew import Skew
from workers.resp import RespFace
from workers.rpc.server import GrpcFace
from workers.storage.store import Store
from workers.system.ports import PortTaken
from workers.system.tasks import end
from workers.turns.mailbox import Mailbox
from workers.wire.keys import Keys
from workers.wire.peers import Peers
from workers.wire.retry import until_redis_answers
from workers.worker.bootstrap import begin
from workers.worker.joining import SponsorSilent, follow, join, replay_former

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crdt_core.node.events import Effect
    from workers.config.settings import FleetSettings
    from workers.worker.bootstrap import Bootstrap

__all__ = ["run_worker"]

log = structlog.get_logger()

HEARTBEAT_S = 1.0
_ALIVE_MS = 3000
JOINING_BEAT_S = 0.2
_LINKS_S = 0.2
_HISTORY_S = 2.0
_DRAIN_S = 1.5
_RELEASE_S = 0.5
_PORT_PATIENCE_S = 10.0
_PORT_RETRY_S = 0.2
_ALLOCATIONS = 50_000


async def run_worker(
    settings: FleetSettings, name: str, *, takeover: bool = False, override: OperatorOverride | None = None
) -> None:
    """Runs node `name` until it is told to stop.

    Where the fleet goes on without its replica id, it begins again under another. Raises `UnknownNode`, `NotAMember`,
    `AlreadyRunning`, `PortTaken`; `Fenced` or `InvariantBroken` where it has to stop, and `StoreUnavailable` where
    Redis was away when it was told to.
    """
    settings.node(name)
    stop = _stop_signal()
    while not stop.done():
        try:
            await _Life(settings, name, stop, override or OperatorOverride()).run(takeover=takeover)
        except Retired as end_:
            log.warning("replica_retired", node=name, replica=end_.replica, reason=end_.reason)
        except SponsorSilent as silence:
            log.warning("sponsor_silent", node=name, sponsor=silence.sponsor)


class Face(Protocol):
    """Where clients come in."""

    async def start(self, node: str, address: str) -> None: ...

    async def stop(self) -> None: ...


class _Life:
    """One life of a worker: under one fencing token and one replica id."""

    def __init__(
        self, settings: FleetSettings, name: str, stop: asyncio.Future[None], override: OperatorOverride
    ) -> None:
        self._settings = settings
        self._name = name
        self._node_settings = settings.node(name)
        self._stop = stop
        self._vouched = override
        self._peers = Peers(settings, name)
        self._store = Store(
            name,
            self._node_settings.redis,
            secrets.token_hex(4),
            settings.gossip.log_entries_max,
            commit_timeout_s=settings.limits.commit_timeout_ms / 1000,
        )

    async def run(self, *, takeover: bool) -> None:
        """Returns when the worker is told to stop."""
        try:
            loading = asyncio.create_task(self._load(takeover=takeover))
            if not await _before(self._stop, loading):
                log.info("node_stopped", node=self._name, before="it could serve")
                return
            beginning, node = loading.result()
            self._store.remember(node, partial(_check_history, node, Published(node, self._peers)))
            await self._serve(node, beginning, takeover=takeover)
        except (Retired, SponsorSilent):
            await self._store.release()
            raise
        except NotAMember:
            await _release(self._store, self._peers.redis(self._name), self._name)
            raise
        finally:
            await self._peers.close()

    async def _load(self, *, takeover: bool) -> tuple[Bootstrap, Node]:
        await self._store.claim(takeover=takeover)
        beginning = await begin(self._name, self._node_settings, self._store, self._peers, self._vouched)
        replica = Replica(beginning.replica, self._settings.gossip.touched_max, beginning.founders)
        hlc = await self._store.load(replica)
        node = Node(
            self._name,
            replica,
            self._store.token,
            sponsor=beginning.sponsor,
            options=_options(self._settings),
            hlc=hlc,
        )
        node.stability.restore(self._store.header)
        return beginning, node

    def _faces(
        self, mailbox: Mailbox, links: Links, published: Published, skew: Skew, credentials: Credentials
    ) -> list[tuple[str, Face, str]]:
        """Where clients come in: the name of each face, and the host:port that it listens at."""
        node, limits, security = self._node_settings, self._settings.limits, self._settings.security
        face = GrpcFace(mailbox, links, published, limits, credentials=credentials, skew=skew)
        faces: list[tuple[str, Face, str]] = [("grpc", face, node.bind_address)]
        if node.resp is not None:
            resp = RespFace(
                mailbox,
                links,
                published,
                limits,
                policies=policies_of(self._settings),
                password=credentials.password,
                tls=resp_tls(security),
            )
            faces.append(("resp", resp, node.resp))
        return faces

    async def _serve(self, node: Node, beginning: Bootstrap, *, takeover: bool) -> None:
        """Runs a loaded node until it is told to stop, or must not go on."""
        name, settings = self._name, self._settings
        own = self._peers.redis(name)
        credentials = Credentials.read(settings.security)
        outbox = Outbox(own, self._peers)
        skew = Skew(node, self._peers, settings.clock.skew_warn_ms)

        def release(effect: Effect) -> None:
            if isinstance(effect, StampAhead):
                skew.note(effect)
            else:
                outbox.release(effect)

        mailbox = Mailbox(
            node,
            self._store,
            release,
            call_timeout_s=settings.limits.write_timeout_ms / 1000,
            calls_waiting_max=settings.limits.calls_waiting_max,
        )
        links = Links(own, self._peers.line(name), mailbox)
        faces = self._faces(mailbox, links, Published(node, self._peers), skew, credentials)
        looking = asyncio.create_task(until_redis_answers(links.refresh, self._node_settings.redis))
        if not await _before(self._stop, looking):
            log.info("node_stopped", node=name, before="it knew whom to listen to")
            return
        mailbox.put(LinksRead(looking.result()))
        log.info("replica_loaded", node=name, replica=node.replica.id, objects=len(node.replica.catalogue.objects))
        _spare_the_collector()
        turns = asyncio.create_task(mailbox.run())
        serving = asyncio.Event()
        background = [
            asyncio.create_task(work)
            for work in (
                Inbox(name, own, links, mailbox).run(),
                _watch_links(links),
                skew.run(),
                _beat(self._peers, self._node_settings.grpc, self._store, mailbox, serving),
                outbox.run(mailbox),
                follow(self._peers, links, mailbox, batch=settings.gossip.batch_deltas),
                replay_former(own, beginning, mailbox),
                sweep(mailbox),
            )
        ]
        try:
            joining = asyncio.create_task(join(beginning, self._node_settings, mailbox))
            background.append(joining)
            await _first_of(turns, *background, self._stop)
            if joining.done() and not joining.exception() and not self._stop.done():
                patience_s = _PORT_PATIENCE_S if takeover else 0
                for title, face, address in faces:
                    await _serve_face(face, name, address, patience_s)
                    warn_of_exposure(title, address, settings.security)
                serving.set()
                log.info(
                    "node_serving", node=name, grpc=self._node_settings.bind_address, resp=self._node_settings.resp
                )
                background.remove(joining)
                await _first_of(turns, *background, self._stop)
            failures = _failures([turns, *background])
            await asyncio.gather(*(face.stop() for _, face, _ in faces))
            if failures:
                raise failures[0]
            mailbox.close()
            await _drain(turns, name)
            await outbox.drain()
            await _release(self._store, own, name)
            log.info("node_stopped", node=name)
        finally:
            await end([turns, *background])


def _spare_the_collector() -> None:
    """Keeps Python from looking through the whole replica again and again for cycles, which it does not have.

    What was loaded is left out for good. What is new is looked at after so many allocations that a turn seldom causes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 50)


async def _check_history(node: Node, published: Published) -> None:
    """Raises `InvariantBroken` where a peer has seen more of this replica than its own Redis still has.

    To go on would spend dots twice, and overwrite at the peers what only they still have. Peers that cannot be reached
    are left out: what they have seen is noticed once they answer, if this node has not overtaken it by then.
    """
    own = node.replica.clock[node.replica.id]

    async def check(peer: str) -> None:
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_HISTORY_S):
                seen = (await published.clock(peer))[node.replica.id]
            if seen > own:
                raise InvariantBroken(
                    f"the Redis of {node.name} has lost commits: it is at {own}, and {peer} has seen {seen}"
                )

    for found in await asyncio.gather(*map(check, node.peers), return_exceptions=True):
        if isinstance(found, BaseException):
            raise found


async def _serve_face(face: Face, name: str, address: str, patience_s: float) -> None:
    """Starts the face; the process that was just fenced needs a moment to give the port up. Raises `PortTaken`."""
    patient = AsyncRetrying(
        retry=retry_if_exception_type(PortTaken),
        stop=stop_after_delay(patience_s),
        wait=wait_fixed(_PORT_RETRY_S),
        reraise=True,
    )
    await patient(face.start, name, address)


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _before(stop: asyncio.Future[None], work: asyncio.Task[Any]) -> bool:
    """Whether `work` was done before `stop`, which gives it up; raises what it raises."""
    await _first_of(work, stop)
    if not work.done():
        await end([work])
        return False
    await work
    return True


async def _release(store: Store, own: Redis, name: str) -> None:
    """Gives the replica up, unless Redis does not answer any more."""
    try:
        async with asyncio.timeout(_RELEASE_S):
            await store.release()
            with contextlib.suppress(RedisError, OSError):
                await own.delete(Keys(name).alive)
            await last_beat(own, name)
    except TimeoutError:
        raise StoreUnavailable(f"{name} stopped while its Redis did not answer") from None


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
        strangers_max=settings.limits.foreign_replicas_max,
        fence_after_ms=settings.membership.fence_after_s * 1000,
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
        with contextlib.suppress(StoreUnavailable):
            await links.refresh()
        await asyncio.sleep(_LINKS_S)


async def _beat(peers: Peers, grpc: str, store: Store, mailbox: Mailbox, serving: asyncio.Event) -> None:
    """Says that the node lives, in the fleet hash of its Redis.

    A node without writes has no commit that would tell it that it was replaced, that Redis has lost what it had
    confirmed, or that the connection that holds the replica is gone: so this looks. Raises `Fenced`: such a node would
    go on showing what it last knew.
    """
    name = mailbox.node.name
    own = peers.redis(name)
    while True:
        with contextlib.suppress(RedisError, OSError):
            confirmed = store.turn
            owner, turn = await own.hmget(Keys(name).header, "owner", "turn")
            if owner is None or int(turn or 0) < confirmed or not store.connected:
                mailbox.suspect()
            elif owner != store.token.encode():
                raise Fenced(name)
            await own.set(Keys(name).alive, store.token, px=_ALIVE_MS)
            if peers.met:
                await own.hset(Keys(name).met, mapping={str(peer): run_id for peer, run_id in peers.met.items()})
            await beat(own, name, grpc, **doing(mailbox.node, serving=serving.is_set()))
        await asyncio.sleep(JOINING_BEAT_S if mailbox.node.joins else HEARTBEAT_S)


def _failures(tasks: list[asyncio.Task[None]]) -> list[BaseException]:
    """What tasks that have ended ended with, in their order."""
    ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return [error for error in ended if error is not None]
