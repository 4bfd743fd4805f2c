"""Commands as operations, for tests that drive a node or a replica without a face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import COMMANDS, CommandOptions, CommandTable, Invocation
from crdt_core.types import View

if TYPE_CHECKING:
    from crdt_core.commands import Command, Keyspace, Session

__all__ = ["PLAIN", "command", "lookup", "value_of"]

PLAIN = CommandTable(COMMANDS.values())
"""The commands that need no connection."""

_DEFAULTS = CommandOptions()


def lookup(name: bytes, args: list[bytes]) -> Command[Session]:
    """Return the row for a request of these words. Raises as `CommandTable.find` does."""
    return PLAIN.find([name, *args])


def command(name: str, *args: bytes | str | int, wall_ms: int = 0, options: CommandOptions = _DEFAULTS) -> Invocation:
    """The command `name` with `args`, by default at a time of day at which nothing has expired yet."""
    words = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return Invocation(lookup(name.encode(), words), words, wall_ms, options=options)


def value_of(state: Keyspace, key: bytes) -> Any:
    """Return the value that shows under `key` in a replica or its committed view; `None` if nothing shows."""
    head = state.head(key)
    showing = head.showing() if head is not None else []
    return showing[0].type.value(View(showing[0].parts, state.replica_index)) if showing else None
