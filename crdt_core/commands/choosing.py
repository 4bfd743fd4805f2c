"""Random choices, for SPOP, SRANDMEMBER and HRANDFIELD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.replies import CommandError
from crdt_core.replica.steps import finish

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.session import Session

__all__ = ["REPEATS_MAX", "choose_by_step", "choose_some"]

REPEATS_MAX = 1 << 20
"""The longest choice that may repeat items. The caller names its length, so the items do not bound it."""


_AT_ONCE = 20
"""So many items are chosen in one step."""


def choose_some(session: Session, items: list[bytes], count: int) -> list[bytes]:
    """Return `count` different items, or all if there are fewer; for a negative count, -`count` that may repeat.

    Every choice is as likely (Fisher, Yates 1938). `items` is not empty, and is in another order afterwards. Raises
    `CommandError` for more than `REPEATS_MAX` that may repeat.
    """
    return finish(choose_by_step(session, items, count))


def choose_by_step(session: Session, items: list[bytes], count: int) -> Generator[None, None, list[bytes]]:
    """Do the same as `choose_some`; yield after every few items."""
    if -count > REPEATS_MAX:
        raise CommandError(f"ERR value is out of range, must be at least -{REPEATS_MAX}")
    chosen: list[bytes] = []
    for start in range(0, -count, _AT_ONCE):
        chosen += [items[session.random(len(items))] for _ in range(min(_AT_ONCE, -count - start))]
        yield
    if count < 0:
        return chosen
    for at in range(min(count, len(items))):
        other = at + session.random(len(items) - at)
        items[at], items[other] = items[other], items[at]
        if at % _AT_ONCE == 0:
            yield
    return items[:count]
