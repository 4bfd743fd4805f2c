"""The slices of a large commit, as the store writes them: what lasts of them, and how much that is.

What a large call changes is taken from the replica a slice at a time (`crdt_core.node.prepared`). Later slices may drop
what earlier ones wrote, so in the end there may be little to write: then one transaction takes it, as for any commit.
"""

from __future__ import annotations

import asyncio
from itertools import chain, islice
from typing import TYPE_CHECKING

from crdt_core.codec.pieces import Pieces
from crdt_core.codec.records import Changes, lasting
from workers.storage.requests import batches, record_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.node.events import Commit
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys

__all__ = ["batches_of", "is_little", "leave_out_what_goes"]

_DELTA_BYTES_MAX = 256 << 10


async def leave_out_what_goes(commit: Commit) -> None:
    """Leave out of the slices of `commit` what a later one drops, and let others have the event loop in between."""
    kept: list[Changes] = []
    for changes in lasting([*commit.earlier, commit.records]):
        if changes:
            kept.append(changes)
        await asyncio.sleep(0)
    kept.reverse()
    *commit.earlier, commit.records = kept or [Changes()]


def batches_of(keys: Keys, commit: Commit) -> Iterator[list[RedisCommand]]:
    """Yield the commands that write what all slices of `commit` have changed, in bounded lists."""
    commands = (record_commands(keys, changes) for changes in (*commit.earlier, commit.records))
    return batches(chain.from_iterable(commands))


def is_little(keys: Keys, commit: Commit) -> bool:
    """Return whether one list of `batches_of` has all of it, and the delta is small, too."""
    if isinstance(commit.delta, Pieces) and commit.delta.size > _DELTA_BYTES_MAX:
        return False
    return next(islice(batches_of(keys, commit), 1, None), None) is None
