"""What a job of one node needs: the Redis of all nodes, its lock, and a way to ask its own worker."""

from __future__ import annotations

import functools
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import orjson
from redis import Redis
from redis.exceptions import LockNotOwnedError, RedisError

from crdt_core.codec.clocks import decode_clock
from crdt_core.codec.messages import encode_message
from crdt_core.errors import DeltaicError, Malformed, UnknownNode
from crdt_core.types.members import Members
from workers.config.loading import load_settings
from workers.storage.evidence import evidence_commands, evidence_of
from workers.wire.keys import MESSAGE_FIELD, PAUSED, Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.codec.messages import Message
    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.membership.evidence import NodeEvidence
    from workers.config.settings import FleetSettings

__all__ = ["REPLY_TIMEOUT_S", "FleetAccess", "PublishedState", "Report"]

REPLY_TIMEOUT_S = 2.0
"""How long a Redis may take to answer, beyond the time that a command blocks on purpose."""
_CONNECT_TIMEOUT_S = 1.0
_ANSWER_MARGIN_MS = 2000

Report = dict[str, Any]


class PublishedState:
    """A node's clock and digest, as of one commit. Raises `Malformed` or `JSONDecodeError` for an unreadable clock."""

    def __init__(self, clock: bytes, digest: bytes) -> None:
        self.clock: VersionVector = decode_clock(orjson.loads(clock))
        self.digest = digest


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
        return _client(self._url(node), REPLY_TIMEOUT_S)

    def peers(self) -> list[str]:
        """Return the other members."""
        return [peer for peer in self._members.active if peer != self.node]

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

    def published(self, node: str) -> PublishedState | None:
        """Return what `node` has published; `None` if it cannot be read, or the node has never committed."""
        try:
            fields: list[Any] = self.redis(node).hmget(Keys(node).header, "clock", "digest")
            clock, digest = fields
            return PublishedState(clock, digest) if clock and digest else None
        except (RedisError, Malformed, UnknownNode, orjson.JSONDecodeError):
            return None

    @contextmanager
    def single_flight(self, job: str) -> Iterator[bool]:
        """Yield whether no other run of `job` for this node is under way; if so, no other run begins in the block.

        A lock in the node's Redis ensures that. It expires, in case this process dies. If it expires in the middle of
        the block, the lock of the next run is left alone: redis-py checks and deletes it in one step.
        """
        lease_s = (self.settings.gossip.timeout_ms + 2 * _ANSWER_MARGIN_MS) / 1000
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
        wait_s = (self.settings.gossip.timeout_ms + _ANSWER_MARGIN_MS) / 1000
        redis = _client(self.settings.node(self.node).redis, wait_s + REPLY_TIMEOUT_S)
        most = self.settings.limits.inbox_entries_max
        redis.xadd(self.keys.inbox, {MESSAGE_FIELD: encode_message(message)}, maxlen=most, approximate=True)
        answer: Any = redis.blpop([self.keys.answer(name)], timeout=wait_s)
        if answer is None:
            return {"skipped": f"{self.node} did not answer within {wait_s:g} s"}
        report: Report = orjson.loads(answer[1])
        return report

    def _url(self, node: str) -> str:
        """Return the URL of the node's Redis, from the fleet file or the members; raises `UnknownNode`."""
        in_file = self.settings.nodes.get(node)
        if in_file is not None:
            return in_file.redis
        active = self._members.active
        published = self._members.facts[active[node]].redis if node in active else ""
        if not published:
            raise UnknownNode(node, list(self.settings.nodes))
        return published

    @functools.cached_property
    def _members(self) -> Members:
        """The members as the job's own node knows them."""
        own = self.evidence(self.node)
        if own is None:
            return Members({}, {})
        return own.members if own.members.facts else Members.founders(own.founders)


@functools.cache
def _client(url: str, reply_timeout_s: float) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT_S, socket_timeout=reply_timeout_s)
