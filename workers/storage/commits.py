"""The commits of a node: one atomic commit per turn, sent in one write, and confirmed by one answer.

A commit is one write on one connection: MULTI, the changed fields, the delta's XADD, the header, EXEC, and behind it
the WATCH for the next commit (`workers.storage.ownership`). Nothing else happens to nearly all commits, so that way has
no task and no future: the answer of Redis is told to whoever waits for the commit. Everything else takes a task, which
goes on from that answer. The fields of a very large commit are staged first (`workers.storage.staging`).

After a lost connection, the task looks the commit up by its turn number, and sends it again only if Redis does not have
it. A Redis that owes a reply for too long loses its connection. A Redis that comes back with fewer commits than it had
confirmed is refilled with the whole replica (`workers.storage.refill`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import hiredis
import structlog

from crdt_core.errors import InvariantBroken, StoreUnavailable
from workers.storage.commit_buffer import CommitBuffer
from workers.storage.ownership import RETRY_S
from workers.storage.refill import Refill
from workers.storage.requests import quarantine_entry, replace_links, set_header, stream_commands
from workers.storage.slices import batches_of, is_little, leave_out_what_goes
from workers.storage.staging import STAGED_FIELDS
from workers.wire.keys import DELTA_FIELD
from workers.wire.replies import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crdt_core.node.events import Commit
    from crdt_core.node.node import Node
    from workers.storage.loading import LoadedHeader
    from workers.storage.ownership import Ownership
    from workers.storage.staging import Staging
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys
    from workers.wire.retry import Trouble

__all__ = ["COMMIT_BYTES_MAX", "Commits", "OnCommitted"]

log = structlog.get_logger()

OnCommitted: TypeAlias = "Callable[[Exception | None], None]"
"""Is told `None` once the commit is durable, or the error after which the replica must not go on."""

Answer: TypeAlias = "list[Any] | StoreUnavailable | None"
"""What Redis has said of a commit: its replies, the error in their place, or nothing yet."""

COMMIT_BYTES_MAX = 4 << 20
"""The largest transaction that a commit is sent in; a larger one is staged."""
_LOG_IS_AHEAD = ("equal or smaller", "exhausted the last possible ID")
"""Pieces of the errors with which Redis refuses an XADD because the log has a later entry already."""


class Commits:
    """The commits of the process that has `ownership`, behind the one that was `loaded` from `keys`.

    The log keeps about `log_entries_max` entries. `header`: the persisted header, as of the last confirmed commit.
    """

    def __init__(
        self, ownership: Ownership, keys: Keys, staging: Staging, loaded: LoadedHeader, log_entries_max: int
    ) -> None:
        self.header = loaded.fields
        self._ownership = ownership
        self._keys = keys
        self._staging = staging
        self._log_entries_max = log_entries_max
        self._token = ownership.token.encode()
        self._seal = loaded.seal
        """That of the last confirmed commit, without its turn."""
        self._buffer = CommitBuffer(keys, log_entries_max, ownership.watch())
        self._refill: Refill | None = None
        self._may_be_staged = False
        """Whether Redis may hold a staged commit that is not applied as a whole, as far as this process knows."""
        self._persisting: asyncio.Task[None] | None = None

    @property
    def turn(self) -> int:
        """The number of the last confirmed commit."""
        return self._ownership.turn

    @property
    def trouble(self) -> Trouble | None:
        """Since when Redis has not taken the commit under way, and why; `None` while it takes commits."""
        return self._ownership.trouble

    def commit(self, commit: Commit, on_committed: OnCommitted) -> None:
        """Persist all of `commit` or nothing; tell `on_committed` when Redis has confirmed it, however long that takes.

        A Redis that has lost commits is refilled if `enable_refill` was called. `on_committed` is told `Fenced` where
        another process has taken the replica over, and `InvariantBroken` where another process has continued its
        history.
        """
        number = b"%d" % (self._ownership.turn + 1)
        header = {"turn": number, **commit.header}
        if seal := header.get("seal", self._seal):
            header["seal"] = b"%b %b" % (number, seal)
        if self.header.get("run_id") != self._ownership.run_id:
            header["run_id"] = self._ownership.run_id
        first: StoreUnavailable | None = None
        if not (commit.earlier or self._may_be_staged):
            packed, count = self._buffer.packed(commit, header)
            if len(packed) <= COMMIT_BYTES_MAX:
                try:
                    self._ownership.wire.submit(packed, count, partial(self._take, commit, header, on_committed))
                except StoreUnavailable as error:
                    first = error
                else:
                    return
        self._persist_in_task(commit, header, on_committed, first)

    def give_up(self) -> None:
        """Forget the commit under way, which nobody waits for any more; whether it takes effect is open. Idempotent."""
        if self._persisting is not None:
            self._persisting.cancel()
        self._ownership.wire.give_up()

    def _take(
        self,
        commit: Commit,
        header: dict[str, bytes],
        on_committed: OnCommitted,
        answer: Answer,
        *,
        is_durable: bool = False,
    ) -> None:
        """Take the first answer to `commit`, which sets `header`; or that it `is_durable`, whatever was answered."""
        if type(answer) is list:
            executed, watched = answer[-3], answer[-1]
            is_guarded = watched == [self._token, header["turn"]] and type(executed) is list
            is_durable = is_guarded and hiredis.ReplyError not in map(type, executed)
        if not is_durable:
            self._persist_in_task(commit, header, on_committed, answer)
            return
        self._ownership.turn += 1
        self.header.update(header)
        self._seal = commit.header.get("seal", self._seal)
        self._ownership.trouble = None
        on_committed(None)

    def _persist_in_task(
        self, commit: Commit, header: dict[str, bytes], on_committed: OnCommitted, answer: Answer
    ) -> None:
        """Persist `commit` where that takes more than one answer of Redis. `answer`: the first one, if there is one."""
        self._persisting = asyncio.create_task(self._persist_and_tell(commit, header, on_committed, answer))

    async def _persist_and_tell(
        self, commit: Commit, header: dict[str, bytes], on_committed: OnCommitted, answer: Answer
    ) -> None:
        try:
            await self._persist(commit, header, answer)
        except Exception as error:  # noqa: BLE001  whoever waits for the commit has to know
            on_committed(error)
        else:
            self._take(commit, header, on_committed, None, is_durable=True)

    async def _persist(self, commit: Commit, header: dict[str, bytes], answer: Answer) -> None:
        """Return once `commit` is durable; see `commit` and `_persist_in_task`."""
        is_staged = False
        if commit.earlier:
            await leave_out_what_goes(commit)
            is_staged = not is_little(self._keys, commit)
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
                if reached < confirmed:
                    reached = await self._attempt_refill(commit, turn, header)
                elif is_staged:
                    reached = await self._commit_staged(commit, header)
                elif answer is not None:
                    first, answer = answer, None
                    reached = await self._judge(first, commit)
                else:
                    packed, count = self._buffer.packed(commit, header)
                    is_staged = len(packed) > COMMIT_BYTES_MAX
                    if is_staged:
                        continue
                    reached = await self._judge(await self._ownership.wire.exchange(packed, count), commit)
            except StoreUnavailable as error:
                reached = await self._recover(turn, error)
                header["run_id"] = self._ownership.run_id
            self._may_be_staged |= reached < turn  # Redis may have been set back, even to the turn confirmed before

    async def _recover(self, turn: int, error: StoreUnavailable) -> int:
        """Return the turn that Redis is at, on a new connection, after the commit `turn` was interrupted by `error`."""
        if self._ownership.trouble is None:
            log.warning("commit_interrupted", node=self._keys.node, turn=turn, reason=str(error))
        else:
            await asyncio.sleep(RETRY_S)
        self._ownership.note_trouble(str(error))
        return await self._ownership.renew()

    def enable_refill(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        """Refill a Redis that has lost commits, from now on, with what `node` holds in memory.

        `check_history` raises `InvariantBroken` if a peer has seen commits of the replica that `node` does not have.
        """
        self._refill = Refill(node, check_history)

    async def _judge(self, replies: list[Any] | StoreUnavailable, commit: Commit) -> int:
        """Return the turn that Redis is at, by its `replies` to the end of a transaction that does `commit`.

        Raises the error that stands in place of replies.

        Redis may have the commit although this EXEC was refused: a copy sent before a lost connection may have arrived
        late. And where the EXEC succeeded, another process may have taken over before the WATCH behind it, which then
        guards nothing. So the token is checked in both cases.
        """
        if isinstance(replies, StoreUnavailable):
            raise replies
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
            raise InvariantBroken(f"{self._keys.node}: Redis holds keys that are not ours: {'; '.join(errors)}")
        await self._replace_log(commit)

    async def _replace_log(self, commit: Commit) -> None:
        """Move foreign entries to the quarantine, and begin a new log with the delta of `commit`.

        Peers that lack earlier deltas notice the gap and ask for a patch. Like every write, this requires the
        ownership. If it is interrupted, the next commit finds a foreign entry again.
        """
        place = f"{commit.counter}-0"
        (foreign,) = await self._ownership.ask(("XRANGE", self._keys.log, place, "+", "COUNT", 100))
        log.warning("log_replaced", node=self._keys.node, foreign=[text(entry) for entry, _ in foreign])
        reason = "not written by the owner of the log"
        replacement: list[RedisCommand] = [
            *(quarantine_entry(self._keys, "own log", entry, reason, b" ".join(content)) for entry, content in foreign),
            ("UNLINK", self._keys.log),
            ("XADD", self._keys.log, place, DELTA_FIELD, bytes(commit.delta or b"")),
        ]
        *_, watched = await self._ownership.ask(("MULTI",), *replacement, ("EXEC",), *self._ownership.watch())
        self._ownership.turn_reached(watched)

    async def _commit_staged(self, commit: Commit, header: dict[str, bytes]) -> int:
        """Stage the objects that `commit` changes, and commit; return the turn that Redis is at."""
        await self._staging.put(batches_of(self._keys, commit), self._token)
        rest = stream_commands(self._keys, commit, self._log_entries_max)
        return await self._send_staged([*rest, set_header(self._keys, {**header, **STAGED_FIELDS})], commit)

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
            raise InvariantBroken(f"{self._keys.node}: Redis has lost commits; it had confirmed {self._ownership.turn}")
        node = self._refill.node
        log.warning("redis_loss_detected", node=self._keys.node, confirmed=self._ownership.turn)
        await self._refill.stage(self._ownership, self._keys, self._staging, self._ownership.note_trouble)
        reached = await self._send_staged(self._rest_of_refill(node, commit, header), commit)
        if reached == turn:
            node.counts["repersisted"] += 1
            log.warning("redis_refilled", node=self._keys.node, turn=turn, objects=len(node.replica.catalogue.heads))
        return reached

    def _rest_of_refill(self, node: Node, commit: Commit, header: dict[str, bytes]) -> list[RedisCommand]:
        """Return the commands for the header, the links and the streams, which follow the objects."""
        fields = {**self._ownership.fields, **self.header, **header}
        return [
            ("UNLINK", self._keys.header),
            set_header(self._keys, {**fields, "run_id": self._ownership.run_id, **STAGED_FIELDS}),
            *replace_links(self._keys, node.paused),
            *stream_commands(self._keys, commit, self._log_entries_max),
        ]
