"""The replica's persistent store in Redis: owned by one process, loaded once, changed by one atomic commit per turn.

This module has what a process does before its first turn and after its last one. The commits are in
`workers.storage.commits`. Besides `workers.storage.restore`, which is for a node that does not run, only these two
write a replica's hashes.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from crdt_core.codec.header import Header, decode_header, encode_header
from crdt_core.errors import DamagedState, StoreUnavailable
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.membership.incarnations import decode_formers
from workers.storage.commits import Commits
from workers.storage.loading import load_state
from workers.storage.object_keys import delete_objects
from workers.storage.ownership import RETRY_S, Ownership
from workers.storage.requests import set_header
from workers.storage.staging import Staging
from workers.wire.keys import Keys
from workers.wire.replies import locating_malformed, pairs, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.replica.replica import Replica
    from workers.wire.retry import Trouble

__all__ = ["Store"]

T = TypeVar("T")

log = structlog.get_logger()


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
        self._staging = Staging(self._ownership, self.keys)
        self._commits: Commits | None = None

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
    def trouble(self) -> Trouble | None:
        """Since when Redis has not taken the commit under way, and why; `None` while it takes commits."""
        return self._ownership.trouble

    @property
    def commits(self) -> Commits:
        """Where commits go, once the state is loaded."""
        assert self._commits is not None, "commits build on a state that is loaded"
        return self._commits

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
                await self._ownership.renew()

    async def load(self, replica: Replica) -> HybridClock:
        """Read the persisted state into the empty `replica`, and return the persisted hybrid clock.

        Raises `CorruptState`; `Fenced` where another process takes the replica over meanwhile; `DamagedState` for a
        state that is not what was committed. The header says so from then on.
        """
        self.keys = Keys(self.keys.node, replica.id)
        try:
            loaded = await self._until_done(partial(load_state, self._ownership, self.keys, replica))
        except DamagedState as damaged:
            mark = set_header(self.keys, {"damaged": damaged.reason.encode()})
            await self._until_done(partial(self._ownership.transact, mark))
            raise
        self._ownership.turn, self._ownership.trouble = loaded.turn, None
        self._commits = Commits(self._ownership, self.keys, self._staging, loaded, self._log_entries_max)
        return HybridClock(loaded.hlc)
