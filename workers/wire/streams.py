"""Parses Redis stream replies, whose shape depends on the protocol version and on the redis-py release."""

from __future__ import annotations

from typing import Any

__all__ = ["Entry", "entries_of"]

Entry = tuple[bytes, dict[bytes, bytes]]
"""(entry id, fields)."""


def entries_of(reply: Any) -> list[Entry]:
    """Return the entries in the reply to an XREAD or XREADGROUP of one stream. A deleted entry has no fields.

    >>> entries_of([[b"log", [(b"1-0", {b"d": b"x"})]]]) == entries_of({b"log": [[(b"1-0", {b"d": b"x"})]]})
    True
    """
    if not reply:
        return []
    ((_, entries),) = reply.items() if isinstance(reply, dict) else reply
    if entries and isinstance(entries[0], list):
        (entries,) = entries
    return [(entry, fields or {}) for entry, fields in entries]
