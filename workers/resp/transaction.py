"""What a client has queued since MULTI, and the keys that it watches.

A transaction runs as one operation: one commit, which every replica shows whole or not at all. A watch notes that a key
has changed as soon as a commit that changed it is confirmed, this node's or a peer's. EXEC looks again when its turn
has come, at what the turn itself has changed so far. So nothing comes between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import ErrorReply, Status
from workers.resp.encoding import NULL_LIST

if TYPE_CHECKING:
    from crdt_core.commands import Command, Execute, Session
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Guarded", "Transaction", "Watch"]

_QUEUED = Status("QUEUED")


class Transaction:
    """The commands since MULTI, at most `bytes_max` of them. `spoiled`: one was refused, so EXEC will be, too."""

    def __init__(self, bytes_max: int) -> None:
        self.commands: list[tuple[Command[Session], list[bytes]]] = []
        self.spoiled = False
        self._bytes_left = bytes_max

    def queue(self, command: Command[Session], args: list[bytes]) -> Status | ErrorReply:
        """Queues a command, or refuses it if the transaction would get larger than a request may be."""
        self._bytes_left -= sum(map(len, args)) + len(command.name)
        if self._bytes_left < 0:
            self.spoiled = True
            self.commands.clear()
            return ErrorReply("ERR the transaction is larger than a request may be (setting limits.message_bytes_max)")
        self.commands.append((command, args))
        return _QUEUED


class Watch:
    """The keys that a client watches. The face sets `changed` once one of them has changed.

    The face knows a watch for as long as anybody holds it: the client, or the EXEC that waits for its turn.
    """

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self.changed = False


class Guarded:
    """An operation: `execute`, unless a key that `watch` names has changed. It yields `NULL_LIST` then."""

    def __init__(self, watch: Watch, execute: Execute) -> None:
        self._watch = watch
        self._execute = execute

    def run(self, replica: Replica, now: Stamp) -> Any:
        """Returns the replies to the commands, or `NULL_LIST`."""
        if self._watch.changed or replica.catalogue.has_changed(self._watch.keys):
            return NULL_LIST
        return self._execute.run(replica, now)
