"""A replica's hashes, spoilt: the worker that loads them stops, names the place, and changes nothing there.

Loaded in this process by the production store, from a real server; once by a real worker, for its exit code.
"""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from crdt_core.codec.patches import decode_patch, encode_patch, patch_value
from crdt_core.errors import CorruptState, DamagedState, InvariantBroken, StoreUnavailable
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from crdt_core.types import TYPES
from tests.crdt_core.histories import NOW, delete, perform
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.models import MODELS
from tests.fleet import Fleet
from tests.fuzz.mutations import mutated
from tests.support import DELTAIC
from workers.processes.supervision import STAY_DOWN
from workers.rpc import deltaic_pb2 as pb
from workers.storage.store import Store
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

KEYS = Keys("n1")
OWN = {b"owner", b"replica", b"format", b"damaged"}
"""Fields of the header that the ownership writes, and who finds the state damaged."""

Hashes = dict[bytes, dict[bytes, bytes]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Hashes]]:
    """A node that has stopped, with objects of every type, and its hashes as it left them."""
    with Fleet(tmp_path_factory.mktemp("stored"), nodes=2) as fleet:
        one, two = fleet["n1"], fleet["n2"]
        fleet.cut(["n1"], ["n2"])
        for node in (one, two):
            node.increment("counter", 5)
            node.add("set", "apple", "pear", node.name)
            node.set("register", node.name)
            node.set("lww", node.name, timestamp=7)
            node.objects.SetFlag(pb.SetFlagRequest(flag_id="flag", enabled=True))
        one.add("two types", "a")
        two.increment("two types")
        two.delete("set")
        one.merge(patch_value(of_every_type().patch(None, NOW)))
        fleet.heal()
        fleet.sync_all()
        fleet.agree()
        one.remove("set", "n1")
        two.delete("counter")
        fleet.agree()
        assert one.stop() == 0
        yield fleet, hashes_of(fleet.redis())


def of_every_type() -> Replica:
    """A replica that is no node, with an object of each registered type as two have left it, and what they removed."""
    replicas = [Replica("x1"), Replica("x2")]
    for number, (name, model) in enumerate(MODELS.items()):
        rng = Random(number)
        for step in range(12):
            replica, key = rng.choice(replicas), rng.choice((b"of type ", b"removed, of type ")) + name.encode()
            perform(replica, model.operation(rng, key).at(Stamp(rng.randint(0, 4), 0)))
            replica.commit(NOW)
            if step == 6:
                sync(*replicas)
        perform(replicas[0], delete(b"removed, of type " + name.encode()))
        replicas[0].commit(NOW)
    sync(*replicas)
    return replicas[0]


def hashes_of(redis: Redis) -> Hashes:
    """The replica's hashes: its header, its catalogue, its collections."""
    names = [KEYS.header.encode(), KEYS.state.encode(), *redis.scan_iter(f"{KEYS.header}:obj:*")]
    names += redis.scan_iter(f"{KEYS.header}:rival:*")
    return {name: redis.hgetall(name) for name in sorted(names)}


def restore(redis: Redis, hashes: Hashes) -> None:
    with redis.pipeline() as pipeline:
        for name in hashes_of(redis).keys() | hashes.keys():
            pipeline.delete(name)
        for name, fields in hashes.items():
            pipeline.hset(name, mapping=fields)
        pipeline.execute()


async def load(url: str) -> Replica:
    """The replica as the store loads it, which has been lived with."""
    store, replica = Store("n1", url, "of-a-test", 1000), Replica("n1", founders=["n1", "n2"])
    try:
        await store.acquire(takeover=True)
        await store.load(replica)
    finally:
        with suppress(StoreUnavailable):  # it closes the connection where it refuses
            await store.release()
        await asyncio.sleep(0)  # the loop closes it
    state = encode_patch(replica.patch(None, Stamp(0, 0)))
    Replica("another").join(decode_patch(state))
    replica.stabilise(replica.clock, 1000)
    replica.take_changes()
    return replica


@pytest.fixture(scope="module")
def whole(stored: tuple[Fleet, Hashes]) -> dict[bytes, Any]:
    """What a worker shows that loads the hashes as the node has left them."""
    fleet, hashes = stored
    restore(fleet.redis(), hashes)
    return shown(asyncio.run(load(fleet.valkey.url)))


def shown(replica: Replica) -> dict[bytes, Any]:
    """What shows under each key, by type, and the clock under an empty key."""
    values = {
        key: {found.type.name: found.type.value(replica.catalogue.view(found)) for found in replica.showing(key)}
        for key in list(replica.keys())
    }
    clock = dict(replica.clock_with_folded)
    return {b"": clock, **{key: by_type for key, by_type in values.items() if by_type}}


def spoilt(found: Hashes) -> Hashes:
    """What must be as it was: all but what claiming writes."""
    header = {field: value for field, value in found[KEYS.header.encode()].items() if field not in OWN}
    return {**found, KEYS.header.encode(): header}


def test_what_was_not_spoilt_is_loaded(stored: tuple[Fleet, Hashes]) -> None:
    fleet, hashes = stored
    assert {name.rpartition(b":")[2] for name in hashes} >= {b"state", b"set"}
    restore(fleet.redis(), hashes)
    replica = asyncio.run(load(fleet.valkey.url))
    assert replica.value(b"register") == [b"n1", b"n2"]
    stored_types = {orjson.loads(record)["type"] for record in hashes[KEYS.state.encode()].values()}
    assert stored_types == TYPES.keys()


@settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(st.data())
def test_a_spoilt_field_is_refused_or_means_the_same_and_nothing_is_deleted(
    stored: tuple[Fleet, Hashes], whole: dict[bytes, Any], data: st.DataObject
) -> None:
    """Some were taken for what they were not: another payload, an older dot, a member less."""
    fleet, hashes = stored
    redis = fleet.redis()
    name = data.draw(st.sampled_from(sorted(hashes)))
    field = data.draw(st.sampled_from(sorted(hashes[name])))
    value = data.draw(mutated([hashes[name][field]]))
    assume(field not in OWN and value != hashes[name][field])
    restore(redis, {**hashes, name: {**hashes[name], field: value}})
    before = spoilt(hashes_of(redis))
    with suppress(CorruptState, DamagedState):
        loaded = asyncio.run(load(fleet.valkey.url))
        assert shown(loaded) == whole
    assert spoilt(hashes_of(redis)) == before


@pytest.mark.parametrize("type_", ["hash", "hyperloglog"])
def test_a_part_that_is_true_where_its_type_knows_no_such_payload_is_named(
    stored: tuple[Fleet, Hashes], type_: str
) -> None:
    """It was loaded, and then no peer could read a patch with it."""
    fleet, hashes = stored
    name = f"{KEYS.header}:obj:of type {type_}".encode()
    field, record = next((field, record) for field, record in hashes[name].items() if record.count(b":") > 1)
    restore(fleet.redis(), {**hashes, name: {**hashes[name], field: record[: record.index(b'":')] + b'":true}'}})
    with pytest.raises(CorruptState, match="cannot be read: malformed"):
        asyncio.run(load(fleet.valkey.url))


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        (KEYS.header, "clock", "{", "deltaic:{n1} cannot be read: malformed header"),
        (KEYS.header, "clock", '{"n1":-1}', "deltaic:{n1} cannot be read: malformed clock"),
        (KEYS.header, "digest", "xyz", "digest b'xyz' is not 16 hexadecimal digits"),
        (KEYS.header, "hlc", "[1]", "malformed stamp"),
        (KEYS.header, "turn", "many", "turn b'many' is no number"),
        (KEYS.header, "turn", "9" * 5000, "is no number"),
        (KEYS.header, "format", "2", "deltaic:{n1} format cannot be read: b'2' is not 1"),
        (KEYS.header, "format", "junk", "deltaic:{n1} format cannot be read"),
        (KEYS.state, "counter", "[]", "deltaic:{n1}:state field b'counter' cannot be read"),
        (KEYS.state, "set", '{"type":"orset","parts":{}}', "orset has no field ['parts']"),
        (KEYS.state, "set", '{"type":"orset","rivals":[{"type":"orset"}]}', "lists one type twice"),
        (
            KEYS.state,
            "flag",
            '{"type":"ewflag","parts":{"":{"n1:99":true}}}',
            "holds n1:99, which the clock does not cover",
        ),
        (f"{KEYS.header}:obj:set", "pear", "\xff", "deltaic:{n1}:obj:set field b'pear' cannot be read: malformed part"),
        (
            f"{KEYS.header}:obj:set",
            "pear",
            '{"n9:1":true}',
            "(b'set', b'pear') holds n9:1, which the clock does not cover",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    stored: tuple[Fleet, Hashes], name: str, field: str, value: str, said: str
) -> None:
    fleet, hashes = stored
    redis = fleet.redis()
    restore(redis, hashes)
    redis.hset(name, field, value)
    before = spoilt(hashes_of(redis))
    with pytest.raises((CorruptState, DamagedState)) as refused:
        asyncio.run(load(fleet.valkey.url))
    assert said in str(refused.value)
    assert spoilt(hashes_of(redis)) == before


@pytest.mark.parametrize("name", [KEYS.header, KEYS.state, f"{KEYS.header}:obj:set"])
def test_a_key_that_holds_another_kind_of_value_is_named(stored: tuple[Fleet, Hashes], name: str) -> None:
    """The worker took it for a Redis that is away, and waited for ever."""
    fleet, hashes = stored
    redis = fleet.redis()
    restore(redis, hashes)
    redis.delete(name)
    redis.set(name, "a string")
    try:
        with pytest.raises(CorruptState, match="another kind of value") as refused:
            asyncio.run(asyncio.wait_for(load(fleet.valkey.url), 10))
        assert refused.value.where == name
        assert redis.get(name) == b"a string"
    finally:
        redis.delete(name)


def test_an_owner_that_is_no_text_is_an_owner_that_has_died(stored: tuple[Fleet, Hashes]) -> None:
    fleet, hashes = stored
    restore(fleet.redis(), hashes)
    fleet.redis().hset(KEYS.header, "owner", b"\xff\xfe")

    async def claim() -> None:
        store = Store("n1", fleet.valkey.url, "of-a-test", 1000)
        await store.acquire(takeover=False)
        await store.release()
        await asyncio.sleep(0)

    asyncio.run(claim())


def test_a_worker_that_finds_its_state_spoilt_ends_with_a_line_and_stays_down(stored: tuple[Fleet, Hashes]) -> None:
    fleet, hashes = stored
    restore(fleet.redis(), hashes)
    fleet.redis().hset(KEYS.state, "counter", "junk")
    before = spoilt(hashes_of(fleet.redis()))
    done = subprocess.run(
        [DELTAIC, "-f", fleet.directory / "fleet.toml", "replica", "n1"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == CorruptState.exit_code == 7
    assert CorruptState.exit_code in STAY_DOWN
    (line,) = [line for line in done.stderr.splitlines() if "event=" not in line]
    assert line.startswith("deltaic: deltaic:{n1}:state field b'counter' cannot be read: malformed object: not JSON")
    assert spoilt(hashes_of(fleet.redis())) == before
    restore(fleet.redis(), hashes)
    fleet["n1"].start().wait_until_serving()
    fleet.agree()
    assert fleet["n1"].stop() == 0


def test_a_key_that_becomes_another_kind_of_value_meanwhile_stops_the_worker(stored: tuple[Fleet, Hashes]) -> None:
    """The last test here: it leaves behind a commit that the peer has seen, and the hashes of before do not have."""
    fleet, hashes = stored
    redis = fleet.redis()
    restore(redis, hashes)
    node = fleet["n1"].start().wait_until_serving()
    key = f"{KEYS.header}:obj:set"
    redis.delete(key)
    redis.set(key, "a string")
    with pytest.raises(grpc.RpcError):
        node.add("set", "more")
    assert node.exit_code() == InvariantBroken.exit_code == 6
    assert "Redis holds keys that are not ours: WRONGTYPE" in node.last_words()
    assert redis.get(key) == b"a string"
    redis.delete(key)
