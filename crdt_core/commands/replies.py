"""What a command replies: plain values that know nothing of protocol versions.

The face that sends a reply chooses its form on the wire. A command that is refused raises a `CallerError` and has
changed nothing. Where Redis has a line of its own for a refusal, the error is a `CommandError` with exactly that line.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from crdt_core.errors import CallerError

__all__ = ["OK", "CommandError", "ErrorReply", "Map", "Pairs", "Reply", "SetOf", "Status"]


class Status(NamedTuple):
    """A status line, such as `OK`."""

    text: str


class ErrorReply(NamedTuple):
    """An error line with its prefix, such as `WRONGTYPE Operation ...`; to be encoded with `surrogateescape`."""

    text: str


class Map(NamedTuple):
    """Names with their values: a map, or in RESP2 a flat list."""

    items: list[tuple[Reply, Reply]]


class Pairs(NamedTuple):
    """Pairs in their order: a list of pairs, or in RESP2 a flat list."""

    items: list[tuple[Reply, Reply]]


class SetOf(NamedTuple):
    """Members in no order: a set, or in RESP2 a list."""

    items: list[Reply]


Reply: TypeAlias = "int | bytes | float | Status | ErrorReply | Map | Pairs | SetOf | list[Reply] | None"
"""An integer, a bulk string, a double, a status, an error, a collection of replies, or null."""

OK = Status("OK")


class CommandError(CallerError):
    """The command is refused; `text` is the whole error line, prefix included."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def resp_line(self) -> str:
        """The text itself."""
        return self.text
