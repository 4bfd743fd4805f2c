"""Putting an image into a node's Redis, while its worker does not run: see `crdt_core.image`.

What is put there is not the node's former life continued: a worker that starts takes the state up under a new replica
id (`crdt_core.identity`), and fetches what the fleet has done since.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crdt_core.errors import (
    AlreadyRunning,
    DeltaicError,
    Fenced,
    InvalidArgument,
    Malformed,
    StoreUnavailable,
    WorldError,
)
from crdt_core.image import ImageReader
from workers.peers import connection
from workers.record import read_record
from workers.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.image import Image
    from workers.settings import FleetSettings

__all__ = ["read_image", "restore"]

_PATIENCE_S = 4.0
"""Signs of life last for some seconds: a worker that has just ended is not taken for one that runs."""
_AGAIN_S = 0.2


def read_image(lines: Iterable[bytes]) -> Image:
    """The image in the lines of a file; raises `Malformed`."""
    reader = ImageReader()
    for line in lines:
        reader.take(line)
    return reader.finish()


async def restore(settings: FleetSettings, name: str, image: Image, *, force: bool) -> None:
    """Puts `image` into the Redis of node `name`; nothing is changed before it is known to be whole.

    Raises `Malformed` for an image whose state is not what it says, `InvalidArgument` where the node's worker runs, or
    its Redis holds a replica and not `force`; `StoreUnavailable` and `Fenced` where it could not be brought to its end.
    """
    node, replica = settings.node(name), image.revive()
    await _must_not_run(name, node.redis)
    store = Store(name, node.redis, secrets.token_hex(4), settings.gossip.log_entries_max)
    try:
        await store.claim(takeover=False)
    except AlreadyRunning as error:
        raise _runs(name) from error
    try:
        await store.restore(replica, image.state.hlc, force=force)
    except DeltaicError:
        with suppress(WorldError, Fenced):
            await store.release()
        raise
    await store.release()


async def _must_not_run(name: str, url: str) -> None:
    redis = connection(url)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            with suppress(Malformed):  # what cannot be read does not run, and may be what is to be replaced
                while (await read_record(name, redis)).running:  # noqa: ASYNC110
                    await asyncio.sleep(_AGAIN_S)
    except TimeoutError as error:
        raise _runs(name) from error
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"the Redis of {name} cannot be reached: {error}") from error
    finally:
        await redis.aclose()


def _runs(name: str) -> InvalidArgument:
    return InvalidArgument("node", f"{name} is running; stop its worker first")
