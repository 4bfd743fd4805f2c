"""The periodic jobs, run by RQ's own workers: gossip round, compaction, convergence audit.

A job touches no replica: it looks at what nodes publish (headers, heartbeats, links), puts a message into its node's
inbox, and waits for the answer. Each is idempotent, and single-flight per node: late, doubled or lost ones do no harm.
A node whose links are paused is not asked and not compared across them.
"""

from __future__ import annotations

import functools
import random
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
from redis import Redis
from redis.exceptions import RedisError

from crdt_core.codec.clocks import decode_clock
from crdt_core.codec.messages import Compact, Round, encode_message
from crdt_core.errors import DeltaicError, DigestMismatch, Malformed, UnknownNode
from crdt_core.types.members import Members
from workers.config.settings import load_settings
from workers.storage.evidence import evidence_of, questions
from workers.system.clock import wall_ms
from workers.wire.keys import AUDIT, MESSAGE_FIELD, PAUSED, Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.codec.messages import Message
    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.membership.evidence import NodeEvidence
    from workers.config.settings import FleetSettings

__all__ = ["audit", "compact", "gossip_round"]

_ANSWER_MARGIN_MS = 2000
_CONNECT_TIMEOUT_S = 1.0
_REPLY_TIMEOUT_S = 2.0

Report = dict[str, Any]


def gossip_round(node: str) -> Report:
    """Has `node` exchange what either side lacks with `gossip.fanout` random live peers; what that brought."""
    fleet = _Fleet.of(node)
    with fleet.single_flight("gossip") as alone:
        if not alone:
            return {"skipped": "a round is under way"}
        if not fleet.lives(node):
            return {"skipped": f"{node} is down"}
        candidates = [peer for peer in fleet.heard_peers() if fleet.lives(peer)]
        fanout = min(fleet.settings.gossip.fanout, len(candidates))
        peers = random.sample(candidates, fanout)
        name = secrets.token_hex(8)
        return fleet.ask(name, Round(name, tuple(peers), fleet.keys.answer(name)))


def compact(node: str) -> Report:
    """Has `node` forget what every member has: reports to it the clocks that its peers have published."""
    fleet = _Fleet.of(node)
    with fleet.single_flight("compact") as alone:
        if not alone:
            return {"skipped": "a compaction is under way"}
        if not fleet.lives(node):
            return {"skipped": f"{node} is down"}
        records = {peer: fleet.record(peer) for peer in fleet.peers()}
        clocks = {record.replica: record.clock for record in records.values() if record and not record.joining}
        absent = tuple(
            peer for peer, record in records.items() if not (record and record.running and fleet.lives(peer))
        )
        name = secrets.token_hex(8)
        return fleet.ask(name, Compact(clocks, absent, fleet.keys.answer(name)))


def audit(node: str) -> Report:
    """Compares what `node` and its peers have published: equal clocks must come with equal digests.

    Raises `DigestMismatch` where they do not, so that the job counts as failed; the report is kept in either case.
    """
    fleet = _Fleet.of(node)
    own = fleet.published(node)
    peers = {peer: fleet.published(peer) for peer in fleet.heard_peers()}
    groups: dict[str, list[str]] = {"agree": [], "differ_in_clock": [], "unreachable": [], "mismatch": []}
    for peer, state in peers.items():
        groups[_compare(own, state)].append(peer)
    report = {"at_ms": wall_ms(), **groups}
    fleet.redis(node).hset(AUDIT, node, orjson.dumps(report))
    if groups["mismatch"]:
        raise DigestMismatch(node, groups["mismatch"])
    return report


class _Published:
    """A node's clock and digest, as of one commit."""

    def __init__(self, clock: bytes, digest: bytes) -> None:
        self.clock: VersionVector = decode_clock(orjson.loads(clock))
        self.digest = digest


def _compare(own: _Published | None, peer: _Published | None) -> str:
    if own is None or peer is None:
        return "unreachable"
    if own.clock != peer.clock:
        return "differ_in_clock"
    return "agree" if own.digest == peer.digest else "mismatch"


class _Fleet:
    """The fleet as seen by a job of node `node`."""

    def __init__(self, settings: FleetSettings, node: str) -> None:
        settings.node(node)
        self.settings = settings
        self.node = node
        self.keys = Keys(node)

    @classmethod
    def of(cls, node: str) -> _Fleet:
        return cls(load_settings(), node)

    def redis(self, node: str) -> Redis:
        return _connection(self._url(node), _REPLY_TIMEOUT_S)

    def _url(self, node: str) -> str:
        """Raises `UnknownNode` where neither the fleet file nor the members say."""
        named = self.settings.nodes.get(node)
        if named is not None:
            return named.redis
        active = self._members.active
        written = self._members.facts[active[node]].redis if node in active else ""
        if not written:
            raise UnknownNode(node, list(self.settings.nodes))
        return written

    @functools.cached_property
    def _members(self) -> Members:
        """The fleet as the node knows it."""
        own = self.record(self.node)
        if own is None:
            return Members({}, {})
        return own.members if own.members.facts else Members.founders(own.founders)

    def peers(self) -> list[str]:
        """The other members."""
        return [peer for peer in self._members.active if peer != self.node]

    def heard_peers(self) -> list[str]:
        """The peers that the node listens to."""
        links = self.redis(self.node).hgetall(self.keys.links)
        return [peer for peer in self.peers() if links.get(peer.encode()) != PAUSED.encode()]

    def record(self, node: str) -> NodeEvidence | None:
        """What the Redis of `node` says of its replica; `None` where it cannot be reached or holds none."""
        try:
            with self.redis(node).pipeline(transaction=True) as pipeline:
                for question in questions(node):
                    pipeline.execute_command(*question)  # type: ignore[no-untyped-call]
                record = evidence_of(node, pipeline.execute(raise_on_error=False))
        except (RedisError, DeltaicError):
            return None
        return record if record.replica else None

    def lives(self, node: str) -> bool:
        """Whether `node` has given a sign of life just now."""
        try:
            return bool(self.redis(node).exists(Keys(node).alive))
        except (RedisError, UnknownNode):
            return False

    def published(self, node: str) -> _Published | None:
        """What `node` has published; `None` where it cannot be reached or never committed anything."""
        try:
            fields: list[Any] = self.redis(node).hmget(Keys(node).header, "clock", "digest")
            clock, digest = fields
            return _Published(clock, digest) if clock and digest else None
        except (RedisError, Malformed, UnknownNode, orjson.JSONDecodeError):
            return None

    @contextmanager
    def single_flight(self, job: str) -> Iterator[bool]:
        """Whether no other run of `job` for the node is under way; holds that off for the time of the block."""
        redis, key, token = self.redis(self.node), self.keys.lock(job), secrets.token_hex(8)
        lease_ms = self.settings.gossip.timeout_ms + 2 * _ANSWER_MARGIN_MS
        alone = bool(redis.set(key, token, nx=True, px=lease_ms))
        try:
            yield alone
        finally:
            if alone and redis.get(key) == token.encode():
                redis.delete(key)

    def ask(self, name: str, message: Message) -> Report:
        """Puts `message` into the node's inbox; the answer."""
        wait_s = (self.settings.gossip.timeout_ms + _ANSWER_MARGIN_MS) / 1000
        redis = _connection(self.settings.node(self.node).redis, wait_s + _REPLY_TIMEOUT_S)
        most = self.settings.limits.inbox_entries_max
        redis.xadd(self.keys.inbox, {MESSAGE_FIELD: encode_message(message)}, maxlen=most, approximate=True)
        answer: Any = redis.blpop([self.keys.answer(name)], timeout=wait_s)
        if answer is None:
            return {"skipped": f"{self.node} did not answer within {wait_s:g} s"}
        report: Report = orjson.loads(answer[1])
        return report


@functools.cache
def _connection(url: str, reply_timeout_s: float) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT_S, socket_timeout=reply_timeout_s)
