"""What a client has queued since MULTI, and the keys that it watches.

A transaction runs as one operation: one commit, which every replica shows whole or not at all. A watch notes that a key
has changed as soon as a commit that changed it is confirmed, this node's or a peer's. EXEC looks again when its turn
has come, at what the turn itself has changed so far, and at what has expired. So nothing comes between.

Commands that need the connection, such as PUBLISH, run in their place but later: once the commit is confirmed. What
they do leaves the node, or shows what the node has confirmed. They do not run at all where the client was told before
that the transaction may still take effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import ErrorReply, Session, Status
from crdt_core.errors import DeltaicError
from crdt_core.replica.sliceable import Sliceable
from workers.resp.encoding import NULL_LIST
from workers.resp.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from collections.abc import Set as AbstractSet

    from crdt_core.commands import Command, Execute, Keyspace
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Guarded", "Later", "Transaction", "Watch", "resolved"]

_QUEUED = Status("QUEUED")


class Transaction:
    """The commands since MULTI: at most `commands_max`, of `bytes_max` in all. They have `bytes` so far.

    `spoiled`: one was refused, so EXEC will be, too.
    """

    def __init__(self, bytes_max: int, commands_max: int) -> None:
        self.commands: list[tuple[Command[Session], list[bytes]]] = []
        self.spoiled = False
        self.bytes = 0
        self._bytes_max = bytes_max
        self._commands_left = commands_max

    def queue(self, command: Command[Session], args: list[bytes]) -> Status | ErrorReply:
        """Queue a command, or refuse it if the transaction would get larger than a request or longer than a turn."""
        self.bytes += sum(map(len, args)) + len(command.name)
        self._commands_left -= 1
        if self.bytes > self._bytes_max:
            return self._refuse("the transaction is larger than a request may be (setting limits.message_bytes_max)")
        if self._commands_left < 0:
            return self._refuse("the transaction has too many commands (setting limits.transaction_commands_max)")
        self.commands.append((command, args))
        return _QUEUED

    def _refuse(self, reason: str) -> ErrorReply:
        self.spoiled = True
        self.commands.clear()
        return ErrorReply(f"ERR {reason}")


class Watch:
    """The keys that a client watches. The face sets `changed` once one of them has changed.

    A key that showed when it was watched changes with every commit that touches it, and when it expires. A key that did
    not show changes once it shows: to delete what had expired before is no change.

    The face knows a watch for as long as anybody holds it: the client, or the EXEC that waits for its turn.
    """

    def __init__(self) -> None:
        self.changed = False
        self._showed: dict[bytes, bool] = {}

    @property
    def keys(self) -> AbstractSet[bytes]:
        """The keys that are watched."""
        return self._showed.keys()

    def add(self, keys: Iterable[bytes], state: Keyspace, wall_ms: int) -> None:
        """Watch `keys` from now on. A key that is watched already stays as it is."""
        session = Session(state, wall_ms, 0)
        for key in keys:
            self._showed.setdefault(key, session.shows(key))

    def note(self, touched: AbstractSet[bytes], state: Keyspace, wall_ms: int) -> None:
        """Set `changed` if a commit that has touched these keys has changed one that is watched."""
        session = Session(state, wall_ms, 0)
        self.changed = self.changed or any(
            self._showed[key] or session.shows(key) for key in self._showed.keys() & touched
        )

    def has_changed(self, replica: Replica, wall_ms: int) -> bool:
        """Return whether a key has changed up to this place in the turn, which is at `wall_ms`."""
        if self.changed or replica.catalogue.has_changed({key for key, showed in self._showed.items() if showed}):
            return True
        session = Session(replica, wall_ms, 0)
        return any(session.shows(key) is not showed for key, showed in self._showed.items())


class Later:
    """Stands for the reply to a command of the connection, which `run` gives once the commit is confirmed."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run


def resolved(replies: Any) -> Any:
    """Return the replies of a transaction whose commit is confirmed: now the commands that were put off run."""
    if not isinstance(replies, list):  # the null list
        return replies
    return [_run(reply) if isinstance(reply, Later) else reply for reply in replies]


def _run(later: Later) -> Any:
    try:
        return later.run()
    except DeltaicError as error:
        return refusal(error)


class Guarded(Sliceable):
    """An operation: `execute`, unless a key that `watch` names has changed. It yields `NULL_LIST` then."""

    def __init__(self, watch: Watch, execute: Execute) -> None:
        self._watch = watch
        self._execute = execute

    def run(self, replica: Replica, now: Stamp) -> Any:
        """Return the replies to the commands, or `NULL_LIST`."""
        if self._watch.has_changed(replica, self._execute.wall_ms):
            return NULL_LIST
        return self._execute.run(replica, now)

    def is_large(self, replica: Replica, parts_max: int) -> bool:
        """Return whether the commands would be too much for one turn."""
        return self._execute.is_large(replica, parts_max)

    def steps(self, replica: Replica, now: Stamp) -> Generator[None, None, Any]:
        """Do the same as `run`, and yield after each part that is changed."""
        if self._watch.has_changed(replica, self._execute.wall_ms):
            return NULL_LIST
        return (yield from self._execute.steps(replica, now))
