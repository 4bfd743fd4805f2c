"""Finding a replica's objects by the names of their hashes: those of other nodes and all other keys are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import Fenced
from workers.storage.object_keys import delete_objects, scan_collections
from workers.storage.ownership import Ownership
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from tests.server import ValkeyServer

COLLECTIONS = {b"deltaic:{n1}:obj:fruit", b"deltaic:{n1}:obj:a:b", b"deltaic:{n1}:rival:gset:fruit"}
OTHERS = {b"deltaic:{n1}:links", b"deltaic:{n1}", b"deltaic:{n2}:obj:fruit", b"deltaic:{n2}:state", b"objects"}


async def test_all_objects_of_one_node_are_found_and_deleted_whether_they_are_listed_or_not(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.storage.object_keys.KEYS_PER_SCAN", 2)
    client, keys = server.client(), Keys("n1")
    client.flushdb()
    for name in (*COLLECTIONS, *OTHERS, keys.state):
        client.hset(name, "field", "value")
    ownership = Ownership("n1", server.url, "token")
    await ownership.acquire(takeover=False)
    found = {key async for batch in scan_collections(ownership, keys) for key in batch}
    assert found == COLLECTIONS
    await delete_objects(ownership, keys)
    assert set(client.scan_iter()) == {*OTHERS, keys.inbox.encode()}
    client.hset(keys.state, "field", "value")
    client.hset(keys.header, "owner", "another")
    with pytest.raises(Fenced):
        await delete_objects(ownership, keys)
    ownership.close()
