"""Unmodified clients and programs of Redis on real nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from tests.support import wait_until
from tests.workers.resp.programs import redis_benchmark, redis_cli
from tests.workers.resp.raw import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet

    Client = Callable[..., Redis]


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(client: Client, key: str, protocol: int) -> None:
    n1 = client("n1", protocol=protocol)
    assert n1.ping() is True
    assert n1.set(key, b"\0\r\n\xff", ex=100)
    assert n1.get(key) == b"\0\r\n\xff"
    assert 90 < n1.ttl(key) <= 100
    assert n1.incrby(key + ":hits", 7) == 7
    assert n1.mget(key + ":hits", key + ":none") == [b"7", None]
    assert n1.sadd(key + ":set", "a", "b", "c") == 3
    assert n1.smembers(key + ":set") == {b"a", b"b", b"c"}
    assert n1.hset(key + ":hash", mapping={"f": "1", "g": "2"}) == 2
    assert n1.hgetall(key + ":hash") == {b"f": b"1", b"g": b"2"}
    assert set(n1.scan_iter(match=key.replace("[", "\\[").replace("]", "\\]") + ":*")) == {
        f"{key}:{name}".encode() for name in ("hits", "set", "hash")
    }
    with pytest.raises(ResponseError, match="against a key holding the wrong kind of value"):
        n1.incr(key + ":set")
    with pytest.raises(ResponseError, match="unsupported command 'LPUSH'"):
        n1.lpush(key, "a")


def test_what_one_node_was_told_all_show(fleet: Fleet, client: Client, key: str) -> None:
    client("n1").set(key, "there")
    client("n1").sadd(key + ":set", "a")
    for name in fleet.nodes:
        wait_until(lambda at=name: client(at).get(key) == b"there", what=f"{name} to show it")
        wait_until(lambda at=name: client(at).smembers(key + ":set") == {b"a"}, what=f"{name} to show it")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_redis_py_asyncio(fleet: Fleet, key: str, protocol: int) -> None:
    async with redis.asyncio.Redis(port=fleet["n1"].resp_port, protocol=protocol) as n1:
        async with n1.pipeline(transaction=True) as pipe:
            assert await pipe.set(key, 1).incrby(key, 4).get(key).execute() == [True, 5, b"5"]
        async with n1.pipeline(transaction=False) as pipe:
            assert await pipe.incr(key).get(key).delete(key).get(key).execute() == [6, b"6", 1, None]


def test_redis_cli(fleet: Fleet, key: str) -> None:
    port = fleet["n1"].resp_port
    assert redis_cli(port, "SET", key, "hello") == "OK\n"
    assert redis_cli(port, "GET", key) == "hello\n"
    assert redis_cli(port, "-3", "HGETALL", key + ":none") == "\n"
    assert "# Deltaic" in redis_cli(port, "INFO")
    assert redis_cli(port, input_=f"INCR {key}:n\nINCR {key}:n\n".encode()) == "1\n2\n"
    assert redis_cli(port, "NONSENSE").startswith("ERR unknown command 'NONSENSE'")


def test_redis_cli_mass_insertion(fleet: Fleet, client: Client, key: str) -> None:
    count = 50_000
    mass = b"".join(packed(b"SET", b"%s:%d" % (key.encode(), number), b"%d" % number) for number in range(count))
    said = redis_cli(fleet["n1"].resp_port, "--pipe", input_=mass)
    assert f"errors: 0, replies: {count}" in said
    assert client().get(f"{key}:{count - 1}") == b"%d" % (count - 1)
    mass = b"".join(packed(b"DEL", b"%s:%d" % (key.encode(), number)) for number in range(count))
    assert f"errors: 0, replies: {count}" in redis_cli(fleet["n1"].resp_port, "--pipe", input_=mass)


def test_redis_benchmark(fleet: Fleet, client: Client) -> None:
    tests = ["set", "get", "incr", "sadd", "hset", "spop", "mset"]
    options = ["-t", ",".join(tests), "-q", "-n", "2000", "-r", "100"]
    for pipeline in ("1", "16"):
        said = redis_benchmark(fleet["n2"].resp_port, *options, "-P", pipeline)
        assert said.count("requests per second") == len(tests), said
        assert "Error" not in said
    n2 = client("n2")
    for name in n2.scan_iter(count=1000):
        if name.startswith((b"key:", b"counter:", b"myset", b"myhash")):
            n2.delete(name)
