"""Commands as operations, for tests that drive a node or a replica without a face."""

from __future__ import annotations

from crdt_core.commands import CommandOptions, Invocation, lookup

__all__ = ["command"]

_DEFAULTS = CommandOptions()


def command(name: str, *args: bytes | str | int, wall_ms: int = 0, options: CommandOptions = _DEFAULTS) -> Invocation:
    """The command `name` with `args`, by default at a time of day at which nothing has expired yet."""
    words = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return Invocation(lookup(name.encode(), words), words, wall_ms, options=options)
