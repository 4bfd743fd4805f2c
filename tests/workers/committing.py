"""Waiting for a commit, in tests that have no mailbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crdt_core.node.events import Commit
    from workers.turns.mailbox import CommitTarget

__all__ = ["committed"]


async def committed(commits: CommitTarget, commit: Commit) -> None:
    """Return once `commit` is durable; raise the error after which the replica must not go on."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(error: Exception | None) -> None:
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    commits.commit(commit, tell)
    try:
        await done
    except asyncio.CancelledError:
        commits.give_up()
        raise
