"""The replica's home in Redis: claimed by one process, loaded once, changed by one atomic commit a turn.

A commit is one buffer on one connection: MULTI, the changed fields, the delta's XADD, the header, EXEC. Behind it ride
the WATCH and the owner's token for the next commit, so that fencing costs no round trip: an EXEC goes through only if
nobody has touched the header since this process saw its own token there.

After a lost connection the commit is looked up by its turn number and sent again only if it is not there. A Redis that
owes an answer for too long loses its connection. One that comes back with less than it had confirmed is given the whole
replica again, out of memory, by the one process that may still call itself the owner.

This module is the only one that writes a replica's hashes.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import hiredis
import orjson
import structlog

from crdt_core.clocks import HybridClock, VersionVector
from crdt_core.codec import FORMAT
from crdt_core.errors import (
    AlreadyRunning,
    CorruptState,
    Fenced,
    InvalidArgument,
    InvariantBroken,
    Malformed,
    StoreUnavailable,
    brief,
)
from crdt_core.header import Header, decode_header, encode_header
from crdt_core.records import decode_object, decode_part, object_hashes
from crdt_core.siblings import Roster
from workers.commands import (
    batches,
    beside_records,
    header_set,
    image,
    links_set,
    quarantined,
    record_commands,
)
from workers.keys import DELTA_FIELD, GROUP, Keys
from workers.retry import Trouble, until_redis_answers
from workers.wire import Wire, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from crdt_core.clocks import ReplicaId, Stamp
    from crdt_core.events import Commit
    from crdt_core.node import Node
    from crdt_core.objects import Object
    from crdt_core.replica import Replica
    from workers.commands import Command

__all__ = ["Store"]

log = structlog.get_logger()

_TURN_DIGITS_MAX = 18
_OBJECTS_PER_BATCH = 256
_KEYS_PER_SCAN = 1000
_LOAD_SILENCE_S = 60.0
"""What Redis answers in one piece may be large, and it says nothing while it collects it."""
_SERVER: Command = ("INFO", "server")
_NOWHERE = -1
_RETRY_S = 0.2
_CLAIM_ATTEMPTS = 8
_LOG_IS_AHEAD = ("equal or smaller", "exhausted the last possible ID")


class Store:
    """The persisted replica of node `node` in the Redis at `url`; `token` marks this process as its owner.

    `commit_timeout_s`: how long Redis may owe an answer and say nothing before its connection is given up.
    """

    def __init__(self, node: str, url: str, token: str, log_entries_max: int, *, commit_timeout_s: float = 5.0) -> None:
        self.keys = Keys(node)
        self._url = url
        self.token = token
        self._log_entries_max = log_entries_max
        self._commit_timeout_s = commit_timeout_s
        self._turn = 0
        self._wire: Wire | None = None
        self._header: dict[str, bytes] = {}
        self._run_id = b""
        self._trouble: Trouble | None = None
        self._memory: tuple[Node, Callable[[], Awaitable[None]]] | None = None

    @property
    def turn(self) -> int:
        """The number of the last confirmed commit."""
        return self._turn

    @property
    def header(self) -> Mapping[str, bytes]:
        """The persisted header, as of the last confirmed commit."""
        return self._header

    @property
    def trouble(self) -> Trouble | None:
        """Since when Redis has not taken the commit under way, and why; `None` where nothing is amiss."""
        return self._trouble

    @property
    def connected(self) -> bool:
        """Whether the connection that holds the replica stands, as far as is known."""
        return self._wire is not None and self._wire.open

    @property
    def _connection_name(self) -> str:
        return _connection_name(self.keys.node, self.token)

    async def claim(self, *, takeover: bool) -> None:
        """Makes this process the owner, fencing any former one.

        Raises `AlreadyRunning` where the present owner keeps its connection, unless `takeover`; that of one that was
        killed goes within moments.
        """

        async def attempt() -> Wire:
            wire = await connect(self._url, self._connection_name, self._commit_timeout_s)
            try:
                await self._claim_by(wire, takeover=takeover)
            except BaseException:
                wire.close()
                raise
            return wire

        self._wire = await until_redis_answers(attempt, self._url)
        log.info("replica_claimed", node=self.keys.node, takeover=takeover)

    def _claim_fields(self) -> dict[str, bytes]:
        return {"owner": self.token.encode(), "format": b"%d" % FORMAT}

    async def _ensure_group(self, wire: Wire) -> None:
        (created,) = await wire.send([("XGROUP", "CREATE", self.keys.inbox, GROUP, "0", "MKSTREAM")])
        if isinstance(created, hiredis.ReplyError) and "BUSYGROUP" not in str(created):
            wire.close()
            raise StoreUnavailable(f"Redis refuses: {created}")

    async def _claim_by(self, wire: Wire, *, takeover: bool) -> None:
        for patience in reversed(range(_CLAIM_ATTEMPTS)):
            fields, clients = await _ok(wire, [("HMGET", self.keys.header, "owner", "format"), ("CLIENT", "LIST")])
            self._check_format(fields[1])
            held = self._is_held_by_another(fields[0], clients) or (
                fields[0] is None and self._is_held_by_anyone(clients)
            )
            if takeover or not held:
                break
            if not patience:
                raise AlreadyRunning(self.keys.node, "another live process")
            await asyncio.sleep(_RETRY_S)
        claimed = header_set(self.keys, self._claim_fields())
        _, info, _, watched = await _ok(wire, [claimed, _SERVER, *self._watch()])
        self._run_id = _run_id(info)
        self._place(watched)
        await self._ensure_group(wire)

    def _check_format(self, format_: bytes | None) -> None:
        if format_ is not None and format_ != b"%d" % FORMAT:
            raise CorruptState(f"{self.keys.header} format", f"{brief(format_)} is not {FORMAT}, as here")

    def _is_held_by_another(self, owner: bytes | None, clients: bytes) -> bool:
        if owner in {None, self.token.encode()}:  # its own: an earlier attempt got that far
            return False
        held = f" name={_connection_name(self.keys.node, _text(owner))} ".encode()
        return any(held in line for line in bytes(clients).splitlines())

    def _is_held_by_anyone(self, clients: bytes) -> bool:
        """Whether a process holds an owner's connection, whatever Redis has lost of its claim."""
        prefix = _connection_name(self.keys.node, "")
        held = re.compile(rf" name={re.escape(prefix)}(?!{self.token} )[^ -]+ ".encode())
        return held.search(clients) is not None

    async def begin(self, replica: ReplicaId, fields: Mapping[str, bytes], *, discard: bool = False) -> None:
        """Notes in the header that the node goes on as `replica`, and `fields`; raises `Fenced`.

        The log of the id before goes: its peers fetch what it says from the state. `discard`: instead the state goes,
        as it belongs to a former life, and the log stays, as it may hold unsent writes.
        """
        wire = self._connected()
        asked: list[Command] = [("HGETALL", self.keys.header), ("HGETALL", self.keys.state)]
        header, catalogue = (dict(_pairs(reply)) for reply in await _ok(wire, asked))
        noted = {"replica": replica.encode(), **fields}
        gone = [Keys(self.keys.node, _text(header.get(b"replica", b""))).log.encode()]
        if discard:
            heads = self._heads(catalogue.items(), Roster())
            gone = [self.keys.state.encode(), *(self.keys.record(h) for head in heads for _, h in object_hashes(head))]
            with _naming(self.keys.header):
                hlc = decode_header(header).hlc
            noted.update(encode_header(Header(VersionVector(), VersionVector(), 0, hlc)))
        anew: list[Command] = [header_set(self.keys, noted), ("UNLINK", *gone)]
        *_, executed, _, watched = await _ok(wire, [("MULTI",), *anew, ("EXEC",), *self._watch()])
        self._place(watched)
        if executed is None:
            raise StoreUnavailable("the header was written to by somebody else meanwhile")

    async def load(self, replica: Replica) -> HybridClock:
        """Reads the persisted state into the empty `replica`; the hybrid clock as it was.

        Raises `CorruptState`, and `Fenced` where another process takes the replica over meanwhile.
        """
        self.keys = Keys(self.keys.node, replica.id)
        while True:
            try:
                return await self._load(replica)
            except StoreUnavailable as error:
                log.warning("load_interrupted", node=self.keys.node, reason=str(error))
                await self._reconnect()

    async def _load(self, replica: Replica) -> HybridClock:
        wire = self._connected()
        wire.silence_s = max(_LOAD_SILENCE_S, self._commit_timeout_s)
        fields, catalogue = await self._hashes(wire, [self.keys.header, self.keys.state])
        named = dict(fields)
        with _naming(self.keys.header):
            header = decode_header(named)
            turn = _count(named.get(b"turn", b"0"))
        heads = self._heads(catalogue, replica.catalogue.roster)
        await self._load_parts(wire, [pair for head in heads for pair in object_hashes(head)], replica)
        with _naming(self.keys.state):
            replica.restore(header.clock, header.stable, header.digest, heads)
        wire.silence_s = self._commit_timeout_s
        self._turn, self._header = turn, {_text(name): value for name, value in named.items()}
        self._trouble = None
        return HybridClock(header.hlc)

    def _heads(self, catalogue: Iterable[tuple[bytes, bytes]], roster: Roster) -> list[Object]:
        """The objects in the catalogue, collections without their parts. Raises `CorruptState`."""
        heads = []
        for key, value in catalogue:
            with _naming(self.keys.state, key):
                heads.append(decode_object(key, value, roster))
        return heads

    async def _hashes(self, wire: Wire, keys: Sequence[str | bytes]) -> list[list[tuple[bytes, bytes]]]:
        """All fields of each hash. Raises `CorruptState` for a key that holds something else."""
        return [list(_pairs(reply)) for reply in await _ok(wire, [("HGETALL", key) for key in keys])]

    async def _load_parts(self, wire: Wire, hashes: list[tuple[Object, bytes]], replica: Replica) -> None:
        roster = replica.catalogue.roster
        for start in range(0, len(hashes), _OBJECTS_PER_BATCH):
            batch = hashes[start : start + _OBJECTS_PER_BATCH]
            keys = [self.keys.record(hash_) for _, hash_ in batch]
            for (link, _), key, fields in zip(batch, keys, await self._hashes(wire, keys), strict=True):
                for part, value in fields:
                    with _naming(key, part):
                        link.adopt(part, decode_part(link, value, roster))

    async def commit(self, commit: Commit) -> None:
        """Persists `commit`, all or nothing; returns once Redis has confirmed it, however long that takes.

        A Redis that has lost commits is given the whole replica back, if that is known (`remember`). Raises `Fenced`
        where another process has taken the replica over, and `InvariantBroken` where it has continued its history.
        """
        turn = self._turn + 1
        reached = self._turn
        while reached < turn:
            try:
                attempt = self._attempt if reached >= self._turn else self._repersist
                reached = await attempt(commit, turn)
            except StoreUnavailable as error:
                self._note(str(error))
                log.warning("commit_interrupted", node=self.keys.node, turn=turn, reason=str(error))
                reached = await self._reconnect()
        self._turn = turn
        self._header.update(self._header_fields(commit, turn))
        self._trouble = None

    async def _attempt(self, commit: Commit, turn: int) -> int:
        """The turn that Redis is at after it was sent `commit`."""
        records = record_commands(self.keys, commit.records)
        beside = beside_records(self.keys, commit, self._log_entries_max)
        header = header_set(self.keys, self._header_fields(commit, turn))
        return await self._conclude([("MULTI",), *records, *beside, header], commit)

    def _header_fields(self, commit: Commit, turn: int) -> dict[str, bytes]:
        fields = {"turn": b"%d" % turn, **commit.header}
        if self._header.get("run_id") != self._run_id:
            fields["run_id"] = self._run_id
        return fields

    async def _conclude(self, buffer: list[Command], commit: Commit) -> int:
        """The turn that Redis is at after sending `buffer`, the end of a transaction that does `commit`.

        It may be there although this EXEC was refused, where a copy sent before a lost connection got through late.
        And where the EXEC went through, another process may have taken over before the WATCH behind it, which then
        guards nothing: so the token is looked at in either case.
        """
        replies = await self._connected().send([*buffer, ("EXEC",), *self._watch()])
        executed, watched = replies[-3], replies[-1]
        if isinstance(executed, hiredis.ReplyError):
            reasons = [str(reply) for reply in replies[:-3] if isinstance(reply, hiredis.ReplyError)]
            await asyncio.sleep(_RETRY_S)
            raise StoreUnavailable(f"Redis refuses: {'; '.join(dict.fromkeys(reasons)) or executed}")
        now_at = self._place(watched)
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
            *(quarantined(self.keys, "own log", entry, reason, b" ".join(content)) for entry, content in foreign),
            ("UNLINK", self.keys.log),
            ("XADD", self.keys.log, place, DELTA_FIELD, commit.delta or b""),
        ]
        *_, watched = await _ok(wire, [("MULTI",), *anew, ("EXEC",), *self._watch()])
        self._place(watched)

    async def _reconnect(self) -> int:
        """A new connection that watches the header; the turn that Redis is at. Raises `Fenced`."""
        self._connected().close()

        async def attempt() -> tuple[Wire, Any, Any]:
            wire = await connect(self._url, self._connection_name, self._commit_timeout_s)
            info, _, watched = await _ok(wire, [_SERVER, *self._watch()])
            return wire, info, watched

        self._wire, info, watched = await until_redis_answers(attempt, self._url, self._note)
        self._run_id = _run_id(info)
        return self._place(watched)

    def _place(self, watched: Any) -> int:
        """The turn that Redis is at, by the last reply to `_watch`; `_NOWHERE` where it has lost what it had confirmed.

        Raises `Fenced`. An owner's token that came back with an older state says nothing.
        """
        if isinstance(watched, hiredis.ReplyError):
            raise StoreUnavailable(f"Redis refuses: {watched}")
        owner, turn = watched
        with _naming(self.keys.header):
            now_at = _count(turn or b"0")
        if now_at < self._turn or (owner is None and turn is None):
            return _NOWHERE
        if owner != self.token.encode():
            raise Fenced(self.keys.node)
        return now_at

    # After a loss

    def remember(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        """From now on, a Redis that loses commits is given back what `node` holds in memory.

        `check_history` raises `InvariantBroken` where a peer has seen more of the replica than `node` has.
        """
        self._memory = node, check_history

    async def _repersist(self, commit: Commit, turn: int) -> int:
        """The turn that Redis is at after it was given everything in memory, `commit` included, in one transaction.

        So a crash in the middle leaves what Redis had. The transaction goes through only if nobody has touched the
        header since it was found set back. Raises `Fenced` and `InvariantBroken` where another process has gone on
        with this history.
        """
        if self._memory is None:
            raise InvariantBroken(f"{self.keys.node}: Redis has lost commits; it had confirmed {self._turn}")
        node, check_history = self._memory
        log.warning("redis_set_back", node=self.keys.node, confirmed=self._turn)
        try:
            present = await self._check_sole_ownership(node)
            await check_history()
            await self._ensure_group(self._connected())
            await _ok(self._connected(), [("MULTI",)])
            for batch in batches(image(self.keys, node.replica, present)):
                await _ok(self._connected(), batch)
            reached = await self._conclude(self._rest_of_image(node, commit, turn), commit)
        except StoreUnavailable:
            await asyncio.sleep(_RETRY_S)
            raise
        if reached == turn:
            node.counts["repersisted"] += 1
            log.warning("repersisted", node=self.keys.node, turn=turn, objects=len(node.replica.catalogue.objects))
        return reached

    async def _check_sole_ownership(self, node: Node) -> list[bytes]:
        """The keys of the collections that Redis still holds; raises `Fenced`, `InvariantBroken`."""
        asked: list[Command] = [("HGETALL", self.keys.header), ("CLIENT", "LIST"), ("HGETALL", self.keys.state)]
        wire = self._connected()
        wire.silence_s = max(_LOAD_SILENCE_S, self._commit_timeout_s)
        fields, clients, catalogue = await _ok(wire, asked)
        wire.silence_s = self._commit_timeout_s
        header = dict(_pairs(fields))
        if self._is_held_by_another(header.get(b"owner"), clients):
            raise Fenced(self.keys.node)
        if not decode_header(header).clock <= node.replica.whole_clock:
            raise InvariantBroken(f"{self.keys.node}: another process has gone on with the history that Redis lost")
        return await self._collections(catalogue)

    async def _collections(self, catalogue: list[bytes]) -> list[bytes]:
        """The keys of all collections in a catalogue's reply; others get their turn meanwhile."""
        found: list[bytes] = []
        roster = Roster()
        for number, (key, value) in enumerate(_pairs(catalogue)):
            found.extend(self.keys.record(hash_) for _, hash_ in object_hashes(decode_object(key, value, roster)))
            if number % _OBJECTS_PER_BATCH == 0:
                await asyncio.sleep(0)
        return found

    def _rest_of_image(self, node: Node, commit: Commit, turn: int) -> list[Command]:
        """The header, the links, and what `commit` does beside the objects."""
        fields = {**self._claim_fields(), **self._header, **self._header_fields(commit, turn), "run_id": self._run_id}
        return [
            ("UNLINK", self.keys.header),
            header_set(self.keys, fields),
            *links_set(self.keys, node.paused),
            *beside_records(self.keys, commit, self._log_entries_max),
        ]

    # Out of a backup

    async def restore(self, replica: Replica, hlc: Stamp, *, force: bool) -> None:
        """Puts `replica` in place of what is there, as a state of which a worker that starts makes a new id's.

        Until all of it is there, the header says `restoring`, and no worker takes it for a replica; what an interrupted
        restore has left is cleared away by the next. Nothing goes in once another process has taken the node over
        (`Fenced`). Raises `InvalidArgument` where there is a replica already, unless `force`.
        """
        (found,) = await _ok(self._connected(), [("HGETALL", self.keys.header)])
        held = dict(_pairs(found))
        if held.get(b"replica") and not force:
            raise InvalidArgument("node", f"its Redis holds replica {_text(held[b'replica'])}; --force replaces it")
        ids = {replica.id, self.keys.node, *(_text(held.get(field, b"")) for field in (b"replica", b"former"))}
        logs = [Keys(self.keys.node, id_).log for id_ in sorted(ids)]
        beginning = {**self._claim_fields(), "restoring": b"1"}
        await self._put([("UNLINK", self.keys.header, *logs), header_set(self.keys, beginning)])
        await self._clear()
        for batch in batches(image(self.keys, replica, ())):
            await self._put(batch)
        header = encode_header(Header(replica.clock, replica.stable, replica.digest, hlc))
        founders = orjson.dumps(list(replica.founders))
        header |= {"replica": replica.id.encode(), "founders": founders, "restored": b"1", **self._claim_fields()}
        await self._put([("UNLINK", self.keys.header), header_set(self.keys, header)])

    async def _clear(self) -> None:
        """Removes all objects, listed or not."""
        mine = tuple(self.keys.record(hash_) for hash_ in (b"state", b"obj:", b"rival:"))
        cursor = b"0"
        while True:
            scan: Command = ("SCAN", cursor, "MATCH", f"{self.keys.header}:*", "COUNT", _KEYS_PER_SCAN)
            ((cursor, keys),) = await _ok(self._connected(), [scan])
            gone = [key for key in keys if key.startswith(mine)]
            if gone:
                await self._put([("UNLINK", *gone)])
            if cursor == b"0":
                return

    async def _put(self, commands: list[Command]) -> None:
        """Does `commands` at once, if the node is still owned; raises `Fenced` and `StoreUnavailable`."""
        *_, executed, _, watched = await _ok(self._connected(), [("MULTI",), *commands, ("EXEC",), *self._watch()])
        self._place(watched)
        if executed is None:
            raise StoreUnavailable("the header was written to by somebody else meanwhile")
        for result in executed:
            if isinstance(result, hiredis.ReplyError):
                raise StoreUnavailable(f"Redis refuses: {result}")

    async def release(self) -> None:
        """Gives the replica up, if it is still owned, so that the next process need not ask."""
        wire = self._connected()
        replies = await wire.send([("MULTI",), ("HDEL", self.keys.header, "owner"), ("EXEC",)])
        wire.close()
        if replies[-1] is None:
            raise Fenced(self.keys.node)

    def _note(self, reason: str) -> None:
        self._trouble = Trouble(self._trouble.since_s if self._trouble else monotonic(), reason)

    def _watch(self) -> list[Command]:
        return [("WATCH", self.keys.header), ("HMGET", self.keys.header, "owner", "turn")]

    def _connected(self) -> Wire:
        if self._wire is None:
            raise StoreUnavailable("the replica was not claimed")
        return self._wire


async def _ok(wire: Wire, commands: list[Command]) -> list[Any]:
    replies = await wire.send(commands)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, hiredis.ReplyError):
            wire.close()
            if str(reply).startswith("WRONGTYPE"):  # to wait makes nothing else of it
                raise CorruptState(_text(command[1]), "it holds another kind of value than it should")
            raise StoreUnavailable(f"Redis refuses: {reply}")
    return replies


@contextmanager
def _naming(key: str | bytes, field: bytes | None = None) -> Iterator[None]:
    """Says of what is `Malformed` in the block where in Redis it stands."""
    try:
        yield
    except Malformed as error:
        where = _text(key) if field is None else f"{_text(key)} field {brief(field)}"
        raise CorruptState(where, str(error)) from error


def _count(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _TURN_DIGITS_MAX:
        raise Malformed("header", f"turn {brief(digits)} is no number")
    return int(digits)


def _connection_name(node: str, token: str) -> str:
    return f"deltaic-owner-{node}-{token}"


def _pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _run_id(info: bytes) -> bytes:
    """The id of the server's process in the answer to `INFO server`."""
    lines = (line.partition(b":") for line in bytes(info).splitlines())
    return next((value for name, _, value in lines if name == b"run_id"), b"")


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
