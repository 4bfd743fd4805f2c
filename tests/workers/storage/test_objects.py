"""The hashes of a replica's objects are found by name, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.storage.objects import KEYS_PER_SCAN, scan_objects
from workers.storage.ownership import Ownership
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from tests.server import ValkeyServer


async def test_all_objects_of_the_node_are_found_listed_or_not(server: ValkeyServer) -> None:
    redis, keys = server.client(), Keys("n1")
    redis.flushdb()
    expected = {keys.record(b"state"), keys.record(b"rival:gset:k")}
    expected |= {keys.record(b"obj:%d" % number) for number in range(2 * KEYS_PER_SCAN)}
    for key in [*expected, keys.header, keys.links, Keys("n2").record(b"obj:x"), "obj:y"]:
        redis.hset(key, "f", "v")
    ownership = Ownership("n1", server.url, "token")
    await ownership.acquire(takeover=False)
    pieces = [found async for found in scan_objects(ownership, keys)]
    await ownership.release()
    assert {key for piece in pieces for key in piece} == expected
    assert len(pieces) > 1
    assert all(pieces)
