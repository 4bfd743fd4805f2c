r"""Patterns of Redis, as regular expressions: for names of channels, settings and commands.

>>> [bool(glob(b"h[a-c^]?l*").fullmatch(word)) for word in (b"hallo", b"hball", b"hxllo")]
[True, True, False]
"""

from __future__ import annotations

import re

__all__ = ["glob"]


def glob(pattern: bytes) -> re.Pattern[bytes]:
    """Returns an expression whose `fullmatch` says whether a name is like `pattern`."""
    out, at = b"", 0
    while at < len(pattern):
        letter = pattern[at : at + 1]
        at += 1
        if letter == b"*":
            out += b".*" if not out.endswith(b".*") else b""
        elif letter == b"?":
            out += b"."
        elif letter == b"[":
            letters, at = _class(pattern, at)
            out += letters
        else:
            if letter == b"\\" and at < len(pattern):
                letter = pattern[at : at + 1]
                at += 1
            out += re.escape(letter)
    return re.compile(out, re.DOTALL)


def _class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Returns the class of letters behind a bracket, and where it ends: at the latest with the pattern."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    out = b""
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
        first = last = pattern[at]
        if pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            first, last = sorted((pattern[at], pattern[at + 2]))
            at += 2
        out += b"\\x%02x-\\x%02x" % (first, last)
        at += 1
    if not out:
        return (b"." if negated else b"(?!)"), at + 1
    return b"[%b%b]" % (b"^" if negated else b"", out), at + 1
