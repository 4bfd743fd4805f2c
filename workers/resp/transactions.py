"""MULTI, EXEC, DISCARD, WATCH: what is queued runs as one operation, hence in one commit, whole at every replica.

WATCH notes that a key has changed as soon as a commit that changed it is confirmed, this node's or a peer's; EXEC looks
again when its turn has come, at what the turn itself has changed so far. So nothing comes between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, Command, ErrorReply, Execute, Status
from workers.resp.encoding import NOTHING, NULL_LIST
from workers.resp.handler import Handler
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica
    from workers.resp.connection import Connection

__all__ = ["HANDLERS", "Guarded", "Transaction", "Watch"]

_QUEUED = Status("QUEUED")


class Transaction:
    """What a client has queued since MULTI. `spoiled`: something was refused, so EXEC will be, too."""

    def __init__(self, bytes_max: int) -> None:
        self.commands: list[tuple[Command, list[bytes]]] = []
        self.spoiled = False
        self._bytes_left = bytes_max

    def queue(self, command: Command, args: list[bytes]) -> Status | ErrorReply:
        """Queues one command; refuses more than a request may hold."""
        self._bytes_left -= sum(map(len, args)) + len(command.name)
        if self._bytes_left < 0:
            self.spoiled = True
            self.commands.clear()
            return ErrorReply("ERR the transaction is larger than a request may be (setting limits.message_bytes_max)")
        self.commands.append((command, args))
        return _QUEUED


class Watch:
    """The keys that a client watches; `changed`: one of them has.

    The face tells it as long as anybody knows it: the client, or then the EXEC that waits for its turn.
    """

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self.changed = False


class Guarded:
    """An operation: `execute`, unless what is watched has changed; yields `NULL_LIST` then."""

    def __init__(self, watch: Watch, execute: Execute) -> None:
        self._watch = watch
        self._execute = execute

    def run(self, replica: Replica, now: Stamp) -> Any:
        if self._watch.changed or replica.catalogue.has_changed(self._watch.keys):
            return NULL_LIST
        return self._execute.run(replica, now)


def _multi(connection: Connection, _args: list[bytes]) -> Any:
    if connection.transaction is not None:
        return ErrorReply("ERR MULTI calls can not be nested")
    connection.transaction = Transaction(connection.face.request_bytes_max)
    return OK


def _exec(connection: Connection, _args: list[bytes]) -> Any:
    transaction = connection.transaction
    if transaction is None:
        return ErrorReply("ERR EXEC without MULTI")
    watch = end(connection)
    if transaction.spoiled:
        return ErrorReply("EXECABORT Transaction discarded because of previous errors.")
    execute = Execute(transaction.commands, wall_ms(), connection.face.seed(), connection.face.options)
    operation = Guarded(watch, execute) if watch is not None else execute
    connection.submit(operation, len(transaction.commands), whole=True)
    return NOTHING


def _discard(connection: Connection, _args: list[bytes]) -> Any:
    if connection.transaction is None:
        return ErrorReply("ERR DISCARD without MULTI")
    end(connection)
    return OK


def _watch(connection: Connection, args: list[bytes]) -> Any:
    if connection.transaction is not None:
        return ErrorReply("ERR WATCH inside MULTI is not allowed")
    if connection.watch is None:
        connection.watch = Watch()
    connection.watch.keys.update(args)
    connection.face.watches.add(connection.watch)
    return OK


def _unwatch(connection: Connection, _args: list[bytes]) -> Any:
    connection.watch = None
    return OK


def end(connection: Connection) -> Watch | None:
    """Ends the transaction, and the watching; what was watched."""
    watch, connection.transaction, connection.watch = connection.watch, None, None
    return watch


HANDLERS = (
    Handler(b"MULTI", 1, _multi, settled=False),
    Handler(b"EXEC", 1, _exec, settled=False),
    Handler(b"DISCARD", 1, _discard, settled=False),
    Handler(b"WATCH", -2, _watch),
    Handler(b"UNWATCH", 1, _unwatch, settled=False, queued=True),
)
