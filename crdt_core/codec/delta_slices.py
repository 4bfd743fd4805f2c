"""Decodes a large delta some writes at a time.

The JSON of a delta is canonical, so its writes are found without parsing all of it: `outline_of` returns what comes
before them, and `decode_writes` those that come next. Whatever is spelled in another way has no outline, and is decoded
at once (`crdt_core.codec.deltas`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crdt_core.codec.canonical import parse_json
from crdt_core.codec.deltas import WRITES, decode_delta, decode_write
from crdt_core.errors import Malformed

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta, Write

__all__ = ["decode_writes", "outline_of"]

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_DEPTH = 6
"""How deep a write may be nested; no type nests its payloads deeper."""
_END = b"]}"


def _nested(depth: int) -> bytes:
    inner = b"" if depth == 1 else b"|" + _nested(depth - 1)
    return rb'[\[{](?:[^"\[\]{}]++|%b%b)*+[\]}]' % (_STRING, inner)


_WRITE = re.compile(_nested(_DEPTH), re.DOTALL)


def outline_of(data: bytes) -> tuple[Delta, int] | None:
    """Return the delta in `data` without its writes, and where the first of them begins.

    Returns `None` if the writes do not come last. Raises what `decode_delta` raises.
    """
    start = data.find(WRITES) + len(WRITES)  # what follows is not copied: it may have many megabytes
    if start < len(WRITES) or not data.startswith(b"[", start) or not data.endswith(_END):
        return None
    return decode_delta(data[:start] + _END), start


def decode_writes(data: bytes, start: int, count: int) -> tuple[list[Write], int]:
    """Return up to `count` writes from `start` on, and where the next one begins: 0 if there is none.

    Raises `Malformed`.
    """
    end = start
    for _ in range(count):
        found = _WRITE.match(data, end)
        if found is None:
            raise Malformed("delta", f"there is no write at byte {end}")
        end = found.end() + 1
        if data[end - 1 : end] != b",":
            break
    values = parse_json("writes", b"[%b]" % data[start : end - 1])
    if data[end - 1 : end] == b",":
        return [decode_write(value) for value in values], end
    if data[end - 1 :] != _END:
        raise Malformed("delta", f"something follows its writes at byte {end - 1}")
    return [decode_write(value) for value in values], 0
