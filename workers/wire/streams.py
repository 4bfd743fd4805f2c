"""Redis stream replies in one shape, whatever protocol version and redis-py release they came through."""

from __future__ import annotations

from typing import Any

__all__ = ["Entry", "entries_of"]

Entry = tuple[bytes, dict[bytes, bytes]]
"""(entry id, fields)."""


def entries_of(reply: Any) -> list[Entry]:
    """The entries in the reply of an XREAD or XREADGROUP of one stream; deleted ones have no fields."""
    if not reply:
        return []
    ((_, entries),) = reply.items() if isinstance(reply, dict) else reply
    if entries and isinstance(entries[0], list):
        (entries,) = entries
    return [(entry, fields or {}) for entry, fields in entries]
