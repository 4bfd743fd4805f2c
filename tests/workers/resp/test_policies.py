"""Policies of the fleet file on two real nodes, by redis-py: they part, act, and agree again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.fleet import Fleet
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Client = Callable[..., Redis]

POLICIES = """
[policies."ban:"]
sets = "remove-wins"
[policies."note:"]
strings = "multi-value"
[policies."note:last:"]
strings = "last-writer-wins"
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("policies"), nodes=2, settings=POLICIES) as fleet:
        yield fleet


@pytest.fixture
def clients(pair: Fleet) -> Iterator[list[Redis]]:
    opened = [Redis(port=node.resp_port, protocol=3, decode_responses=True) for node in pair.nodes.values()]
    yield opened
    for client in opened:
        client.close()


def test_policies_say_who_wins_on_real_nodes(pair: Fleet, clients: list[Redis], key: str) -> None:
    n1, n2 = clients
    ban, note, last, plain = f"ban:{key}", f"note:{key}", f"note:last:{key}", f"plain:{key}"
    for name in (ban, plain):
        n1.sadd(name, "eve")
    pair.agree()
    for client in clients:
        client.execute_command("DELTAIC.PARTITION")
    for name in (ban, plain):
        assert n1.srem(name, "eve") == 1
        assert n2.sadd(name, "eve", "mallory") == 1
    for name in (note, last):
        n1.set(name, "one")
        n2.set(name, "two")
    for client in clients:
        client.execute_command("DELTAIC.HEAL")
    pair.agree()
    for client in clients:
        assert client.smembers(ban) == {"mallory"}
        assert client.smembers(plain) == {"eve", "mallory"}
        assert client.get(note) == client.get(last) == "two"
        assert client.execute_command("DELTAIC.MVGET", note) == ["two", "one"]
        assert client.execute_command("DELTAIC.MVGET", last) == ["two"]
        assert (client.type(ban), client.type(note)) == ("set", "string")
    n1.set(note, "three")
    wait_until(lambda: n2.execute_command("DELTAIC.MVGET", note) == ["three"], what="the write that has seen both")


def test_what_deltaic_has_words_for_works_by_any_client(pair: Fleet, clients: list[Redis], key: str) -> None:
    n1, n2 = clients
    assert n1.execute_command("DELTAIC.RWSADD", key + ":s", "a", "b") == 2
    assert n1.execute_command("DELTAIC.RWSREM", key + ":s", "a") == 1
    assert n1.execute_command("DELTAIC.DWENABLE", key + ":d") == 1
    assert n1.execute_command("DELTAIC.EWENABLE", key + ":e") == 1
    assert n1.execute_command("DELTAIC.MVSET", key + ":m", "v") == "OK"
    pair.agree()
    assert n2.smembers(key + ":s") == {"b"}
    assert n2.execute_command("DELTAIC.ENABLED", key + ":d") == n2.execute_command("DELTAIC.ENABLED", key + ":e") == 1
    assert n2.execute_command("DELTAIC.MVGET", key + ":m") == ["v"]
    with pytest.raises(ResponseError, match="wrong number of arguments"):
        n2.execute_command("DELTAIC.MVGET")
    described = n1.execute_command("COMMAND", "INFO", "DELTAIC.RWSADD")
    assert "deltaic.rwsadd" in str(described)


def test_what_a_policy_has_made_outlives_its_worker(pair: Fleet, clients: list[Redis], key: str) -> None:
    n1, n2 = clients
    n1.sadd(f"ban:{key}", "x", "y")
    n1.srem(f"ban:{key}", "x", "z")
    n1.set(f"note:{key}", "v")
    pair["n1"].kill()
    pair["n1"].start()
    pair["n1"].wait_until_serving()
    assert n1.smembers(f"ban:{key}") == {"y"}
    assert n1.execute_command("DELTAIC.MVGET", f"note:{key}") == ["v"]
    pair.agree()
    assert n2.smembers(f"ban:{key}") == {"y"}


def test_grpc_does_not_show_what_has_expired(pair: Fleet, clients: list[Redis], key: str) -> None:
    n1, _ = clients
    pair["n1"].increment(key, 5)
    pair["n1"].add(key + ":s", "x")
    for name in (key, key + ":s"):
        n1.pexpire(name, 50)
    wait_until(lambda: not n1.exists(key, key + ":s"), what="both to expire")
    assert pair["n1"].counter(key) == 0
    assert pair["n1"].elements(key + ":s") == []
    assert pair["n1"].increment(key, 2) == 2
