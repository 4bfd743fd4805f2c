"""Reads arguments as Redis does, and refuses wrong ones in Redis's words."""

from __future__ import annotations

from crdt_core.commands.replies import CommandError
from crdt_core.errors import WRONG_TYPE_LINE
from crdt_core.types.counters import INT64_MAX, INT64_MIN
from crdt_core.types.strings import integer

__all__ = [
    "NOT_AN_INTEGER",
    "SYNTAX",
    "WRONG_TYPE",
    "check_database",
    "parse_deadline",
    "parse_integer",
    "parse_positive",
    "parse_within",
    "shown_in_c",
    "wrong_number",
]

WRONG_TYPE = WRONG_TYPE_LINE
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
SYNTAX = "ERR syntax error"
_DATABASES = 16
_NO_SUCH_DATABASE = "ERR DB index is out of range"


def parse_integer(text: bytes, refusal: str = NOT_AN_INTEGER) -> int:
    """Return the 64-bit integer that `text` spells in the canonical way. Raises `CommandError` for any other text."""
    found = integer(text)
    if found is None:
        raise CommandError(refusal)
    return found


def parse_within(text: bytes, least: int, most: int = INT64_MAX, refusal: str = "") -> int:
    """Return an integer from `least` to `most`. Raises `CommandError`, with the text `refusal` if that is given."""
    found = parse_integer(text, refusal or NOT_AN_INTEGER)
    if not least <= found <= most:
        raise CommandError(refusal or f"ERR value is out of range, value must between {least} and {most}")
    return found


def parse_positive(text: bytes) -> int:
    """Return an integer that is at least 0. Raises `CommandError`."""
    return parse_within(text, 0, refusal="ERR value is out of range, must be positive")


def check_database(text: bytes, databases: int = 1, setting: str = "") -> None:
    """Raise `CommandError` unless `text` is the index of the only database, 0, or less than `databases`.

    A Redis has the databases 0 to 15 by default. The error of the other ones says what to do instead; `setting` is the
    one that would let them pass.
    """
    index = parse_within(text, -(1 << 31), (1 << 31) - 1)
    if databases <= index < _DATABASES:
        remedy = "give the keys a prefix instead" + (f", or set {setting} to have them all be 0" if setting else "")
        raise CommandError(f"{_NO_SUCH_DATABASE}: there is only database 0; {remedy}")
    if not 0 <= index < databases:
        raise CommandError(_NO_SUCH_DATABASE)


def parse_deadline(text: bytes, unit_ms: int, base_ms: int, command: str, least: int = 1) -> int:
    """Return the wall time in ms that is `text` units of `unit_ms` after `base_ms`.

    Raises `CommandError` where `text` is less than `least`, or the time does not fit 64 bits. `command` is its name
    in the error.
    """
    units = parse_integer(text)
    deadline_ms = units * unit_ms + base_ms
    if units < least or deadline_ms > INT64_MAX or units * unit_ms < INT64_MIN:
        raise CommandError(f"ERR invalid expire time in '{command}' command")
    return deadline_ms


def wrong_number(name: bytes) -> CommandError:
    """Return the error for too few or too many arguments of the command `name`."""
    return CommandError(f"ERR wrong number of arguments for '{name.decode().lower()}' command")


def shown_in_c(text: bytes, most: int = 1024) -> bytes:
    """Return `text` as C shows it: up to the first zero byte, and at most `most` bytes."""
    return text.partition(b"\0")[0][:most]
