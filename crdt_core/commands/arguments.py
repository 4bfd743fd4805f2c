"""Reads arguments as Redis reads them, and refuses them in Redis's words."""

from __future__ import annotations

from crdt_core.commands.replies import CommandError
from crdt_core.errors import WRONG_TYPE_LINE
from crdt_core.types.counters import INT64_MAX, INT64_MIN
from crdt_core.types.strings import integer

__all__ = [
    "NOT_AN_INTEGER",
    "SYNTAX",
    "WRONG_TYPE",
    "parse_deadline",
    "parse_integer",
    "parse_positive",
    "parse_within",
    "shown_in_c",
]

WRONG_TYPE = WRONG_TYPE_LINE
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
SYNTAX = "ERR syntax error"


def parse_integer(text: bytes, refusal: str = NOT_AN_INTEGER) -> int:
    """A 64-bit integer in its canonical spelling; raises `CommandError`."""
    found = integer(text)
    if found is None:
        raise CommandError(refusal)
    return found


def parse_within(text: bytes, least: int, most: int = INT64_MAX, refusal: str = "") -> int:
    """An integer from `least` to `most`; raises `CommandError`."""
    found = parse_integer(text, refusal or NOT_AN_INTEGER)
    if not least <= found <= most:
        raise CommandError(refusal or f"ERR value is out of range, value must between {least} and {most}")
    return found


def parse_positive(text: bytes) -> int:
    """An integer from 0 on; raises `CommandError`."""
    return parse_within(text, 0, refusal="ERR value is out of range, must be positive")


def parse_deadline(text: bytes, unit_ms: int, base_ms: int, command: str, least: int = 1) -> int:
    """The wall time, in ms, that is `text` units after `base_ms`, `text` being `least` or more.

    Raises `CommandError`, also where that is beyond 64 bits.
    """
    units = parse_integer(text)
    deadline_ms = units * unit_ms + base_ms
    if units < least or deadline_ms > INT64_MAX or units * unit_ms < INT64_MIN:
        raise CommandError(f"ERR invalid expire time in '{command}' command")
    return deadline_ms


def shown_in_c(text: bytes, most: int = 1024) -> bytes:
    """At most `most` bytes of `text`, as C shows them: up to the first that is zero."""
    return text.partition(b"\0")[0][:most]
