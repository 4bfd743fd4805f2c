"""Deletes what has expired, now and then, as one more caller of the mailbox.

Expired keys do not show wherever they are; this takes away what they hold. Every node does it, as any may be away:
their deletes of the same thing do no harm to each other, nor to a write that has not seen them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from crdt_core.commands.expiry import DeleteExpired
from crdt_core.errors import WorldError
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from workers.turns.mailbox import Mailbox

__all__ = ["sweep"]

_EVERY_S = 1.0
_LOOKS = 1000


async def sweep(mailbox: Mailbox) -> None:
    """Never ends. While much has expired, one sweep follows the other."""
    while True:
        await asyncio.sleep(_EVERY_S)
        swept = _LOOKS
        while swept > _LOOKS // 4 and mailbox.node.replica.catalogue.expiring:
            swept = 0
            with suppress(WorldError):
                swept = await mailbox.call(DeleteExpired(wall_ms(), _LOOKS))
