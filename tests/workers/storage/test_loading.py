"""Loading a state: large and small collections come whole, and what cannot be read names its key and field."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import CorruptState, DamagedState
from crdt_core.replica.replica import Replica
from tests.crdt_core.histories import whole_state
from tests.workers.storage.bench import SET_OF_MANY, Bench
from workers.storage.loading import load_state
from workers.storage.ownership import Ownership
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import ValkeyServer
    from workers.storage.loading import LoadedHeader


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    """It holds objects of all shapes."""
    await bench.fill()
    return bench


async def load(url: str, replica: Replica) -> LoadedHeader:
    ownership = Ownership("n1", url, "reader")
    await ownership.acquire(takeover=True)
    try:
        return await load_state(ownership, Keys("n1"), replica)
    finally:
        with suppress(Exception):
            await ownership.release()


async def test_every_shape_of_object_comes_whole(bench: Bench, server: ValkeyServer) -> None:
    replica = Replica("n1")
    header = await load(server.url, replica)
    assert whole_state(replica) == whole_state(bench.node.replica)
    assert len(replica.value(b"many")) == SET_OF_MANY
    assert (header.turn, header.hlc) == (4, bench.node.hlc.last)
    assert header.fields["turn"] == b"4"


async def test_an_empty_redis_is_an_empty_replica(server: ValkeyServer) -> None:
    server.client().flushdb()
    replica = Replica("n1")
    header = await load(server.url, replica)
    assert (header.turn, replica.clock, len(replica.catalogue.heads)) == (0, {}, 0)


@pytest.mark.parametrize(
    ("hash_", "field", "value", "where"),
    [
        (b"", "clock", "nonsense", r"deltaic:\{n1\} cannot be read"),
        (b"", "turn", "many", r"deltaic:\{n1\} cannot be read"),
        (b"state", "hits", "nonsense", r"deltaic:\{n1\}:state field b'hits' cannot be read"),
        (b"state", "few", '{"type":"no-such-type"}', r"deltaic:\{n1\}:state field b'few' cannot be read"),
        (b"obj:few", "a", "nonsense", r"deltaic:\{n1\}:obj:few field b'a' cannot be read"),
    ],
)
async def test_what_cannot_be_read_names_its_place(
    bench: Bench, hash_: bytes, field: str, value: str, where: str
) -> None:
    bench.redis.hset(bench.keys.record(hash_) if hash_ else bench.keys.header, field, value)
    with pytest.raises(CorruptState, match=where):
        await load(bench.url, Replica("n1"))


async def test_a_key_of_another_kind_names_its_place(bench: Bench, server: ValkeyServer) -> None:
    bench.redis.delete(bench.keys.record(b"obj:few"))
    bench.redis.set(bench.keys.record(b"obj:few"), "a string")
    with pytest.raises(CorruptState, match=r"deltaic:\{n1\}:obj:few cannot be read: it holds another kind"):
        await load(server.url, Replica("n1"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda bench: bench.redis.hdel(bench.keys.record(b"obj:few"), b"b"), "of the stored removals"),
        (lambda bench: bench.redis.hset(bench.keys.header, "clock", '{"n1":9}'), "is not that of its clock"),
        (lambda bench: bench.redis.hset(bench.keys.header, "stable", '{"n1":4}'), "is not that of its clock"),
        (lambda bench: bench.redis.hdel(bench.keys.state, "hits"), "its digest is"),
        (lambda bench: bench.redis.delete(bench.keys.record(b"obj:many")), r"obj:many is gone, its digest is"),
        (lambda bench: bench.redis.hdel(bench.keys.state, "many"), r"does not list deltaic:\{n1\}:obj:many"),
    ],
    ids=["a removal", "the clock", "the stable frontier", "a counter", "a set", "a listed set"],
)
async def test_what_is_not_as_it_was_committed_is_not_loaded(
    bench: Bench, server: ValkeyServer, spoil: Callable[[Bench], object], said: str
) -> None:
    """It was, and the header certified it: a lost removal comes back, and a clock that claims too much stays."""
    spoil(bench)
    with pytest.raises(DamagedState, match=said):
        await load(server.url, Replica("n1"))


async def test_a_header_of_a_version_that_knows_no_seal_is_loaded(bench: Bench, server: ValkeyServer) -> None:
    """Such a version leaves the seal of an earlier commit in the header."""
    bench.redis.hincrby(bench.keys.header, "turn", 1)
    bench.redis.hset(bench.keys.header, "hlc", "[1763700000000,0]")
    header = await load(server.url, Replica("n1"))
    assert header.seal == b""
