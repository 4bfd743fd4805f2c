"""Commands as operations, for tests that drive a node or a replica without a face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import CommandOptions, Invocation, lookup
from crdt_core.types import View

if TYPE_CHECKING:
    from crdt_core.commands import Keyspace

__all__ = ["command", "value_of"]

_DEFAULTS = CommandOptions()


def command(name: str, *args: bytes | str | int, wall_ms: int = 0, options: CommandOptions = _DEFAULTS) -> Invocation:
    """The command `name` with `args`, by default at a time of day at which nothing has expired yet."""
    words = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return Invocation(lookup(name.encode(), words), words, wall_ms, options=options)


def value_of(state: Keyspace, key: bytes) -> Any:
    """Return the value that shows under `key` in a replica or its committed view; `None` if nothing shows."""
    head = state.head(key)
    showing = head.showing() if head is not None else []
    return showing[0].type.value(View(showing[0].parts, state.replica_index)) if showing else None
