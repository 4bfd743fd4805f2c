"""Patterns, and the cursors of SCAN and its like.

A cursor is a place in the order of the hashes of names. So the server keeps nothing for it, and it stays valid whatever
is added or removed meanwhile: a name that is there during the whole scan is returned exactly once. Names with the same
hash are returned together. Every step looks at all names, because sorting them now and then costs less than keeping
them sorted.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from crdt_core.commands.arguments import SYNTAX, parse_integer, shown_in_c
from crdt_core.commands.replies import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ScanOptions", "matches", "page", "parse_cursor", "parse_scan"]

_COUNT = 10
_TYPES = ("string", "list", "set", "zset", "hash", "stream")
_NOT_FOR_NAMES = "ERR NOVALUES option can only be used in HSCAN"


class ScanOptions(NamedTuple):
    """The options of a scan: the pattern (`None`: every name), about how many, of which type, names without values."""

    pattern: bytes | None = None
    about: int = _COUNT
    type: str | None = None
    names_only: bool = False


def parse_cursor(text: bytes) -> int:
    """Returns the cursor in `text`; raises `CommandError`."""
    if not text.isdigit() or len(text) > 20 or int(text) >= 2**64:
        raise CommandError("ERR invalid cursor")
    return int(text)


def parse_scan(args: list[bytes], known: Iterable[bytes]) -> ScanOptions:
    """Returns the options behind a cursor; raises `CommandError` for one that is not `known`."""
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
            options = options._replace(about=parse_integer(value))
            if options.about < 1:
                raise CommandError(SYNTAX)
        elif name == b"MATCH":
            options = options._replace(pattern=None if value == b"*" else value)
        else:
            options = options._replace(type=_parse_type(value))
    return options


def _parse_type(name: bytes) -> str:
    found = shown_in_c(name).decode("utf-8", "surrogateescape")
    if found.lower() not in _TYPES:
        raise CommandError(f"ERR unknown type name '{found}'")
    return found.lower()


def page(names: Iterable[bytes], cursor: int, count: int) -> tuple[int, list[bytes]]:
    """Returns the cursor for the next step (0 at the end), and `count` names from `cursor` on, or a few more.

    >>> page([b"a", b"b", b"c"], 0, 2)
    (3904355907, [b'c', b'b'])
    >>> page([b"a", b"b", b"c"], 3904355907, 2)
    (0, [b'a'])
    """
    hashed = [(place, name) for name in names if (place := crc32(name)) >= cursor]
    found = nsmallest(count + 1, hashed) if count < len(hashed) else sorted(hashed)
    if len(found) <= count:
        return 0, [name for _, name in found]
    following = found[count][0]
    if following == found[0][0]:
        return following + 1, [name for place, name in hashed if place == following]
    return following, [name for place, name in found if place < following]


def matches(pattern: bytes, name: bytes) -> bool:
    r"""Says whether `name` matches `pattern`, as in KEYS: `*`, `?`, `[ab]`, `[^a-c]`, `\*`.

    It takes at most len(pattern) * len(name) steps. As in Redis, only the empty pattern matches the empty name.

    >>> matches(b"h[^a-d]*\\*", b"hello*"), matches(b"*a*b", b"xaab"), matches(b"?", b"")
    (True, True, False)
    """
    if not name:
        return not pattern
    at = seen = 0
    star = resume = -1
    while seen < len(name):
        if at < len(pattern) and pattern[at] == 0x2A:
            star, resume = at, seen
            at += 1
            continue
        after = _matches_one(pattern, at, name[seen]) if at < len(pattern) else 0
        if after:
            at, seen = after, seen + 1
        elif star >= 0:
            resume += 1
            at, seen = star + 1, resume
        else:
            return False
    return not pattern[at:].strip(b"*")


def _matches_one(pattern: bytes, at: int, byte: int) -> int:
    """Returns where the pattern goes on after the element at `at` if that matches `byte`, else 0."""
    sign = pattern[at]
    if sign == 0x3F:
        return at + 1
    if sign == 0x5B:
        return _matches_class(pattern, at + 1, byte)
    if sign == 0x5C and at + 1 < len(pattern):
        at += 1
    return at + 1 if pattern[at] == byte else 0


def _matches_class(pattern: bytes, at: int, byte: int) -> int:
    """As `_matches_one`, within brackets. Brackets that are not closed end with the pattern."""
    inverted = pattern[at : at + 1] == b"^"
    at += inverted
    found = False
    while at < len(pattern) and pattern[at] != 0x5D:
        if pattern[at] == 0x5C and at + 1 < len(pattern):
            at += 1
            found |= pattern[at] == byte
        elif at + 2 < len(pattern) and pattern[at + 1] == 0x2D:
            low, high = sorted((pattern[at], pattern[at + 2]))
            found |= low <= byte <= high
            at += 2
        else:
            found |= pattern[at] == byte
        at += 1
    return min(at + 1, len(pattern)) if found is not inverted else 0
