"""The replica's persistent store in Redis: owned by one process, loaded once, changed by one atomic commit per turn.

A commit is one write on one connection: MULTI, the changed fields, the delta's XADD, the header, EXEC, and behind it
the WATCH for the next commit (`workers.storage.ownership`). The fields of a very large commit are staged first
(`workers.storage.staging`).

After a lost connection, the store looks the commit up by its turn number, and sends it again only if Redis does not
have it. A Redis that owes a reply for too long loses its connection. A Redis that comes back with fewer commits than it
had confirmed is refilled with the whole replica (`workers.storage.refill`).

Besides `workers.storage.restore`, which is for a node that does not run, this is the only module that writes a
replica's hashes.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import hiredis
import structlog

from crdt_core.codec.header import Header, decode_header, encode_header
from crdt_core.errors import DamagedState, InvariantBroken, StoreUnavailable
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.membership.incarnations import decode_formers
from workers.storage.commit_buffer import CommitBuffer
from workers.storage.loading import load_state
from workers.storage.object_keys import delete_objects
from workers.storage.ownership import RETRY_S, Ownership
from workers.storage.refill import Refill
from workers.storage.requests import (
    quarantine_entry,
    replace_links,
    set_header,
    stream_commands,
)
from workers.storage.slices import batches_of, is_little, leave_out_what_goes
from workers.storage.staging import STAGED_FIELDS, Staging
from workers.wire.connection import TooManyBytes
from workers.wire.keys import DELTA_FIELD, Keys
from workers.wire.replies import locating_malformed, pairs, text
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.node.events import Commit
    from crdt_core.node.node import Node
    from crdt_core.replica.replica import Replica
    from workers.wire.connection import RedisCommand

__all__ = ["COMMIT_BYTES_MAX", "Store"]

T = TypeVar("T")

log = structlog.get_logger()

COMMIT_BYTES_MAX = 4 << 20
"""The largest transaction that a commit is sent in; a larger one is staged."""
_LOG_IS_AHEAD = ("equal or smaller", "exhausted the last possible ID")
"""Pieces of the errors with which Redis refuses an XADD because the log has a later entry already."""


class Store:
    """The persisted replica of node `node` in the Redis at `url`; `token` identifies this process as its owner.

    `commit_timeout_s`: how long Redis may owe a reply and send nothing before its connection is closed.
    `load_timeout_s`: the same for large replies, as while the state is loaded.
    """

    def __init__(
        self,
        node: str,
        url: str,
        token: str,
        log_entries_max: int,
        *,
        commit_timeout_s: float = 5.0,
        load_timeout_s: float = 60.0,
    ) -> None:
        self.keys = Keys(node)
        self._ownership = Ownership(node, url, token, silence_s=commit_timeout_s, load_silence_s=load_timeout_s)
        self._log_entries_max = log_entries_max
        self._header: dict[str, bytes] = {}
        self._token = token.encode()
        self._seal = b""
        """That of the last confirmed commit, without its turn."""
        self._buffer = self._new_buffer()
        self.trouble: Trouble | None = None
        """Since when Redis has not taken the commit under way, and why; `None` while it takes commits."""
        self._staging = Staging(self._ownership, self.keys)
        self._refill: Refill | None = None
        self._may_be_staged = False
        """Whether Redis may hold a staged commit that is not applied as a whole, as far as this process knows."""

    @property
    def token(self) -> str:
        """The fencing token of this process."""
        return self._ownership.token

    @property
    def run_id(self) -> str:
        """The run id of the Redis process at the other end."""
        return text(self._ownership.run_id)

    @property
    def turn(self) -> int:
        """The number of the last confirmed commit."""
        return self._ownership.turn

    @property
    def header(self) -> Mapping[str, bytes]:
        """The persisted header, as of the last confirmed commit."""
        return self._header

    @property
    def connected(self) -> bool:
        """Whether the connection that holds the ownership is open, as far as this process knows."""
        return self._ownership.connected

    async def acquire(self, *, takeover: bool) -> None:
        """Make this process the owner of the replica; see `Ownership.acquire`. Raises `AlreadyRunning`.

        A commit that the former owner had staged is completed.
        """
        await self._ownership.acquire(takeover=takeover)
        await self._until_done(self._staging.finish)

    async def release(self) -> None:
        """Give the ownership up. Raises `Fenced` if it was lost."""
        await self._ownership.release()

    def close(self) -> None:
        """Close the connection; see `Ownership.close`."""
        self._ownership.close()

    async def begin(self, replica: ReplicaId, fields: Mapping[str, bytes], *, discard: bool = False) -> None:
        """Write into the header that the node goes on as `replica`, together with `fields`. Raises `Fenced`.

        The log of the id before is deleted: its peers get those commits from the state. With `discard`, the state is
        deleted instead, because it belongs to a former incarnation, and the log stays: it may hold unsent writes. That
        takes several steps, and the header says that the state is damaged until all of it is gone.
        """
        step = self._discard if discard else self._continue
        await self._until_done(partial(step, {"replica": replica.encode(), **fields}))

    async def _continue(self, fields: Mapping[str, bytes]) -> None:
        (former,) = await self._ownership.ask(("HGET", self.keys.header, "replica"))
        log_key = Keys(self.keys.node, text(former or b"")).log
        await self._ownership.transact(set_header(self.keys, fields), ("UNLINK", log_key))

    async def _discard(self, fields: Mapping[str, bytes]) -> None:
        empty = await self._delete_state()
        await self._ownership.transact(set_header(self.keys, {**empty, "damaged": b"", **fields}))

    async def move(self, node: str, replica: ReplicaId, fields: Mapping[str, bytes]) -> None:
        """Give this Redis to node `node`, another name of this machine, which goes on as `replica` with `fields`.

        The logs of the ids that `fields` names as former ones go there, as they may hold unsent writes. The state is
        deleted. The header of the present name says where the machine went. Raises `Fenced`.
        """
        await self._until_done(partial(self._move, node, {"replica": replica.encode(), **fields}))

    async def _move(self, node: str, fields: Mapping[str, bytes]) -> None:
        formers = decode_formers(text(fields["former"]))
        logs = {Keys(self.keys.node, former).log: Keys(node, former).log for former in formers}
        is_moved, *found = await self._ownership.ask(
            ("HEXISTS", self.keys.header, "renamed"), *(("EXISTS", log_key) for log_key in logs)
        )
        if is_moved:
            return  # an earlier attempt, whose reply was lost
        written = {
            **await self._delete_state(),
            "run_id": self._ownership.run_id,
            "format": self._ownership.fields["format"],
            **fields,
        }
        await self._ownership.transact(
            ("UNLINK", self.keys.header, self.keys.inbox, self.keys.added),
            set_header(self.keys, {"renamed": node.encode(), **self._ownership.fields}),
            ("UNLINK", Keys(node).header),
            set_header(Keys(node), written),
            *(("RENAME", *names) for names, exists in zip(logs.items(), found, strict=True) if exists),
        )

    async def _delete_state(self) -> dict[str, bytes]:
        """Delete all objects, in steps, and return the header of an empty state, with the same hybrid clock.

        From the first step on, the header says that the state is damaged.
        """
        with self._ownership.slow_replies():
            (header,) = await self._ownership.ask(("HGETALL", self.keys.header))
            with locating_malformed(self.keys.header):
                hlc = decode_header(dict(pairs(header))).hlc
            await self._ownership.transact(set_header(self.keys, {"damaged": b"a part of it was discarded"}))
            await delete_objects(self._ownership, self.keys)
        return encode_header(Header(VersionVector(), VersionVector(), 0, hlc, removals=0))

    async def _until_done(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `attempt`, which is repeated on a new connection while Redis does not answer.

        A Redis that was set back meanwhile may be amid a staged commit again, so that is finished first.
        """
        reason = ""
        while True:
            try:
                if reason:
                    await self._staging.finish()
                return await attempt()
            except StoreUnavailable as error:
                if str(error) != reason:
                    reason = str(error)
                    log.warning("start_interrupted", node=self.keys.node, reason=reason)
                await asyncio.sleep(RETRY_S)
                await self._ownership.renew(self._record_trouble)

    async def load(self, replica: Replica) -> HybridClock:
        """Read the persisted state into the empty `replica`, and return the persisted hybrid clock.

        Raises `CorruptState`; `Fenced` where another process takes the replica over meanwhile; `DamagedState` for a
        state that is not what was committed. The header says so from then on.
        """
        self.keys = Keys(self.keys.node, replica.id)
        self._buffer = self._new_buffer()
        try:
            loaded = await self._until_done(partial(load_state, self._ownership, self.keys, replica))
        except DamagedState as damaged:
            mark = set_header(self.keys, {"damaged": damaged.reason.encode()})
            await self._until_done(partial(self._ownership.transact, mark))
            raise
        self._ownership.turn, self._header, self._seal = loaded.turn, loaded.fields, loaded.seal
        self.trouble = None
        return HybridClock(loaded.hlc)

    async def commit(self, commit: Commit) -> None:
        """Persist all of `commit` or nothing; return when Redis has confirmed it, however long that takes.

        A Redis that has lost commits is refilled if `enable_refill` was called. Raises `Fenced` where another process
        has taken the replica over, and `InvariantBroken` where another process has continued its history.
        """
        is_staged = False
        if commit.earlier:
            await leave_out_what_goes(commit)
            is_staged = not is_little(self.keys, commit)
            if not is_staged and commit.delta is not None:
                commit.delta = bytes(commit.delta)
        confirmed = self._ownership.turn
        reached, turn = confirmed, confirmed + 1
        while reached < turn or self._may_be_staged:
            try:
                if self._may_be_staged and reached >= confirmed:
                    await self._staging.finish()
                    self._may_be_staged = False
                    continue
                header = {"turn": b"%d" % turn, **commit.header}
                if seal := header.get("seal", self._seal):
                    header["seal"] = b"%b %b" % (header["turn"], seal)
                if self._header.get("run_id") != self._ownership.run_id:
                    header["run_id"] = self._ownership.run_id
                if reached < confirmed:
                    reached = await self._attempt_refill(commit, turn, header)
                    continue
                if is_staged:
                    reached = await self._commit_staged(commit, header)
                    continue
                try:
                    replies = await self._ownership.wire.send(self._buffer.commands(commit, header), COMMIT_BYTES_MAX)
                except TooManyBytes:
                    reached = await self._commit_staged(commit, header)
                    continue
                executed, watched = replies[-3], replies[-1]
                is_as_expected = watched == [self._token, header["turn"]] and type(executed) is list
                if is_as_expected and hiredis.ReplyError not in map(type, executed):
                    reached = turn
                else:
                    reached = await self._judge(replies, commit)
            except StoreUnavailable as error:
                reached = await self._recover(turn, error)
            self._may_be_staged |= reached < turn  # Redis may have been set back, even to the turn confirmed before
        self._ownership.turn = turn
        self._header.update(header)
        self._seal = commit.header.get("seal", self._seal)
        self.trouble = None

    async def _recover(self, turn: int, error: StoreUnavailable) -> int:
        """Return the turn that Redis is at, on a new connection, after the commit `turn` was interrupted by `error`."""
        if self.trouble is None:
            log.warning("commit_interrupted", node=self.keys.node, turn=turn, reason=str(error))
        else:
            await asyncio.sleep(RETRY_S)
        self._record_trouble(str(error))
        return await self._ownership.renew(self._record_trouble)

    def enable_refill(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        """Refill a Redis that has lost commits, from now on, with what `node` holds in memory.

        `check_history` raises `InvariantBroken` if a peer has seen commits of the replica that `node` does not have.
        """
        self._refill = Refill(node, check_history)

    def _new_buffer(self) -> CommitBuffer:
        return CommitBuffer(self.keys, self._log_entries_max, self._ownership.watch())

    async def _judge(self, replies: list[Any], commit: Commit) -> int:
        """Return the turn that Redis is at, by its `replies` to the end of a transaction that does `commit`.

        Redis may have the commit although this EXEC was refused: a copy sent before a lost connection may have arrived
        late. And where the EXEC succeeded, another process may have taken over before the WATCH behind it, which then
        guards nothing. So the token is checked in both cases.
        """
        executed, watched = replies[-3], replies[-1]
        if isinstance(executed, hiredis.ReplyError):
            reasons = [str(reply) for reply in replies[:-3] if isinstance(reply, hiredis.ReplyError)]
            raise StoreUnavailable(f"Redis refuses: {'; '.join(dict.fromkeys(reasons)) or executed}")
        reached = self._ownership.turn_reached(watched)
        if executed is not None:
            await self._check_results(executed, commit)
        return reached

    async def _check_results(self, results: list[Any], commit: Commit) -> None:
        """Handle a command that failed inside a transaction that succeeded.

        The XADD fails if another process has written to the log, ahead of the log's owner: then the log is replaced.
        Raises `InvariantBroken` for any other failure.
        """
        errors = [str(result) for result in results if isinstance(result, hiredis.ReplyError)]
        if not errors:
            return
        if len(errors) > 1 or not any(reason in errors[0] for reason in _LOG_IS_AHEAD):
            raise InvariantBroken(f"{self.keys.node}: Redis holds keys that are not ours: {'; '.join(errors)}")
        await self._replace_log(commit)

    async def _replace_log(self, commit: Commit) -> None:
        """Move foreign entries to the quarantine, and begin a new log with the delta of `commit`.

        Peers that lack earlier deltas notice the gap and ask for a patch. Like every write, this requires the
        ownership. If it is interrupted, the next commit finds a foreign entry again.
        """
        place = f"{commit.counter}-0"
        (foreign,) = await self._ownership.ask(("XRANGE", self.keys.log, place, "+", "COUNT", 100))
        log.warning("log_replaced", node=self.keys.node, foreign=[text(entry) for entry, _ in foreign])
        reason = "not written by the owner of the log"
        replacement: list[RedisCommand] = [
            *(quarantine_entry(self.keys, "own log", entry, reason, b" ".join(content)) for entry, content in foreign),
            ("UNLINK", self.keys.log),
            ("XADD", self.keys.log, place, DELTA_FIELD, bytes(commit.delta or b"")),
        ]
        *_, watched = await self._ownership.ask(("MULTI",), *replacement, ("EXEC",), *self._ownership.watch())
        self._ownership.turn_reached(watched)

    async def _commit_staged(self, commit: Commit, header: dict[str, bytes]) -> int:
        """Stage the objects that `commit` changes, and commit; return the turn that Redis is at."""
        await self._staging.put(batches_of(self.keys, commit), self._token)
        rest = stream_commands(self.keys, commit, self._log_entries_max)
        return await self._send_staged([*rest, set_header(self.keys, {**header, **STAGED_FIELDS})], commit)

    async def _send_staged(self, commands: list[RedisCommand], commit: Commit) -> int:
        """Execute `commands`, which commit what is staged, in one transaction; return the turn that Redis is at."""
        self._may_be_staged = True
        transaction = [("MULTI",), *commands, ("EXEC",), *self._ownership.watch()]
        replies = await self._ownership.wire.send(transaction, in_slices=True)
        return await self._judge(replies, commit)

    async def _attempt_refill(self, commit: Commit, turn: int, header: dict[str, bytes]) -> int:
        """Stage everything in memory, and commit that together with `commit`; return the turn that Redis is at.

        The commit succeeds only if nobody has written to the header since the loss was found. Raises `Fenced` and
        `InvariantBroken` where another process has continued this history.
        """
        if self._refill is None:
            raise InvariantBroken(f"{self.keys.node}: Redis has lost commits; it had confirmed {self.turn}")
        node = self._refill.node
        log.warning("redis_loss_detected", node=self.keys.node, confirmed=self.turn)
        await self._refill.stage(self._ownership, self.keys, self._staging, self._record_trouble)
        reached = await self._send_staged(self._rest_of_refill(node, commit, header), commit)
        if reached == turn:
            node.counts["repersisted"] += 1
            log.warning("redis_refilled", node=self.keys.node, turn=turn, objects=len(node.replica.catalogue.heads))
        return reached

    def _rest_of_refill(self, node: Node, commit: Commit, header: dict[str, bytes]) -> list[RedisCommand]:
        """Return the commands for the header, the links and the streams, which follow the objects."""
        fields = {**self._ownership.fields, **self._header, **header}
        return [
            ("UNLINK", self.keys.header),
            set_header(self.keys, {**fields, "run_id": self._ownership.run_id, **STAGED_FIELDS}),
            *replace_links(self.keys, node.paused),
            *stream_commands(self.keys, commit, self._log_entries_max),
        ]

    def _record_trouble(self, reason: str) -> None:
        self.trouble = Trouble(self.trouble.since_s if self.trouble else monotonic(), reason)
