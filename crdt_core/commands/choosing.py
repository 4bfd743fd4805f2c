"""Random choices, for SPOP, SRANDMEMBER and HRANDFIELD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.replies import CommandError

if TYPE_CHECKING:
    from crdt_core.commands.session import Session

__all__ = ["REPEATS_MAX", "choose_some"]

REPEATS_MAX = 1 << 20
"""The longest choice that may repeat items. The caller names its length, so the items do not bound it."""


def choose_some(session: Session, items: list[bytes], count: int) -> list[bytes]:
    """Return `count` different items, or all if there are fewer; for a negative count, -`count` that may repeat.

    Every choice is as likely (Fisher, Yates 1938). `items` is not empty, and is in another order afterwards. Raises
    `CommandError` for more than `REPEATS_MAX` that may repeat.
    """
    if -count > REPEATS_MAX:
        raise CommandError(f"ERR value is out of range, must be at least -{REPEATS_MAX}")
    if count < 0:
        return [items[session.random(len(items))] for _ in range(-count)]
    for at in range(min(count, len(items))):
        other = at + session.random(len(items) - at)
        items[at], items[other] = items[other], items[at]
    return items[:count]
