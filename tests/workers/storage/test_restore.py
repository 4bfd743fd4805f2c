"""Restoring a backup image: what it leaves in Redis, and what keeps it from beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import Fenced, InvalidArgument, Malformed, StoreUnavailable
from crdt_core.node.events import ImageAsked, Reply
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.support import free_port
from tests.workers.storage.bench import Bench
from workers.config.loading import checked
from workers.storage.evidence import read_evidence
from workers.storage.ownership import Ownership
from workers.storage.restore import read_image, restore
from workers.storage.store import Store
from workers.wire.keys import Keys
from workers.wire.peers import redis_client

if TYPE_CHECKING:
    from crdt_core.membership.evidence import NodeEvidence
    from crdt_core.node.image import Image
    from tests.server import ValkeyServer
    from workers.config.settings import FleetSettings


@pytest.fixture(autouse=True)
def empty(server: ValkeyServer) -> None:
    server.client().flushdb()


def settings_of(url: str) -> FleetSettings:
    return checked({"nodes": {name: {"grpc": f"{name}:7101", "redis": url} for name in ("n1", "n2")}})


def image_lines(bench: Bench) -> list[bytes]:
    """A backup image of the bench's node."""
    lines = b""
    while True:
        turn = bench.node.turn([ImageAsked("backup", None)], 1_000, 1_000)
        bench.node.confirm()
        (reply,) = [effect for effect in turn.effects if isinstance(effect, Reply)]
        lines += reply.result.lines
        if reply.result.ended:
            return lines.splitlines(keepends=True)


@pytest.fixture
async def image(server: ValkeyServer, empty: None) -> Image:
    """A backup of n1, which runs no more; its Redis is empty."""
    bench = await Bench(server).open()
    await bench.store.begin("n1", {"founders": b'["n1","n2","n3"]'})
    await bench.fill()
    lines = image_lines(bench)
    await bench.store.release()
    server.client().flushdb()
    return read_image(lines)


async def evidence(server: ValkeyServer, node: str) -> NodeEvidence:
    client = redis_client(server.url)
    found = await read_evidence(node, client)
    await client.aclose()
    return found


async def test_an_image_becomes_a_state_that_no_worker_takes_for_its_own_history(
    server: ValkeyServer, image: Image
) -> None:
    await restore(settings_of(server.url), "n2", image, force=False)
    found = await evidence(server, "n2")
    assert (found.replica, found.restored, found.restoring, found.owned) == ("n1", True, False, False)
    assert (found.clock, found.founders) == (image.state.clock, ("n1", "n2", "n3"))
    store, replica = Store("n2", server.url, "token", 1000), Replica("n2.2")
    await store.acquire(takeover=False)
    await store.load(replica)
    await store.release()
    assert replica.digest == image.digest


async def test_a_replica_that_is_there_is_replaced_only_by_force(server: ValkeyServer, image: Image) -> None:
    """Also what no catalogue lists."""
    bench = await Bench(server).open()
    await bench.store.begin("n1", {"founders": b'["n1"]'})
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"other", 1))
    await bench.store.release()
    bench.redis.hset(bench.keys.record(b"obj:unlisted"), "x", "y")
    with pytest.raises(InvalidArgument, match="its Redis holds replica n1; --force replaces it"):
        await restore(settings_of(server.url), "n1", image, force=False)
    assert bench.redis.hexists(bench.keys.state, "other")
    await restore(settings_of(server.url), "n1", image, force=True)
    assert not bench.redis.hexists(bench.keys.state, "other")
    assert not bench.redis.exists(bench.keys.record(b"obj:unlisted"))
    assert not bench.log()


async def test_a_node_whose_worker_runs_is_left_alone(
    server: ValkeyServer, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await Bench(server).open()
    with pytest.raises(InvalidArgument, match="n1 is running; stop its worker first"):
        await restore(settings_of(server.url), "n1", image, force=True)
    await bench.store.release()
    bench.redis.hset(bench.keys.header, "owner", "somebody")
    bench.redis.set(bench.keys.alive, "somebody", px=500)
    await restore(settings_of(server.url), "n1", image, force=True)  # It waits for what a worker has left behind.


async def test_a_restore_that_was_taken_over_writes_nothing_more_and_leaves_the_ownership(
    server: ValkeyServer, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.storage.requests.BATCH_COMMANDS", 1)
    successor = Ownership("n1", server.url, "successor")
    transact, steps = Ownership.transact, 0

    async def taken_over_at_the_third(ownership: Ownership, *commands: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            await successor.acquire(takeover=True)
        await transact(ownership, *commands)  # type: ignore[arg-type]

    monkeypatch.setattr(Ownership, "transact", taken_over_at_the_third)
    with pytest.raises(Fenced):
        await restore(settings_of(server.url), "n1", image, force=True)
    assert steps == 3
    assert server.client().hget(Keys("n1").header, "owner") == b"successor"
    assert (await evidence(server, "n1")).restoring
    await successor.release()


async def test_a_redis_that_is_away_is_said(image: Image) -> None:
    with pytest.raises(StoreUnavailable, match="the Redis of n1 cannot be reached"):
        await restore(settings_of(f"redis://127.0.0.1:{free_port()}/0"), "n1", image, force=False)


def test_lines_that_are_no_image_are_malformed() -> None:
    with pytest.raises(Malformed):
        read_image([b"nonsense\n"])
    with pytest.raises(Malformed, match="cut short"):
        read_image([])
