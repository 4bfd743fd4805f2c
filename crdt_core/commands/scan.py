"""The cursors and options of SCAN, SSCAN and HSCAN.

All keys are kept in the order of a scan (`crdt_core.replica.scan_order`), and so are the parts of a large collection
once somebody has begun to scan it. A small collection is looked at as a whole in each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crdt_core.commands.arguments import SYNTAX, parse_integer, shown_in_c
from crdt_core.commands.patterns import Pattern
from crdt_core.commands.replies import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["parse_cursor", "parse_scan"]

_COUNT = 10
_COUNT_MAX = 10_000
"""More names are returned in several steps, whatever COUNT says: nothing else runs during a step."""
_TYPES = ("string", "list", "set", "zset", "hash", "stream")
_NOT_FOR_NAMES = "ERR NOVALUES option can only be used in HSCAN"


class ScanOptions(NamedTuple):
    """The options of one scan.

    `pattern` is `None` if every name matches. `about` is roughly how many names a call returns. `type` is the Redis
    type of the keys to return, or `None` for all. `names_only` leaves out the values of a hash.
    """

    pattern: Pattern | None = None
    about: int = _COUNT
    type: str | None = None
    names_only: bool = False


def parse_cursor(text: bytes) -> int:
    """Return the cursor in `text`, which is from 0 to 2^64 - 1. Raises `CommandError`."""
    if not text.isdigit() or len(text) > 20 or int(text) >= 2**64:
        raise CommandError("ERR invalid cursor")
    return int(text)


def parse_scan(args: list[bytes], known: Iterable[bytes]) -> ScanOptions:
    """Return the options in `args`, the arguments after the cursor.

    `known` lists the names of the options that the command has. Raises `CommandError` for any other argument.
    """
    options = ScanOptions()
    rest = iter(args)
    for arg in rest:
        name = arg.upper()
        if name not in known:
            raise CommandError(_NOT_FOR_NAMES if name == b"NOVALUES" else SYNTAX)
        if name == b"NOVALUES":
            options = options._replace(names_only=True)
            continue
        value = next(rest, None)
        if value is None:
            raise CommandError(SYNTAX)
        if name == b"COUNT":
            count = parse_integer(value)
            if count < 1:
                raise CommandError(SYNTAX)
            options = options._replace(about=min(count, _COUNT_MAX))
        elif name == b"MATCH":
            options = options._replace(pattern=None if value == b"*" else Pattern(value))
        else:
            options = options._replace(type=_parse_type(value))
    return options


def _parse_type(name: bytes) -> str:
    found = shown_in_c(name).decode("utf-8", "surrogateescape")
    if found.lower() not in _TYPES:
        raise CommandError(f"ERR unknown type name '{found}'")
    return found.lower()
