"""Random choices, for SPOP, SRANDMEMBER and HRANDFIELD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import parse_within
from crdt_core.commands.replies import CommandError
from crdt_core.replica.steps import LOOKS_PER_STEP
from crdt_core.types.counters import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.session import Session

__all__ = ["REPEATS_MAX", "choose_by_step", "parts_chosen"]

REPEATS_MAX = 1 << 20
"""The longest choice that may repeat items. The caller names its length, so the items do not bound it."""


def choose_by_step(session: Session, items: list[bytes], count: int) -> Generator[None, None, list[bytes]]:
    """Return `count` different items, or all if there are fewer; for a negative count, -`count` that may repeat.

    Every choice is as likely (Fisher, Yates 1938). `items` is not empty, and is in another order afterwards. Yields
    after every few items. Raises `CommandError` for more than `REPEATS_MAX` that may repeat.
    """
    if -count > REPEATS_MAX:
        raise CommandError(f"ERR value is out of range, must be at least -{REPEATS_MAX}")
    chosen: list[bytes] = []
    for start in range(0, -count, LOOKS_PER_STEP):
        chosen += [items[session.random(len(items))] for _ in range(min(LOOKS_PER_STEP, -count - start))]
        yield
    if count < 0:
        return chosen
    for at in range(min(count, len(items))):
        other = at + session.random(len(items) - at)
        items[at], items[other] = items[other], items[at]
        if at % LOOKS_PER_STEP == 0:
            yield
    return items[:count]


def parts_chosen(options: list[bytes]) -> int:
    """Return how many items a command with these arguments behind its key chooses one by one; 0 for wrong arguments.

    A count that allows no repeats chooses from what is there: that is bounded by the parts under the key.
    """
    try:
        count = parse_within(options[0], -INT64_MAX) if options else 0
    except CommandError:
        return 0
    return min(max(0, -count), REPEATS_MAX)
