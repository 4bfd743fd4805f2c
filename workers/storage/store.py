"""The replica's home in Redis: claimed by one process, loaded once, changed by one atomic commit a turn.

A commit is one buffer on one connection: MULTI, the changed fields, the delta's XADD, the header, EXEC, and behind it
the WATCH for the next one (`workers.storage.ownership`).

After a lost connection the commit is looked up by its turn number and sent again only if it is not there. A Redis that
owes an answer for too long loses its connection. One that comes back with less than it had confirmed is given the whole
replica again (`workers.storage.refill`).

Besides `workers.storage.restore`, for a node that does not run, this is the only module that writes a replica's hashes.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import hiredis
import structlog

from crdt_core.codec.header import Header, decode_header, encode_header
from crdt_core.codec.records import decode_object, decode_part, object_hashes
from crdt_core.errors import InvariantBroken, Malformed, StoreUnavailable
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.lattice.replica_index import ReplicaIndex
from workers.storage.commit_buffer import CommitBuffer
from workers.storage.ownership import RETRY_S, Ownership
from workers.storage.refill import Memory
from workers.storage.requests import beside_records, header_set, links_set, quarantined
from workers.wire.keys import DELTA_FIELD, Keys
from workers.wire.replies import corrupt, number, pairs, reading, text
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.node.events import Commit
    from crdt_core.node.node import Node
    from crdt_core.replica.replica import Replica
    from crdt_core.types.object import Object
    from workers.wire.connection import RedisCommand

__all__ = ["Store"]

log = structlog.get_logger()

_OBJECTS_PER_BATCH = 256
_FIELDS_PER_SCAN = 4096
_LOG_IS_AHEAD = ("equal or smaller", "exhausted the last possible ID")


class Store:
    """The persisted replica of node `node` in the Redis at `url`; `token` marks this process as its owner.

    `commit_timeout_s`: how long Redis may owe an answer and say nothing before its connection is given up.
    """

    def __init__(self, node: str, url: str, token: str, log_entries_max: int, *, commit_timeout_s: float = 5.0) -> None:
        self.keys = Keys(node)
        self._claim = Ownership(node, url, token, silence_s=commit_timeout_s)
        self._token = token.encode()
        self._log_entries_max = log_entries_max
        self._header: dict[str, bytes] = {}
        self._buffer = self._new_buffer()
        self.trouble: Trouble | None = None
        """Since when Redis has not taken the commit under way, and why; `None` where nothing is amiss."""
        self._memory: Memory | None = None

    @property
    def token(self) -> str:
        """What marks this process as the owner."""
        return self._claim.token

    @property
    def turn(self) -> int:
        """The number of the last confirmed commit."""
        return self._claim.turn

    @property
    def header(self) -> Mapping[str, bytes]:
        """The persisted header, as of the last confirmed commit."""
        return self._header

    @property
    def connected(self) -> bool:
        """Whether the connection that holds the replica stands, as far as is known."""
        return self._claim.connected

    async def claim(self, *, takeover: bool) -> None:
        """Makes this process the owner, fencing any former one; raises `AlreadyRunning`, see `Ownership.take`."""
        await self._claim.take(takeover=takeover)

    async def release(self) -> None:
        """Gives the replica up, if it is still owned; raises `Fenced`."""
        await self._claim.release()

    async def begin(self, replica: ReplicaId, fields: Mapping[str, bytes], *, discard: bool = False) -> None:
        """Notes in the header that the node goes on as `replica`, and `fields`; raises `Fenced`.

        The log of the id before goes: its peers fetch what it says from the state. `discard`: instead the state goes,
        as it belongs to a former life, and the log stays, as it may hold unsent writes.
        """
        asked = await self._claim.ask(("HGETALL", self.keys.header), ("HGETALL", self.keys.state))
        header, catalogue = (dict(pairs(reply)) for reply in asked)
        noted = {"replica": replica.encode(), **fields}
        gone = [Keys(self.keys.node, text(header.get(b"replica", b""))).log.encode()]
        if discard:
            heads = self._heads(catalogue.items(), ReplicaIndex())
            gone = [self.keys.state.encode(), *(self.keys.record(h) for head in heads for _, h in object_hashes(head))]
            with reading(self.keys.header):
                hlc = decode_header(header).hlc
            noted.update(encode_header(Header(VersionVector(), VersionVector(), 0, hlc)))
        await self._claim.put(header_set(self.keys, noted), ("UNLINK", *gone))

    async def load(self, replica: Replica) -> HybridClock:
        """Reads the persisted state into the empty `replica`; the hybrid clock as it was.

        Raises `CorruptState`, and `Fenced` where another process takes the replica over meanwhile.
        """
        self.keys = Keys(self.keys.node, replica.id)
        self._buffer = self._new_buffer()
        while True:
            try:
                return await self._load(replica)
            except StoreUnavailable as error:
                log.warning("load_interrupted", node=self.keys.node, reason=str(error))
                await self._claim.renew(self._note)

    async def _load(self, replica: Replica) -> HybridClock:
        with self._claim.patience():
            fields, catalogue = await self._hashes([self.keys.header, self.keys.state])
            named = dict(fields)
            with reading(self.keys.header):
                header = decode_header(named)
                turn = number(named.get(b"turn", b"0"))
            heads = self._heads(catalogue, replica.catalogue.replica_index)
            await self._load_parts([pair for head in heads for pair in object_hashes(head)], replica)
            with reading(self.keys.state):
                replica.restore(header.clock, header.stable, header.digest, heads)
        self._claim.turn, self._header = turn, {text(name): value for name, value in named.items()}
        self.trouble = None
        return HybridClock(header.hlc)

    def _heads(self, catalogue: Iterable[tuple[bytes, bytes]], replica_index: ReplicaIndex) -> list[Object]:
        """The objects in the catalogue, collections without their parts. Raises `CorruptState`."""
        heads = []
        for key, value in catalogue:
            with reading(self.keys.state, key):
                heads.append(decode_object(key, value, replica_index))
        return heads

    async def _hashes(self, keys: Sequence[str | bytes]) -> list[list[tuple[bytes, bytes]]]:
        """All fields of each hash. Raises `CorruptState` for a key that holds something else."""
        return [list(pairs(reply)) for reply in await self._claim.ask(*(("HGETALL", key) for key in keys))]

    async def _load_parts(self, hashes: list[tuple[Object, bytes]], replica: Replica) -> None:
        """Reads the parts of collections, large ones in pieces: what is read is then kept in place of what was."""
        replica_index = replica.catalogue.replica_index
        for start in range(0, len(hashes), _OBJECTS_PER_BATCH):
            batch = hashes[start : start + _OBJECTS_PER_BATCH]
            waiting = [(link, self.keys.record(hash_), b"0") for link, hash_ in batch]
            while waiting:
                scans = (("HSCAN", key, cursor, "COUNT", _FIELDS_PER_SCAN) for _, key, cursor in waiting)
                unfinished = []
                for (link, key, _), (cursor, fields) in zip(waiting, await self._claim.ask(*scans), strict=True):
                    _adopt(link, key, fields, replica_index)
                    if cursor != b"0":
                        unfinished.append((link, key, cursor))
                waiting = unfinished

    async def commit(self, commit: Commit) -> None:
        """Persists `commit`, all or nothing; returns once Redis has confirmed it, however long that takes.

        A Redis that has lost commits is given the whole replica back, if that is known (`remember`). Raises `Fenced`
        where another process has taken the replica over, and `InvariantBroken` where it has continued its history.
        """
        confirmed = self._claim.turn
        reached, turn = confirmed, confirmed + 1
        while reached < turn:
            try:
                header = {"turn": b"%d" % turn, **commit.header}
                if self._header.get("run_id") != self._claim.run_id:
                    header["run_id"] = self._claim.run_id
                if reached < confirmed:
                    reached = await self._repersist(commit, turn, header)
                    continue
                replies = await self._claim.wire.send(self._buffer.commands(commit, header))
                executed, watched = replies[-3], replies[-1]
                is_as_expected = watched == [self._token, header["turn"]] and type(executed) is list
                if is_as_expected and hiredis.ReplyError not in map(type, executed):
                    reached = turn
                else:
                    reached = await self._judge(replies, commit)
            except StoreUnavailable as error:
                self._note(str(error))
                log.warning("commit_interrupted", node=self.keys.node, turn=turn, reason=str(error))
                reached = await self._claim.renew(self._note)
        self._claim.turn = turn
        self._header.update(header)
        self.trouble = None

    def _new_buffer(self) -> CommitBuffer:
        return CommitBuffer(self.keys, self._log_entries_max, self._claim.watch())

    async def _judge(self, replies: list[Any], commit: Commit) -> int:
        """The turn that Redis is at, by its `replies` to the end of a transaction that does `commit`.

        It may be there although this EXEC was refused, where a copy sent before a lost connection got through late.
        And where the EXEC went through, another process may have taken over before the WATCH behind it, which then
        guards nothing: so the token is looked at in either case.
        """
        executed, watched = replies[-3], replies[-1]
        if isinstance(executed, hiredis.ReplyError):
            reasons = [str(reply) for reply in replies[:-3] if isinstance(reply, hiredis.ReplyError)]
            await asyncio.sleep(RETRY_S)
            raise StoreUnavailable(f"Redis refuses: {'; '.join(dict.fromkeys(reasons)) or executed}")
        now_at = self._claim.place(watched)
        if executed is not None:
            await self._check_results(executed, commit)
        return now_at

    async def _check_results(self, results: list[Any], commit: Commit) -> None:
        """Looks for a command of the transaction that failed by itself.

        That is the XADD if somebody else has written to the log, ahead of its owner. Raises `InvariantBroken` for
        anything else.
        """
        errors = [str(result) for result in results if isinstance(result, hiredis.ReplyError)]
        if not errors:
            return
        if len(errors) > 1 or not any(reason in errors[0] for reason in _LOG_IS_AHEAD):
            raise InvariantBroken(f"{self.keys.node}: Redis holds keys that are not ours: {'; '.join(errors)}")
        await self._replace_log(commit)

    async def _replace_log(self, commit: Commit) -> None:
        """Sets foreign entries aside and starts the log anew with the delta of `commit`.

        Peers that lack more than it notice the gap and ask for a patch. Like every write it happens only while the
        replica is owned; if it is interrupted, the next commit finds its place taken too.
        """
        place = f"{commit.counter}-0"
        (foreign,) = await self._claim.ask(("XRANGE", self.keys.log, place, "+", "COUNT", 100))
        log.warning("log_replaced", node=self.keys.node, foreign=[text(entry) for entry, _ in foreign])
        reason = "not written by the owner of the log"
        anew: list[RedisCommand] = [
            *(quarantined(self.keys, "own log", entry, reason, b" ".join(content)) for entry, content in foreign),
            ("UNLINK", self.keys.log),
            ("XADD", self.keys.log, place, DELTA_FIELD, commit.delta or b""),
        ]
        *_, watched = await self._claim.ask(("MULTI",), *anew, ("EXEC",), *self._claim.watch())
        self._claim.place(watched)

    # After a loss

    def remember(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        """From now on, a Redis that loses commits is given back what `node` holds in memory.

        `check_history` raises `InvariantBroken` where a peer has seen more of the replica than `node` has.
        """
        self._memory = Memory(node, check_history)

    async def _repersist(self, commit: Commit, turn: int, header: dict[str, bytes]) -> int:
        """The turn that Redis is at after it was given everything in memory, `commit` included, in one transaction.

        The transaction goes through only if nobody has touched the header since it was found set back. Raises `Fenced`
        and `InvariantBroken` where another process has gone on with this history.
        """
        if self._memory is None:
            raise InvariantBroken(f"{self.keys.node}: Redis has lost commits; it had confirmed {self.turn}")
        node = self._memory.node
        log.warning("redis_set_back", node=self.keys.node, confirmed=self.turn)
        try:
            await self._memory.begin(self._claim, self.keys)
            rest = self._rest_of_image(node, commit, header)
            replies = await self._claim.wire.send([*rest, ("EXEC",), *self._claim.watch()])
            reached = await self._judge(replies, commit)
        except StoreUnavailable:
            await asyncio.sleep(RETRY_S)
            raise
        if reached == turn:
            node.counts["repersisted"] += 1
            log.warning("repersisted", node=self.keys.node, turn=turn, objects=len(node.replica.catalogue.objects))
        return reached

    def _rest_of_image(self, node: Node, commit: Commit, header: dict[str, bytes]) -> list[RedisCommand]:
        """The header, the links, and what `commit` does beside the objects."""
        fields = {**self._claim.fields, **self._header, **header}
        return [
            ("UNLINK", self.keys.header),
            header_set(self.keys, {**fields, "run_id": self._claim.run_id}),
            *links_set(self.keys, node.paused),
            *beside_records(self.keys, commit, self._log_entries_max),
        ]

    def _note(self, reason: str) -> None:
        self.trouble = Trouble(self.trouble.since_s if self.trouble else monotonic(), reason)


def _adopt(link: Object, key: bytes, fields: list[bytes], replica_index: ReplicaIndex) -> None:
    """Takes parts in as they are persisted. Raises `CorruptState`."""
    part: bytes | None = None
    try:
        for part, value in pairs(fields):
            link.adopt(part, decode_part(link, value, replica_index))
    except Malformed as error:
        raise corrupt(key, part, error) from error
