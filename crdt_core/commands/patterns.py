r"""Glob patterns, as KEYS, SCAN, PSUBSCRIBE and CONFIG GET take them: `*`, `?`, `[ab]`, `[^a-c]` and `\*`.

A pattern is read once. Comparing it with a name takes one step for each byte of the name, whatever the pattern: bit n
of `reached` says that the first n elements match what was read so far, and one operation on integers moves all of them
(shift-and; Baeza-Yates, Gonnet 1992). So neither many stars nor long classes cost more.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["Pattern", "matches"]

_ANY = (1 << 256) - 1
_CACHED_MAX = 256  # bytes


class Pattern:
    """A pattern that may be compared with many names."""

    def __init__(self, pattern: bytes) -> None:
        self._is_empty = not pattern
        self._elements: list[int] = []  # each the set of the bytes that it matches
        self._stays = 0  # bit n: a star stands before element n
        self._matching: dict[int, int] = {}  # by byte, bit n: element n matches it
        at = 0
        while at < len(pattern):
            sign = pattern[at]
            if sign == 0x2A:
                self._stays |= 1 << len(self._elements)
                at += 1
                continue
            if sign == 0x5B:
                element, at = _read_class(pattern, at + 1)
            else:
                at += sign == 0x5C and at + 1 < len(pattern)
                element = _ANY if sign == 0x3F else 1 << pattern[at]
                at += 1
            self._elements.append(element)

    def matches(self, name: bytes) -> bool:
        """Return whether `name` matches. Only the empty pattern matches the empty name, as in Redis."""
        if not name:
            return self._is_empty
        reached, stays, matching = 1, self._stays, self._matching
        for byte in name:
            if byte not in matching:
                matching[byte] = self._elements_with(byte)
            reached = (reached & matching[byte]) << 1 | reached & stays
            if not reached:
                return False
        return bool(reached >> len(self._elements))

    def _elements_with(self, byte: int) -> int:
        bits = "".join(["1" if element >> byte & 1 else "0" for element in reversed(self._elements)])
        return int(bits or "0", 2)


def matches(pattern: bytes, name: bytes) -> bool:
    r"""Return whether `name` matches `pattern`.

    >>> matches(b"h[^a-d]*\\*", b"hello*"), matches(b"*a*b", b"xaab"), matches(b"?", b"")
    (True, True, False)
    """
    return (_cached(pattern) if len(pattern) <= _CACHED_MAX else Pattern(pattern)).matches(name)


_cached = lru_cache(maxsize=256)(Pattern)


def _read_class(pattern: bytes, at: int) -> tuple[int, int]:
    """Return the bytes of the class that begins at `at`, and where it ends. An unclosed class ends with the pattern."""
    inverted = pattern[at : at + 1] == b"^"
    at += inverted
    found = 0
    while at < len(pattern) and pattern[at] != 0x5D:
        if pattern[at] == 0x5C and at + 1 < len(pattern):
            at += 1
            found |= 1 << pattern[at]
        elif at + 2 < len(pattern) and pattern[at + 1] == 0x2D:
            low, high = sorted((pattern[at], pattern[at + 2]))
            found |= (1 << high + 1) - (1 << low)
            at += 2
        else:
            found |= 1 << pattern[at]
        at += 1
    return _ANY & ~found if inverted else found, min(at + 1, len(pattern))
