"""Putting an image into a node's Redis, while its worker does not run: see `crdt_core.node.image`.

What is put there is not the node's former life continued: a worker that starts takes the state up under a new replica
id (`crdt_core.membership.identity`), and fetches what the fleet has done since.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
from redis.exceptions import RedisError

from crdt_core.codec.header import Header, encode_header
from crdt_core.errors import (
    AlreadyRunning,
    DeltaicError,
    Fenced,
    InvalidArgument,
    Malformed,
    StoreUnavailable,
    WorldError,
)
from crdt_core.node.image import ImageReader
from workers.storage.evidence import read_evidence
from workers.storage.ownership import Ownership
from workers.storage.requests import batches, header_set
from workers.storage.requests import image as image_commands
from workers.wire.keys import Keys
from workers.wire.peers import connection
from workers.wire.replies import pairs, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.node.image import Image
    from crdt_core.replica.replica import Replica
    from workers.config.settings import FleetSettings

__all__ = ["read_image", "restore"]

_PATIENCE_S = 4.0
"""Signs of life last for some seconds: a worker that has just ended is not taken for one that runs."""
_AGAIN_S = 0.2
_KEYS_PER_SCAN = 1000


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
    claim = Ownership(name, node.redis, secrets.token_hex(4))
    try:
        await claim.take(takeover=False)
    except AlreadyRunning as error:
        raise _runs(name) from error
    try:
        await _replace(claim, name, replica, image.state.hlc, force=force)
    except DeltaicError:
        with suppress(WorldError, Fenced):
            await claim.release()
        raise
    await claim.release()


async def _replace(claim: Ownership, name: str, replica: Replica, hlc: Stamp, *, force: bool) -> None:
    """Puts `replica` in place of what is there, as a state of which a worker that starts makes a new id's.

    Until all of it is there, the header says `restoring`, and no worker takes it for a replica; what an interrupted
    restore has left is cleared away by the next. Nothing goes in once another process has taken the node over
    (`Fenced`). Raises `InvalidArgument` where there is a replica already, unless `force`.
    """
    keys = Keys(name)
    (found,) = await claim.ask(("HGETALL", keys.header))
    held = dict(pairs(found))
    if held.get(b"replica") and not force:
        raise InvalidArgument("node", f"its Redis holds replica {text(held[b'replica'])}; --force replaces it")
    ids = {replica.id, name, *(text(held.get(field, b"")) for field in (b"replica", b"former"))}
    logs = [Keys(name, id_).log for id_ in sorted(ids)]
    await claim.put(("UNLINK", keys.header, *logs), header_set(keys, {**claim.fields, "restoring": b"1"}))
    await _clear(claim, keys)
    for batch in batches(image_commands(keys, replica, ())):
        await claim.put(*batch)
    header = encode_header(Header(replica.clock, replica.stable, replica.digest, hlc))
    founders = orjson.dumps(list(replica.founders))
    header |= {"replica": replica.id.encode(), "founders": founders, "restored": b"1", **claim.fields}
    await claim.put(("UNLINK", keys.header), header_set(keys, header))


async def _clear(claim: Ownership, keys: Keys) -> None:
    """Removes all objects, listed or not."""
    mine = tuple(keys.record(hash_) for hash_ in (b"state", b"obj:", b"rival:"))
    cursor = b"0"
    while True:
        scan = ("SCAN", cursor, "MATCH", f"{keys.header}:*", "COUNT", _KEYS_PER_SCAN)
        ((cursor, found),) = await claim.ask(scan)
        gone = [key for key in found if key.startswith(mine)]
        if gone:
            await claim.put(("UNLINK", *gone))
        if cursor == b"0":
            return


async def _must_not_run(name: str, url: str) -> None:
    redis = connection(url)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            with suppress(Malformed):  # what cannot be read does not run, and may be what is to be replaced
                while (await read_evidence(name, redis)).running:  # noqa: ASYNC110
                    await asyncio.sleep(_AGAIN_S)
    except TimeoutError as error:
        raise _runs(name) from error
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"the Redis of {name} cannot be reached: {error}") from error
    finally:
        await redis.aclose()


def _runs(name: str) -> InvalidArgument:
    return InvalidArgument("node", f"{name} is running; stop its worker first")
