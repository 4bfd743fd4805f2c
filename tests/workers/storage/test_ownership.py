"""Claiming a replica while Redis, or the way to it, does not behave."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest

from crdt_core.errors import AlreadyRunning, StoreUnavailable
from crdt_core.replica.replica import Replica
from tests.server import ValkeyServer
from tests.support import wait_until_async
from workers.storage.store import Store
from workers.wire import connection as wire
from workers.wire.keys import GROUP, Keys


async def test_a_worker_whose_inbox_is_something_else_waits_and_does_not_take_itself_for_another(tmp_path):
    """Its first attempt made it the owner; the next ones found that owner's connection, which was its own."""
    with ExitStack() as stack:
        valkey = ValkeyServer(tmp_path)
        stack.callback(valkey.stop)
        valkey.start()
        keys, client = Keys("n1"), valkey.client()
        client.set(keys.inbox, "something else")
        store = Store("n1", valkey.url, "token", 1000)
        claiming = asyncio.create_task(store.claim(takeover=False))

        def refused() -> int:
            return client.info("errorstats").get("errorstat_WRONGTYPE", {}).get("count", 0)

        await wait_until_async(lambda: refused() > 3 or claiming.done(), what="some attempts")
        assert not claiming.done()
        assert sum("deltaic-owner" in client_["name"] for client_ in client.client_list()) <= 1
        client.delete(keys.inbox)
        await claiming
        assert client.xinfo_groups(keys.inbox)[0]["name"] == GROUP.encode()
        await store.release()


async def test_nobody_takes_a_replica_over_because_redis_has_lost_its_owners_token(tmp_path):
    """The owner would have been fenced before it could give back what only it still had."""
    with ExitStack() as stack:
        valkey = ValkeyServer(tmp_path)
        stack.callback(valkey.stop)
        valkey.start()
        owner, neighbour = Store("n1", valkey.url, "one", 1000), Store("n1-2", valkey.url, "one", 1000)
        await neighbour.claim(takeover=False)
        await owner.claim(takeover=False)
        valkey.client().delete(owner.keys.header)
        with pytest.raises(AlreadyRunning):
            await Store("n1", valkey.url, "two", 1000).claim(takeover=False)
        await neighbour.release()


async def test_a_load_that_is_interrupted_begins_again_and_leaves_no_trouble_behind(tmp_path):
    """A trouble that was never declared over would have had all writes refused, and so none that could end it."""
    with ExitStack() as stack:
        valkey = ValkeyServer(tmp_path)
        stack.callback(valkey.stop)
        valkey.start()
        store = Store("n1", valkey.url, "token", 1000)
        await store.claim(takeover=False)
        client = valkey.client()
        (owner,) = [found for found in client.client_list() if "deltaic-owner" in found["name"]]
        client.client_kill_filter(_id=owner["id"])
        await store.load(Replica("n1"))
        assert store.trouble is None
        assert store.connected
        await store.release()


async def test_a_connection_to_where_nobody_answers_is_given_up(monkeypatch):
    """The kernel alone takes the connection; whoever should serve it is frozen."""
    monkeypatch.setattr(wire, "_CONNECT_TIMEOUT_S", 0.1)
    gives_up = pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s")
    with socket.create_server(("127.0.0.1", 0)) as frozen, gives_up:
        await wire.connect(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0", "name", 5)
