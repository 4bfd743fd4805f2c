"""Writes a backup image into a node's Redis while the node's worker does not run: see `crdt_core.node.image`.

The restored state does not continue the node's former history. A worker that starts on it takes a new replica id
(`crdt_core.membership.identity`), and fetches what the fleet has done since the backup.
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
from crdt_core.membership.incarnations import decode_formers
from crdt_core.node.image import ImageReader
from workers.storage.evidence import read_evidence
from workers.storage.object_keys import delete_objects
from workers.storage.ownership import Ownership
from workers.storage.requests import batches, set_header, whole_state
from workers.wire.keys import Keys
from workers.wire.peers import redis_client
from workers.wire.replies import pairs, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.node.image import Image
    from crdt_core.replica.replica import Replica
    from workers.config.settings import FleetSettings

__all__ = ["read_image", "restore"]

_STOP_TIMEOUT_S = 4.0
"""The key that says that a worker runs outlives the worker by up to three seconds."""
_CHECK_INTERVAL_S = 0.2


def read_image(lines: Iterable[bytes]) -> Image:
    """Return the backup image in the lines of a file; raises `Malformed`."""
    reader = ImageReader()
    for line in lines:
        reader.take(line)
    return reader.finish()


async def restore(settings: FleetSettings, name: str, image: Image, *, force: bool) -> None:
    """Write `image` into the Redis of node `name`; nothing is changed before the image is known to be complete.

    Raises `Malformed` for an image whose state does not match its header; `InvalidArgument` if the node's worker runs,
    or if its Redis holds a replica and `force` is false; `StoreUnavailable` or `Fenced` if the restore was interrupted.
    """
    node, replica = settings.node(name), image.revive()
    await _check_stopped(name, node.redis)
    ownership = Ownership(name, node.redis, secrets.token_hex(4))
    try:
        await ownership.acquire(takeover=False)
    except AlreadyRunning as error:
        raise _worker_runs(name) from error
    try:
        await _replace_replica(ownership, name, replica, image.state.hlc, force=force)
    except DeltaicError:
        with suppress(WorldError, Fenced):
            await ownership.release()
        raise
    await ownership.release()


async def _replace_replica(ownership: Ownership, name: str, replica: Replica, hlc: Stamp, *, force: bool) -> None:
    """Replace what Redis holds with `replica`, marked so that a worker that starts takes a new replica id.

    The header says `restoring` until everything is written, and no worker starts on such a header. The next restore
    clears what an interrupted one has left. Every step requires the ownership, so nothing is written once another
    process has taken the node over (`Fenced`). Raises `InvalidArgument` if there is a replica already, unless `force`.
    """
    keys = Keys(name)
    (found,) = await ownership.ask(("HGETALL", keys.header))
    header = dict(pairs(found))
    if header.get(b"replica") and not force:
        raise InvalidArgument("node", f"its Redis holds replica {text(header[b'replica'])}; --force replaces it")
    ids = {replica.id, name, text(header.get(b"replica", b"")), *decode_formers(text(header.get(b"former", b"")))}
    logs = [Keys(name, id_).log for id_ in sorted(ids)]
    marked = set_header(keys, {**ownership.fields, "restoring": b"1"})
    await ownership.transact(("UNLINK", keys.header, keys.staged, keys.added, *logs), marked)
    await delete_objects(ownership, keys)
    for batch in batches(whole_state(keys, replica, ())):
        await ownership.transact(*batch)
    fields = encode_header(Header(replica.clock, replica.stable, replica.digest, hlc))
    founders = orjson.dumps(list(replica.founders))
    fields |= {"replica": replica.id.encode(), "founders": founders, "restored": b"1", **ownership.fields}
    await ownership.transact(("UNLINK", keys.header), set_header(keys, fields))


async def _check_stopped(name: str, url: str) -> None:
    """Return when the node's worker does not run; raises `InvalidArgument` if it still runs after some seconds.

    A header that cannot be read counts as stopped: no worker runs on it, and the caller may want to replace it.
    """
    client = redis_client(url)
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            with suppress(Malformed):
                while (await read_evidence(name, client)).running:  # noqa: ASYNC110
                    await asyncio.sleep(_CHECK_INTERVAL_S)
    except TimeoutError as error:
        raise _worker_runs(name) from error
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"the Redis of {name} cannot be reached: {error}") from error
    finally:
        await client.aclose()


def _worker_runs(name: str) -> InvalidArgument:
    return InvalidArgument("node", f"{name} is running; stop its worker first")
