"""What a job of one node needs: the Redis of all nodes, its lock, and a way to ask its own worker."""

from __future__ import annotations

import functools
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from redis import Redis
from redis.exceptions import LockNotOwnedError, RedisError

from crdt_core.codec.clocks import decode_clock
from crdt_core.codec.messages import encode_message
from crdt_core.errors import DeltaicError, Malformed, UnknownNode
from crdt_core.types.members import Members
from workers.config.loading import load_settings
from workers.replication.heartbeat import fresh_fields
from workers.storage.evidence import evidence_commands, evidence_of
from workers.wire.keys import FLEET, MESSAGE_FIELD, PAUSED, Keys
from workers.wire.peers import redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from crdt_core.codec.messages import Message
    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.membership.evidence import NodeEvidence
    from workers.config.settings import FleetSettings

__all__ = ["REPLY_TIMEOUT_S", "SEARCH_S", "FleetAccess", "PublishedState", "Report", "job_timeout_s"]

T = TypeVar("T")

REPLY_TIMEOUT_S = 2.0
"""How long a Redis may take to answer, beyond the time that a command blocks on purpose."""
SEARCH_S = 10.0
"""How long a gossip round looks for peers that run."""
_CONNECT_TIMEOUT_S = 1.0
_ANSWER_MARGIN_S = 2.0
_OWN_QUESTIONS_MAX = 7
"""What a job asks the node's own Redis: lock, worker, members, links, message, answer, and the lock again."""

Report = dict[str, Any]


def job_timeout_s(settings: FleetSettings) -> int:
    """Return how long a job may take at most, where every Redis is slow and the worker answers at the last moment.

    A question to a peer may still be under way when the search for peers gives up. Questions to all peers at the same
    time take as long as one question.
    """
    question_s = _CONNECT_TIMEOUT_S + REPLY_TIMEOUT_S
    return ceil(_OWN_QUESTIONS_MAX * question_s + SEARCH_S + question_s + _answer_wait_s(settings))


class PublishedState:
    """A node's clock, stable frontier and digest, as of one commit, and which tombstones waited at its last compaction.

    Raises `Malformed` or `JSONDecodeError` for an unreadable clock.
    """

    def __init__(self, clock: bytes, stable: bytes, digest: bytes, waiting: bytes | None) -> None:
        self.clock: VersionVector = decode_clock(orjson.loads(clock))
        self.stable: VersionVector = decode_clock(orjson.loads(stable))
        self.digest = digest
        self.waiting = waiting


class FleetAccess:
    """The fleet as a job of node `node` reaches it; raises `UnknownNode` if the settings do not name the node."""

    def __init__(self, settings: FleetSettings, node: str) -> None:
        settings.node(node)
        self.settings = settings
        self.node = node
        self.keys = Keys(node)

    @classmethod
    def of(cls, node: str) -> FleetAccess:
        """Return the access for a job of `node`, with the settings of this process's fleet file."""
        return cls(load_settings(), node)

    def redis(self, node: str) -> Redis:
        """Return a client for the Redis of `node`; raises `UnknownNode` where no address is known."""
        members = None if node in self.settings.nodes else self._members
        return _client(redis_url(self.settings, members, node), REPLY_TIMEOUT_S)

    def members(self) -> list[str]:
        """Return the members as the job's own node knows them; none if its Redis cannot tell."""
        return list(self._members.active)

    def peers(self) -> list[str]:
        """Return the other members."""
        return [member for member in self.members() if member != self.node]

    def open_peers(self) -> list[str]:
        """Return the peers to which the node's links are open."""
        links = self.redis(self.node).hgetall(self.keys.links)
        return [peer for peer in self.peers() if links.get(peer.encode()) != PAUSED.encode()]

    def evidence(self, node: str) -> NodeEvidence | None:
        """Return what the Redis of `node` says about its replica; `None` if it cannot be read or holds none."""
        try:
            with self.redis(node).pipeline(transaction=True) as pipeline:
                for command in evidence_commands(node):
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                evidence = evidence_of(node, pipeline.execute(raise_on_error=False))
        except (RedisError, DeltaicError):
            return None
        return evidence if evidence.replica else None

    def runs(self, node: str) -> bool:
        """Return whether the worker of `node` runs, as far as its Redis can tell."""
        try:
            return bool(self.redis(node).exists(Keys(node).alive))
        except (RedisError, UnknownNode):
            return False

    def some_that_run(self, peers: Sequence[str], most: int) -> list[str]:
        """Return at most `most` of `peers`, at random, whose workers run. Gives the search up after `SEARCH_S`.

        It asks them one after the other, until enough have been found: a round costs no more in a larger fleet.
        """
        until_s = monotonic() + SEARCH_S
        running: list[str] = []
        for peer in random.sample(peers, len(peers)):
            if len(running) == most or monotonic() > until_s:
                break
            if self.runs(peer):
                running.append(peer)
        return running

    def of_each(self, peers: Sequence[str], ask: Callable[[str], T]) -> dict[str, T]:
        """Return `ask(peer)` by peer. All are asked at the same time, so silent peers cost no more than one of them."""
        if not peers:
            return {}
        with ThreadPoolExecutor(max_workers=len(peers)) as threads:
            return dict(zip(peers, threads.map(ask, peers), strict=True))

    def published(self, node: str) -> PublishedState | None:
        """Return what `node` has published; `None` if it cannot be read, or the node has never committed."""
        try:
            fields: list[Any] = self.redis(node).hmget(Keys(node).header, "clock", "stable", "digest", "waiting")
            clock, stable, digest, waiting = fields
            return PublishedState(clock, stable, digest, waiting) if clock and stable and digest else None
        except (RedisError, Malformed, UnknownNode, orjson.JSONDecodeError):
            return None

    def heartbeat(self, node: str) -> dict[str, Any]:
        """Return what the worker of `node` says in its heartbeat; nothing if it gives no sign of life."""
        try:
            redis = self.redis(node)
            value: Any = redis.hget(FLEET, node)
            redis_time: Any = redis.time()
            return fresh_fields(value, redis_time) or {}
        except (RedisError, UnknownNode):
            return {}

    @contextmanager
    def single_flight(self, job: str) -> Iterator[bool]:
        """Yield whether no other run of `job` for this node is under way; if so, no other run begins in the block.

        A lock in the node's Redis ensures that. It expires, in case this process dies, but not before RQ has ended the
        job (`job_timeout_s`). If it is lost in the middle of the block, the lock of the next run is left alone:
        redis-py checks and deletes it in one step.
        """
        lease_s = job_timeout_s(self.settings)
        lock = self.redis(self.node).lock(self.keys.lock(job), timeout=lease_s, blocking=False)
        alone = bool(lock.acquire())
        try:
            yield alone
        finally:
            if alone:
                with suppress(LockNotOwnedError):
                    lock.release()

    def ask(self, name: str, message: Message) -> Report:
        """Put `message` into the node's inbox, and return the answer that arrives at `keys.answer(name)`.

        Returns `{"skipped": reason}` if the worker does not answer in time.
        """
        wait_s = _answer_wait_s(self.settings)
        redis = _client(self.settings.node(self.node).redis, wait_s + REPLY_TIMEOUT_S)
        most = self.settings.limits.inbox_entries_max
        redis.xadd(self.keys.inbox, {MESSAGE_FIELD: encode_message(message)}, maxlen=most, approximate=True)
        answer: Any = redis.blpop([self.keys.answer(name)], timeout=wait_s)
        if answer is None:
            return {"skipped": f"{self.node} did not answer within {wait_s:g} s"}
        report: Report = orjson.loads(answer[1])
        return report

    @functools.cached_property
    def _members(self) -> Members:
        """The members as the job's own node knows them."""
        own = self.evidence(self.node)
        if own is None:
            return Members({}, {})
        return own.members if own.members.facts else Members.founders(own.founders)


def _answer_wait_s(settings: FleetSettings) -> float:
    """Return how long the worker may take to answer a job."""
    return settings.gossip.timeout_ms / 1000 + _ANSWER_MARGIN_S


@functools.cache
def _client(url: str, reply_timeout_s: float) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT_S, socket_timeout=reply_timeout_s)
