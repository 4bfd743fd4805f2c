"""The process: it reads requests from stdin, one at a time and in order, and answers on stdout; stderr is for people.

`init` makes the node: its replica (loaded from Redis where one is given), its mailbox and its links. Requests before
`init` are refused. The end of the input ends the node, once every request is answered and every delta is sent.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from crdt_core.errors import CallerError, DeltaicError, Malformed
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from workers.maelstrom.peering import DELTAS, MESSAGE, Peering
from workers.maelstrom.protocol import (
    CRASH,
    MALFORMED,
    NOT_SUPPORTED,
    PRECONDITION,
    UNAVAILABLE,
    Channel,
    Request,
    RequestError,
    parse,
)
from workers.maelstrom.workloads import WORKLOADS, Handlers, Shell
from workers.turns.commands import CommandRunner
from workers.turns.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.lattice.clocks import HybridClock
    from crdt_core.node.events import Commit
    from workers.storage.commits import Commits
    from workers.wire.retry import Trouble

__all__ = ["MaelstromOptions", "Warn", "run_maelstrom"]

_CALL_TIMEOUT_S = 10.0
_LOG_ENTRIES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class MaelstromOptions:
    """How the node gossips, and where it keeps its state (`redis` is a URL; without one, in memory)."""

    interval_ms: int = 1000
    fanout: int = 1
    batch_ms: int = 50
    redis: str | None = None


class Warn(Protocol):
    """Tells people of an event. The caller gives it: to import a log takes longer than a node's first answer."""

    def __call__(self, event: str, **fields: Any) -> None: ...


async def run_maelstrom(workload: str, options: MaelstromOptions, warn: Warn) -> None:
    """Serve `workload` until the end of the input."""
    channel = Channel(_write_line)
    async with AsyncExitStack() as stack:
        lines = _lines()
        process = _Process(workload, options, channel, stack, warn=warn, stop=lambda: lines.put_nowait(b""))
        while line := await lines.get():
            if line.strip():
                await process.take(line)
        await process.end()


class _Process:
    """One node of the bench; before `init` it has no name. It calls `stop` if its replica must not go on."""

    def __init__(
        self,
        workload: str,
        options: MaelstromOptions,
        channel: Channel,
        stack: AsyncExitStack,
        *,
        warn: Warn,
        stop: Callable[[], None],
    ) -> None:
        self._workload = workload
        self._options = options
        self._warn = warn
        self._channel = channel
        self._stack = stack
        self._stop = stop
        self._handlers: Handlers | None = None
        self._peering: Peering | None = None
        self._mailbox: Mailbox | None = None
        self._turns: asyncio.Task[None] | None = None
        self._messages = 0

    async def take(self, line: bytes) -> None:
        """Answer one line, whatever it is."""
        try:
            request = parse(line)
        except (ValueError, RecursionError) as error:
            self._warn("line_refused", reason=str(error), line=line[:200])
            return
        try:
            await self._serve(request)
        except RequestError as error:
            self._channel.refuse(request, error)
        except CallerError as error:
            self._channel.refuse(request, RequestError(MALFORMED, str(error)))
        except RecursionError:
            self._channel.refuse(request, RequestError(MALFORMED, "nested too deeply"))
        except Malformed as error:
            self._warn("message_refused", src=request.src, reason=str(error))
            self._channel.refuse(request, RequestError(MALFORMED, str(error)))
        except DeltaicError as error:
            code = UNAVAILABLE if error.grpc_code == "UNAVAILABLE" else CRASH
            self._channel.refuse(request, RequestError(code, str(error)))

    async def end(self) -> None:
        """Finish the requests under way, and send what waits. Raises the error that made the replica stop."""
        if self._mailbox is not None and self._turns is not None and self._peering is not None:
            self._peering.flush()
            self._mailbox.close()
            await self._turns

    async def _serve(self, request: Request) -> None:
        if not request.type:
            raise RequestError(MALFORMED, "a request has a body with a type")
        if request.type == "init":
            await self._init(request)
        elif self._handlers is None or self._peering is None:
            raise RequestError(PRECONDITION, "the first request must be init")
        elif request.type == DELTAS:
            self._peering.take_deltas(request.src, request.get("deltas", list))
        elif request.type == MESSAGE:
            self._messages += 1
            self._peering.take_message(str(self._messages), request.get("message", str))
        elif request.type.endswith("_ok") or request.type == "error":
            return  # nobody waits for it
        else:
            handler = self._handlers.by_type.get(request.type)
            if handler is None:
                raise RequestError(NOT_SUPPORTED, f"{self._workload} has no request {request.type!r}")
            self._channel.reply(request, await handler(request))

    async def _init(self, request: Request) -> None:
        if self._handlers is not None:
            raise RequestError(PRECONDITION, f"this is {self._channel.node_id} already")
        name, nodes = request.get("node_id", str), request.get("node_ids", list)
        if name not in nodes or not all(isinstance(node, str) for node in nodes):
            raise RequestError(MALFORMED, "node_ids must be strings, node_id among them")
        self._channel.node_id = name
        self._peering = Peering(
            name, nodes, self._channel.send, batch_ms=self._options.batch_ms, fanout=self._options.fanout
        )
        self._mailbox = await self._start(name, self._peering)
        self._handlers = WORKLOADS[self._workload](Shell(CommandRunner(self._mailbox), self._tell_peers))
        self._channel.reply(request, {})

    async def _start(self, name: str, peering: Peering) -> Mailbox:
        replica, token = Replica(name, founders=[name, *peering.peers]), secrets.token_hex(4)
        store, hlc = await _open(self._options.redis, token, replica)
        interval_ms = self._options.interval_ms
        options = NodeOptions(exchange_timeout_ms=2 * interval_ms, repair_delay_ms=interval_ms, believes_claims=True)
        node = Node(name, replica, token, options=options, hlc=hlc)
        mailbox = Mailbox(node, _Publishing(store, peering), peering.release, call_timeout_s=_CALL_TIMEOUT_S)
        self._turns = asyncio.create_task(mailbox.run())
        self._turns.add_done_callback(lambda _: self._stop())
        peering.mailbox = mailbox
        for work in (peering.deliver(), peering.rounds(self._options.interval_ms / 1000)):
            task = asyncio.create_task(work)
            self._stack.callback(task.cancel)
        return mailbox

    def _tell_peers(self, values: list[Any]) -> tuple[int, int]:
        """Send `values`, if any, to some random peers. Return how many peers, and how many values in all."""
        assert self._peering is not None
        peers = self._peering.choose() if values else []
        for peer in peers:
            self._channel.send(peer, {"type": "gossip_sync", "messages": values})
        return len(peers), len(peers) * len(values)


class _MemoryStore:
    """State that ends with the process."""

    def __init__(self) -> None:
        self.turn = 0
        self.trouble: Trouble | None = None

    def commit(self, commit: Commit, on_committed: Callable[[Exception | None], None]) -> None:  # noqa: ARG002
        """Confirm at once."""
        self.turn += 1
        on_committed(None)

    def give_up(self) -> None:
        """Do nothing: no commit is ever under way."""


class _Publishing:
    """A store that sends each confirmed delta to the peers."""

    def __init__(self, store: _MemoryStore | Commits, peering: Peering) -> None:
        self._store = store
        self._peering = peering

    @property
    def turn(self) -> int:
        """The number of the last confirmed commit."""
        return self._store.turn

    @property
    def trouble(self) -> Trouble | None:
        """Since when, and why, the store does not take the commit under way."""
        return self._store.trouble

    def commit(self, commit: Commit, on_committed: Callable[[Exception | None], None]) -> None:
        """Persist, then publish."""
        self._store.commit(commit, partial(self._committed, commit, on_committed))

    def give_up(self) -> None:
        """Forget the commit under way."""
        self._store.give_up()

    def _committed(
        self, commit: Commit, on_committed: Callable[[Exception | None], None], error: Exception | None
    ) -> None:
        try:
            if error is None and commit.delta is not None:
                self._peering.publish(bytes(commit.delta))
        except Exception as failure:  # noqa: BLE001  whoever waits for the commit has to know
            error = failure
        on_committed(error)


async def _open(redis: str | None, token: str, replica: Replica) -> tuple[_MemoryStore | Commits, HybridClock | None]:
    """Return the store of `replica`, and the clock of what it held: in Redis, a former process of its name goes on."""
    if redis is None:
        return _MemoryStore(), None
    from workers.storage.store import Store  # noqa: PLC0415  a node in memory starts without the redis package

    store = Store(replica.id, redis, token, _LOG_ENTRIES_MAX)
    await store.acquire(takeover=True)
    clock = await store.load(replica)
    return store.commits, clock


def _lines() -> asyncio.Queue[bytes]:
    """Return a queue of the lines of stdin, with an empty line at the end. A thread that nobody waits for reads it."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        # The thread has a reader of its own: Python aborts at exit if a thread still holds the lock of `sys.stdin`.
        with open(sys.stdin.fileno(), "rb", closefd=False) as stdin, suppress(RuntimeError):  # the loop has ended
            for line in stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    return lines


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
