"""The replica's home in Redis: claimed by one process, loaded once, changed by one atomic commit a turn.

A commit is one buffer on one connection: MULTI, the changed fields, the delta's XADD, the header, EXEC. Behind it ride
the WATCH and the owner's token for the next commit, so that fencing costs no round trip: an EXEC goes through only if
nobody has touched the header since this process saw its own token there.

After a lost connection the commit is looked up by its turn number and sent again only if it is not there. This module
is the only one that writes a replica's hashes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import hiredis
import structlog

from crdt_core.clocks import HybridClock, VersionVector
from crdt_core.codec import FORMAT
from crdt_core.errors import AlreadyRunning, Fenced, InvariantBroken, Malformed, StoreUnavailable
from crdt_core.header import Header, decode_header, encode_header
from crdt_core.records import decode_object, decode_part, object_hashes
from crdt_core.siblings import Roster
from workers.keys import DELTA_FIELD, GROUP, Keys
from workers.record import owner_connection
from workers.retry import until_redis_answers
from workers.wire import Wire, connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crdt_core.clocks import ReplicaId
    from crdt_core.events import Commit
    from crdt_core.objects import Object
    from crdt_core.records import Record
    from crdt_core.replica import Replica

__all__ = ["Store"]

log = structlog.get_logger()

Command = tuple[bytes | str | int, ...]

_FIELDS_PER_COMMAND = 512
_OBJECTS_PER_BATCH = 256
_RETRY_S = 0.2
_CLAIM_ATTEMPTS = 8
_QUARANTINE_ENTRIES_MAX = 10_000
_LOG_IS_AHEAD = ("equal or smaller", "exhausted the last possible ID")


class Store:
    """The persisted replica of node `node` in the Redis at `url`; `token` marks this process as its owner."""

    def __init__(self, node: str, url: str, token: str, log_entries_max: int) -> None:
        self.keys = Keys(node)
        self._url = url
        self.token = token
        self._log_entries_max = log_entries_max
        self._turn = 0
        self._wire: Wire | None = None

    @property
    def _connection_name(self) -> str:
        return owner_connection(self.keys.node, self.token)

    async def claim(self, *, takeover: bool) -> None:
        """Makes this process the owner, fencing any former one.

        Raises `AlreadyRunning` where the present owner keeps its connection, unless `takeover`; that of one that was
        killed goes within moments.
        """

        async def attempt() -> Wire:
            wire = await connect(self._url, self._connection_name)
            for patience in reversed(range(_CLAIM_ATTEMPTS)):
                fields, clients = await _ok(wire, [("HMGET", self.keys.header, "owner", "format"), ("CLIENT", "LIST")])
                self._check_format(fields[1])
                if takeover or not self._is_held_by_another(fields[0], clients):
                    break
                if not patience:
                    raise AlreadyRunning(self.keys.node, "another live process")
                await asyncio.sleep(_RETRY_S)
            claimed = ("owner", self.token, "format", FORMAT)
            *_, watched = await _ok(wire, [("HSET", self.keys.header, *claimed), *self._watch()])
            self._check_owner(watched)
            created = await wire.send([("XGROUP", "CREATE", self.keys.inbox, GROUP, "0", "MKSTREAM")])
            if isinstance(created[0], hiredis.ReplyError) and "BUSYGROUP" not in str(created[0]):
                wire.close()
                raise StoreUnavailable(f"Redis refuses: {created[0]}")
            return wire

        self._wire = await until_redis_answers(attempt, self._url)

    def _check_format(self, format_: bytes | None) -> None:
        if format_ is not None and int(format_) != FORMAT:
            raise Malformed("header", f"{self.keys.header} has format {int(format_)}; this version reads {FORMAT}")

    def _is_held_by_another(self, owner: bytes | None, clients: bytes) -> bool:
        if owner in {None, self.token.encode()}:  # its own: an earlier attempt got that far
            return False
        assert owner is not None
        held = f" name={owner_connection(self.keys.node, owner.decode())} ".encode()
        return any(held in line for line in bytes(clients).splitlines())

    async def begin(self, replica: ReplicaId, fields: Mapping[str, bytes], *, discard: bool = False) -> None:
        """Notes in the header that the node goes on as `replica`, and `fields`; raises `Fenced`.

        The log of the id before goes: its peers fetch what it says from the state. `discard`: instead the state goes,
        as it belongs to a former life, and the log stays, as it may hold unsent writes.
        """
        wire = self._connected()
        asked: list[Command] = [("HGETALL", self.keys.header), ("HGETALL", self.keys.state)]
        header, catalogue = (dict(_pairs(reply)) for reply in await _ok(wire, asked))
        noted = {"replica": replica.encode(), **fields}
        gone = [Keys(self.keys.node, header.get(b"replica", b"").decode()).log.encode()]
        if discard:
            heads = [decode_object(key, value, Roster()) for key, value in catalogue.items()]
            gone = [self.keys.state.encode(), *(self.keys.record(h) for head in heads for _, h in object_hashes(head))]
            hlc = decode_header(header).hlc
            noted.update(encode_header(Header(VersionVector(), VersionVector(), 0, hlc)))
        anew: list[Command] = [("HSET", self.keys.header, *_flat(noted)), ("UNLINK", *gone)]
        *_, watched = await _ok(wire, [("MULTI",), *anew, ("EXEC",), *self._watch()])
        self._check_owner(watched)

    async def load(self, replica: Replica) -> HybridClock:
        """Reads the persisted state into the empty `replica`; the hybrid clock as it was. Raises `Malformed`."""
        self.keys = Keys(self.keys.node, replica.id)
        wire = self._connected()
        fields, catalogue = await _ok(wire, [("HGETALL", self.keys.header), ("HGETALL", self.keys.state)])
        named = dict(_pairs(fields))
        header = decode_header(named)
        self._turn = int(named.get(b"turn", 0))
        roster = replica.catalogue.roster
        heads = [decode_object(key, value, roster) for key, value in _pairs(catalogue)]
        await self._load_parts(wire, [pair for head in heads for pair in object_hashes(head)], replica)
        replica.restore(header.clock, header.stable, header.digest, heads)
        return HybridClock(header.hlc)

    async def _load_parts(self, wire: Wire, hashes: list[tuple[Object, bytes]], replica: Replica) -> None:
        roster = replica.catalogue.roster
        for start in range(0, len(hashes), _OBJECTS_PER_BATCH):
            batch = hashes[start : start + _OBJECTS_PER_BATCH]
            replies = await _ok(wire, [("HGETALL", self.keys.record(hash_)) for _, hash_ in batch])
            for (link, _), reply in zip(batch, replies, strict=True):
                for part, value in _pairs(reply):
                    link.adopt(part, decode_part(link, value, roster))

    async def commit(self, commit: Commit) -> None:
        """Persists `commit`, all or nothing; returns once Redis has confirmed it, however long that takes.

        Raises `Fenced` where another process has taken the replica over, and `InvariantBroken` where Redis has lost
        commits that it had confirmed.
        """
        turn = self._turn + 1
        body = [*self._changes(commit), ("HSET", self.keys.header, "turn", turn, *_flat(commit.header))]
        buffer: list[Command] = [("MULTI",), *body, ("EXEC",), *self._watch()]
        reached = self._turn
        while reached < turn:
            try:
                reached = await self._attempt(buffer, commit)
            except StoreUnavailable as error:
                log.warning("commit_interrupted", node=self.keys.node, turn=turn, reason=str(error))
                reached = await self._reconnect()
        self._turn = turn

    async def _attempt(self, buffer: list[Command], commit: Commit) -> int:
        """The turn that Redis is at after sending `buffer`, which does `commit`.

        It may be there although this EXEC was refused, where a copy sent before a lost connection got through late.
        And where the EXEC went through, another process may have taken over before the WATCH behind it, which then
        guards nothing: so the token is looked at in either case.
        """
        replies = await self._connected().send(buffer)
        executed, watched = replies[-3], replies[-1]
        if isinstance(executed, hiredis.ReplyError):
            reasons = [str(reply) for reply in replies[:-3] if isinstance(reply, hiredis.ReplyError)]
            await asyncio.sleep(_RETRY_S)
            raise StoreUnavailable("; ".join(reasons) or str(executed))
        now_at = self._check_owner(watched)
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
        wire = self._connected()
        (foreign,) = await _ok(wire, [("XRANGE", self.keys.log, place, "+", "COUNT", 100)])
        log.warning("log_replaced", node=self.keys.node, foreign=[_text(entry) for entry, _ in foreign])
        reason = "not written by the owner of the log"
        anew: list[Command] = [
            *(self._quarantine("own log", entry, reason, b" ".join(content)) for entry, content in foreign),
            ("UNLINK", self.keys.log),
            ("XADD", self.keys.log, place, DELTA_FIELD, commit.delta or b""),
        ]
        *_, watched = await _ok(wire, [("MULTI",), *anew, ("EXEC",), *self._watch()])
        self._check_owner(watched)

    def _changes(self, commit: Commit) -> list[Command]:
        changes = list(self._record_commands(commit.records))
        if commit.delta is not None:
            cap: Command = ("MAXLEN", "~", self._log_entries_max)
            changes.append(("XADD", self.keys.log, *cap, f"{commit.counter}-0", DELTA_FIELD, commit.delta))
        if commit.trim:
            changes.append(("XTRIM", self.keys.log, "MINID", f"{commit.trim + 1}-0"))
        if commit.acknowledged:
            changes.append(("XACK", self.keys.inbox, GROUP, *commit.acknowledged))
            changes.append(("XDEL", self.keys.inbox, *commit.acknowledged))
        changes.extend(
            self._quarantine(item.source, item.entry, item.reason, item.content) for item in commit.quarantined
        )
        return changes

    def _quarantine(self, source: str, entry: bytes | str, reason: str, content: bytes) -> Command:
        fields = ("source", source, "entry", entry, "reason", reason, "content", content)
        return "XADD", self.keys.quarantine, "MAXLEN", "~", _QUARANTINE_ENTRIES_MAX, "*", *fields

    def _record_commands(self, records: Sequence[Record]) -> list[Command]:
        """One command per hash and kind (up to a bounded number of fields): per field, it is several times cheaper."""
        sets: dict[bytes, list[bytes]] = {}
        removals: dict[bytes, list[bytes]] = {}
        drops: list[Command] = []
        for hash_, field, value in records:
            key = self.keys.record(hash_)
            if field is None:
                drops.append(("UNLINK", key))
            elif value is None:
                removals.setdefault(key, []).append(field)
            else:
                sets.setdefault(key, []).extend((field, value))
        commands: list[Command] = []
        for name, fields, step in (
            *(("HSET", (key, items), 2 * _FIELDS_PER_COMMAND) for key, items in sets.items()),
            *(("HDEL", (key, items), _FIELDS_PER_COMMAND) for key, items in removals.items()),
        ):
            key, items = fields
            commands.extend((name, key, *items[start : start + step]) for start in range(0, len(items), step))
        return [*commands, *drops]

    async def _reconnect(self) -> int:
        """A new connection that watches the header; the turn that Redis is at. Raises `Fenced`, `InvariantBroken`."""
        self._connected().close()

        async def attempt() -> tuple[Wire, Any]:
            wire = await connect(self._url, self._connection_name)
            *_, watched = await _ok(wire, self._watch())
            return wire, watched

        self._wire, watched = await until_redis_answers(attempt, self._url)
        return self._check_owner(watched)

    def _check_owner(self, watched: Any) -> int:
        """The turn that Redis is at, by the last reply to `_watch`. Raises `InvariantBroken`, `Fenced`."""
        if isinstance(watched, hiredis.ReplyError):
            raise StoreUnavailable(f"Redis refuses: {watched}")
        owner, turn = watched
        now_at = int(turn or 0)
        if now_at < self._turn:
            raise InvariantBroken(f"{self.keys.node}: Redis is at commit {now_at}, but had confirmed {self._turn}")
        if owner != self.token.encode():
            raise Fenced(self.keys.node)
        return now_at

    async def release(self) -> None:
        """Gives the replica up, if it is still owned, so that the next process need not ask."""
        wire = self._connected()
        replies = await wire.send([("MULTI",), ("HDEL", self.keys.header, "owner"), ("EXEC",)])
        wire.close()
        if replies[-1] is None:
            raise Fenced(self.keys.node)

    def _watch(self) -> list[Command]:
        return [("WATCH", self.keys.header), ("HMGET", self.keys.header, "owner", "turn")]

    def _connected(self) -> Wire:
        if self._wire is None:
            raise StoreUnavailable("the replica was not claimed")
        return self._wire


async def _ok(wire: Wire, commands: list[Command]) -> list[Any]:
    replies = await wire.send(commands)
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            wire.close()
            raise StoreUnavailable(f"Redis refuses: {reply}")
    return replies


def _pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _flat(fields: dict[str, bytes]) -> list[str | bytes]:
    return [item for pair in fields.items() for item in pair]


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
