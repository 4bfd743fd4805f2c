"""Least privilege: a fleet needs no more rights than `deltaic acl` gives, and Redis refuses what goes beyond them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from tests.client import connected
from tests.scenarios.users import Machine, machines
from tests.support import wait_until
from workers.fleet.agreement import AGREE
from workers.storage.store import Store
from workers.wire.access import Role
from workers.wire.keys import Keys, queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

KEYS = Keys("n1")
STATE = [KEYS.state, KEYS.record(b"obj:fruit").decode(), KEYS.record(b"rival:orset:fruit").decode()]
READ_ONLY = [KEYS.header, KEYS.members.decode(), KEYS.links, KEYS.alive, KEYS.met, "deltaic:fleet", "deltaic:audit"]

SERVER = [
    ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "."), ("SHUTDOWN",),
    ("MODULE", "LIST"), ("ACL", "LIST"), ("ACL", "SETUSER", "me", "on"), ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", "1"), ("REPLICAOF", "127.0.0.1", "1"), ("SAVE",), ("BGREWRITEAOF",), ("MONITOR",),
    ("KEYS", "*"), ("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH"), ("SWAPDB", "0", "1"), ("SLOWLOG", "GET"),
    ("PUBLISH", "rq:pubsub:x", "{}"), ("SUBSCRIBE", "x"),
]  # fmt: skip
PEER = [
    *SERVER,
    ("EVAL", "return 1", "0"), ("EVALSHA", "0" * 40, "0"), ("SCRIPT", "LOAD", "return 1"), ("SCAN", "0"), ("DBSIZE",),
    ("CLIENT", "LIST"), ("RANDOMKEY",),
    *(("HGETALL", key) for key in STATE),
    *(("HSET", key, "f", "v") for key in STATE),
    *(("UNLINK", key) for key in [*STATE, *READ_ONLY, KEYS.log, KEYS.inbox, KEYS.quarantine]),
    *(("HSET", key, "f", "v") for key in READ_ONLY),
    *(("EXPIRE", key, "1") for key in READ_ONLY),
    ("SET", KEYS.alive, "token"),
    ("XADD", KEYS.log, "*", "d", "x"), ("XTRIM", KEYS.log, "MAXLEN", "0"), ("XDEL", KEYS.log, "1-0"), ("DEL", KEYS.log),
    ("RENAME", KEYS.log, KEYS.inbox), ("COPY", KEYS.header, KEYS.inbox),
    ("XRANGE", KEYS.inbox, "-", "+"), ("XREADGROUP", "GROUP", "worker", "replica", "STREAMS", KEYS.inbox, ">"),
    ("XACK", KEYS.inbox, "worker", "1-0"), ("XDEL", KEYS.inbox, "1-0"), ("XGROUP", "DESTROY", KEYS.inbox, "worker"),
    ("XRANGE", KEYS.quarantine, "-", "+"),
    ("RPUSH", f"rq:queue:{queue_name('n1')}", "forged"), ("HSET", "rq:job:forged", "data", "x"),
    ("LRANGE", f"rq:queue:{queue_name('n1')}", "0", "-1"), ("SMEMBERS", "rq:workers"),
    ("SET", KEYS.lock("gossip"), "x"), ("RPUSH", KEYS.answer("x"), "{}"), ("SET", "another", "x"), ("GET", "another"),
]  # fmt: skip
JOBS = [
    *SERVER,
    *(("HGETALL", key) for key in STATE),
    *(("UNLINK", key) for key in [*STATE, *READ_ONLY, KEYS.log, KEYS.inbox]),
    ("HSET", KEYS.header, "owner", "me"), ("XADD", KEYS.log, "*", "d", "x"), ("XRANGE", KEYS.log, "-", "+"),
    ("EVAL", "return redis.call('DEL', KEYS[1])", "1", KEYS.header), ("SET", "another", "x"),
]  # fmt: skip
INSPECTOR = [
    *SERVER,
    *(("UNLINK", key) for key in [*STATE, *READ_ONLY, KEYS.log, KEYS.inbox]),
    ("HSET", KEYS.links, "n2", "paused"), ("XADD", KEYS.inbox, "*", "m", "x"), ("EVAL", "return 1", "0"),
    ("RPUSH", f"rq:queue:{queue_name('n1')}", "forged"), ("GET", "another"),
]  # fmt: skip
OWNER = [*SERVER, ("SET", "another", "x"), ("GET", "another"), ("HSET", Keys("n2").header, "owner", "me")]
BEYOND = {Role.PEER: PEER, Role.JOBS: JOBS, Role.INSPECTOR: INSPECTOR, Role.OWNER: OWNER}


@pytest.fixture(scope="module")
def n1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which nothing runs but its Redis."""
    with ExitStack() as stack:
        (machine,) = machines(stack, tmp_path_factory.mktemp("users"), "n1")
        yield machine


@pytest.fixture(scope="module")
def clients(n1: Machine) -> Iterator[dict[Role, Redis]]:
    with ExitStack() as stack:
        yield {role: stack.enter_context(n1.redis(role)) for role in Role}


@pytest.mark.parametrize("role", BEYOND)
def test_redis_refuses_what_goes_beyond_a_role(clients: dict[Role, Redis], role: Role) -> None:
    allowed = []
    for command in BEYOND[role]:
        try:
            allowed.append((command, clients[role].execute_command(*command)))
        except NoPermissionError:
            continue
        except ResponseError as error:
            allowed.append((command, error))
    assert allowed == []


def test_without_a_user_nobody_does_more_than_ping(n1: Machine) -> None:
    with n1.server.client() as nobody:
        assert nobody.ping()
        for command in (("GET", KEYS.alive), ("INFO",), ("HGETALL", KEYS.header), ("SET", "another", "x")):
            with pytest.raises(NoPermissionError):
                nobody.execute_command(*command)


async def test_a_machine_whose_name_another_one_keeps_goes_on_with_the_rights_that_it_has(
    n1: Machine, clients: dict[Role, Redis]
) -> None:
    """The owner could only use the keys of its former name: the move was refused, and tried again for ever."""
    own, machine = Keys("n1"), Keys("n1-4f2a91")
    store = Store("n1", n1.url(Role.OWNER), "token", 1000)
    await store.acquire(takeover=False)
    try:
        async with asyncio.timeout(10):
            await store.move("n1-4f2a91", "n1-4f2a91.2", {"joining": b"1", "former": b"n1-4f2a91"})
        await store.release()
        under_its_name = Store("n1-4f2a91", n1.url(Role.OWNER), "token", 1000)
        async with asyncio.timeout(10):
            await under_its_name.acquire(takeover=False)
        assert clients[Role.OWNER].publish(machine.published, b"x") == 0
        for role in (Role.PEER, Role.JOBS):
            assert clients[role].hget(machine.header, "replica") == b"n1-4f2a91.2"
            assert clients[role].xadd(machine.inbox, {"m": "x"})
            with pytest.raises(NoPermissionError):
                clients[role].hgetall(machine.state)
        assert clients[Role.PEER].xread({machine.log: "0"}) == []
        await under_its_name.release()
    finally:
        store.close()
        with n1.admin() as admin:
            admin.delete(own.header, machine.header, machine.inbox)
            admin.acl_log_reset()


def agree(*machines: Machine) -> bool:
    """Whether each of `machines` sees that all members agree, and an audit has reached all of them."""
    for machine in machines:
        found = machine.status()
        assert found.healthy, {name: node.problem for name, node in found.nodes.items()}
        assert found.agreement == AGREE, found.groups
    audit = found.nodes["n1"].audit
    assert audit is not None
    assert audit["unreachable"] == []
    assert len(audit["agree"]) == len(found.taking_part) - 1
    return True


def test_a_fleet_does_all_its_work_with_these_rights(tmp_path: Path) -> None:
    """It replicates, audits, compacts, backs up, restores, lets a node go and takes it in; Redis refuses it nothing."""
    with ExitStack() as stack:
        n1, n2, n3 = everybody = machines(stack, tmp_path, "n1", "n2", "n3")
        for machine in everybody:
            machine.knows(everybody)
            machine.start("replica", machine.name)
        n1.start("jobs", "--node", "n1", role=Role.JOBS).start("cron", "--node", "n1", role=Role.JOBS)
        for machine in everybody:
            machine.wait_until_serving()
        with connected(n1.grpc) as client:
            client.add("fruit", "apple")
            client.increment("hits", 3)
        wait_until(lambda: agree(*everybody), 40, f"all to agree:\n{n1.said()}")
        n1.run("backup", "--node", "n1", str(tmp_path / "image"))
        n1.run("node", "remove", "n3")
        wait_until(lambda: n3.ended("replica"), 30, "n3 to end")
        n2.run("node", "add", "n3", "--no-wait")
        n3.start("replica", "n3").wait_until_serving()
        n2.stop("replica")
        n2.run("restore", "--node", "n2", "--force", str(tmp_path / "image"))
        n2.start("replica", "n2").wait_until_serving()
        with connected(n3.grpc) as client:
            client.increment("hits", 2)
        wait_until(lambda: agree(*everybody), 40, f"all to agree again:\n{n2.said()}")
        with connected(n2.grpc) as client:
            assert (client.counter("hits"), client.elements("fruit")) == (5, ["apple"])
        assert [machine.refusals() for machine in everybody] == [[], [], []]
