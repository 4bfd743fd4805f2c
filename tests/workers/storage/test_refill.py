"""A worker refills a Redis that has lost commits: with everything or nothing, and only if nobody else has gone on.

However large the state is, no transaction is."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import Fenced, InvariantBroken
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import PatchOffered
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from crdt_core.types import MEMBERS, ORSET
from crdt_core.types.members import MEMBERS_KEY, Fact, Standing
from tests.invocations import command
from tests.proxy import Proxy
from tests.support import wait_until_async
from tests.workers.storage.bench import Bench, saved, set_back
from workers.storage.store import Store
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.node.events import Operation
    from tests.proxy import Direction, Link
    from tests.server import ValkeyServer


async def test_an_emptied_redis_is_given_everything_back_with_the_commit_under_way(bench: Bench) -> None:
    await bench.fill()
    await bench.turn(paused=frozenset({"n3"}))
    bench.redis.hset(bench.keys.header, "founders", "kept by another part")
    before = bench.stored()
    bench.redis.flushdb()
    await bench.turn(
        command("DELTAIC.COUNTER.ADD", b"hits", 1), command("SADD", b"few", b"c"), paused=frozenset({"n3"})
    )
    after = bench.stored()
    assert after.keys() == before.keys() | {bench.keys.links.encode()}
    assert after[bench.keys.record(b"obj:many")] == before[bench.keys.record(b"obj:many")]
    assert bench.redis.hgetall(bench.keys.links) == {b"n3": b"paused"}
    assert bench.redis.xinfo_groups(bench.keys.inbox)
    assert [entry for entry, _ in bench.redis.xrange(bench.keys.log)] == [b"5-0"]
    assert (bench.asked, bench.node.counts["repersisted"]) == (1, 1)
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.node.counts["repersisted"] == 1
    await bench.check_reload()


async def test_what_was_deleted_since_the_older_copy_does_not_come_back(bench: Bench) -> None:
    await bench.fill()
    await bench.turn(*(command("SADD", b"doomed %d" % number, b"x") for number in range(3)))
    older = saved(bench.redis)
    await bench.turn(
        command("DEL", b"doomed 0"),
        command("DEL", b"many"),
        command("DELTAIC.SET.REMOVE", b"few", b"a"),
        command("DELTAIC.COUNTER.ADD", b"hits", 5),
    )
    set_back(bench.redis, older)
    await bench.turn(command("SADD", b"few", b"d"))
    assert not bench.redis.exists(bench.keys.record(b"obj:doomed 0"), bench.keys.record(b"obj:many"))
    assert bench.node.replica.value(b"few") == [b"d"]
    assert bench.node.counts["repersisted"] == 1
    await bench.check_reload()


@pytest.fixture
def narrow(server: ValkeyServer) -> Iterator[None]:
    """Redis takes no more than a megabyte of commands at once, which is the least that it can be told."""
    client = server.client()
    usual = client.config_get("client-query-buffer-limit")["client-query-buffer-limit"]
    client.config_set("client-query-buffer-limit", "1mb")
    yield
    client.config_set("client-query-buffer-limit", usual)


@pytest.mark.usefixtures("narrow")
async def test_a_state_that_is_larger_than_redis_takes_at_once_is_given_back(bench: Bench) -> None:
    """It was one transaction of 4 MB. Redis closed the connection each time, and the node never wrote again."""
    for number in range(40):
        await bench.turn(command("SADD", b"large", b"%d" % number * 50_000))
    bench.redis.flushdb()
    async with asyncio.timeout(20):
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert not bench.redis.exists(bench.keys.staged)
    assert not bench.redis.hexists(bench.keys.header, "restoring")
    await bench.check_reload()


async def test_a_refill_is_a_trouble_that_tells_how_far_it_has_come(bench: Bench) -> None:
    """If no connection had failed, health checks were green, however long all writes waited."""
    members = [b"%d" % number for number in range(20_000)]
    await bench.turn(command("SADD", b"large", *members))
    bench.redis.flushdb()
    turn = asyncio.create_task(bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1)))
    told: list[str] = []
    while not turn.done():
        trouble = bench.store.trouble
        if trouble is not None and trouble.reason not in told:
            told.append(trouble.reason)
        await asyncio.sleep(0)
    begins, *steps = told
    assert begins == "Redis has lost commits; the worker writes all it knows again"
    assert steps[-1] == f"{begins}: 20002 records of about 20001"
    assert len(steps) > 1
    assert bench.store.trouble is None


@pytest.mark.usefixtures("narrow")
async def test_a_commit_that_is_larger_than_redis_takes_at_once_is_committed(bench: Bench) -> None:
    """Redis closed the connection each time, as above."""
    peer = Replica("n3")
    for number in range(100):
        peer.write(b"large %d" % number, ORSET, b"x" * 50_000, True)
    peer.commit(Stamp(1, 0))
    async with asyncio.timeout(20):
        await bench.handle(PatchOffered(peer.patch(None, Stamp(1, 0)), None))
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    await bench.check_reload()


class Fold:
    """Writes down that n3 is gone from all clocks, after one commit."""

    def run(self, replica: Replica, now: Stamp) -> None:  # noqa: ARG002
        facts = {name: Fact(Standing.ACTIVE, name) for name in ("n1", "n2")}
        facts["n3"] = Fact(Standing.FOLDED, "n3", reason="removed", at_ms=1, final=1)
        for name, fact in facts.items():
            replica.write(MEMBERS_KEY, MEMBERS, name.encode(), fact)


async def test_an_older_copy_that_speaks_of_an_id_folded_since_is_no_other_history(bench: Bench) -> None:
    """The clock in Redis has an entry that the node's own has not any more: that is not more than the node has seen."""
    gone = Replica("n3")
    gone.write(b"few", ORSET, b"of n3", True)
    gone.commit(Stamp(1, 0))
    patch = gone.patch(None, Stamp(1, 0))
    await bench.handle(PatchOffered(patch, None))
    older = saved(bench.redis)
    await bench.turn(Fold())
    assert "n3" not in bench.node.replica.clock
    set_back(bench.redis, older)
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.node.counts["repersisted"] == 1
    await bench.check_reload()


async def test_collections_that_outlived_their_catalogue_do_not_keep_what_was_removed(bench: Bench) -> None:
    """Somebody has deleted some keys and not others."""
    await bench.fill()
    bench.redis.hset(bench.keys.record(b"obj:few"), b"ghost", b'{"n1:1":true}')
    bench.redis.delete(bench.keys.header, bench.keys.state)
    await bench.turn()
    assert bench.redis.hkeys(bench.keys.record(b"obj:few")) == [b"a", b"b"]
    await bench.check_reload()


async def test_a_loss_is_noticed_without_a_write_of_anybody(bench: Bench) -> None:
    """An empty commit finds out: the worker makes one when its heartbeat or its links look odd."""
    await bench.fill()
    bench.redis.flushdb()
    await bench.turn()
    await bench.check_reload()


async def test_a_replica_that_has_never_committed_is_given_its_header_back(bench: Bench) -> None:
    bench.redis.flushdb()
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    await bench.check_reload()


async def test_header_fields_of_other_parts_survive_the_loss(server: ValkeyServer) -> None:
    server.client().flushdb()
    server.client().hset(Keys("n1").header, "founders", "n1 n2")
    bench = await Bench(server).open()
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    bench.redis.flushdb()
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.redis.hget(bench.keys.header, "founders") == b"n1 n2"
    await bench.store.release()


async def test_a_node_under_a_later_id_is_given_back_under_that_id(server: ValkeyServer) -> None:
    """Its header says which id it has, who the founders were, and its deltas go on in the log of that id."""
    server.client().flushdb()
    bench = Bench(server)
    await bench.store.acquire(takeover=False)
    await bench.store.begin("n1.2", {"founders": b'["n1","n1.2"]'})
    bench.node = Node("n1", Replica("n1.2", founders=["n1"]), "test")
    await bench.store.load(bench.node.replica)
    bench.store.commits.enable_refill(bench.node, bench.check_history)
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    bench.redis.flushdb()
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.redis.hmget(bench.keys.header, "replica", "founders") == [b"n1.2", b'["n1","n1.2"]']
    assert [entry for entry, _ in bench.redis.xrange(Keys("n1", "n1.2").log)] == [b"2-0"]
    assert not bench.redis.exists(bench.keys.log)
    await bench.store.release()


async def test_a_redis_that_another_live_process_holds_is_left_to_it(bench: Bench, server: ValkeyServer) -> None:
    """Redis was set back, and another worker took it up: whoever was first there goes on."""
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    older = saved(bench.redis)
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    set_back(bench.redis, older)
    other = Store("n1", server.url, "other", 1000)
    await other.acquire(takeover=True)
    before = bench.stored()
    with pytest.raises(Fenced):
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 10))
    assert bench.stored() == before
    await other.release()


async def test_a_history_that_another_process_has_continued_is_not_overwritten(bench: Bench) -> None:
    """That process is gone again; a peer knows what it did."""
    await bench.fill()
    bench.redis.flushdb()
    bench.history = InvariantBroken("n2 has seen more")
    with pytest.raises(InvariantBroken, match="n2 has seen more"):
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert not bench.redis.exists(bench.keys.header, bench.keys.state)


async def test_what_another_process_has_taken_in_meanwhile_is_not_overwritten(bench: Bench) -> None:
    """Its clock, in Redis, has seen what this process has not."""
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    older = saved(bench.redis)
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    set_back(bench.redis, older)
    bench.redis.hset(bench.keys.header, "clock", '{"n1":1,"n2":7}')
    with pytest.raises(InvariantBroken, match="another process has gone on"):
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))


class Cut:
    """Cuts the connection by which everything is given back, behind its `after`-th chunk; once."""

    def __init__(self, after: int, *, silently: bool) -> None:
        self._left = after
        self._silently = silently
        self.armed = False
        self.seen: dict[bytes, Any] | None = None

    def __call__(self, link: Link, direction: Direction, data: bytes) -> bytes:
        if not self.armed or direction != "request" or not link.owns or self.seen is not None:
            return data
        if self._left:
            self._left -= 1
            return data
        self.seen = {}
        if self._silently:
            return b""
        link.cut()
        return b""


@pytest.mark.parametrize("after", range(10))
@pytest.mark.parametrize("silently", [False, True], ids=["cut", "silent"])
async def test_an_interruption_anywhere_leaves_the_old_state_or_the_new(
    server: ValkeyServer, after: int, silently: bool
) -> None:
    """And it is done again, exactly once. Silent: the connection stays, and nothing comes through any more."""
    redis = server.client()
    redis.flushdb()
    cut = Cut(after, silently=silently)
    with Proxy(server.port) as proxy:
        proxy.script = cut
        bench = await Bench(server, proxy.url, commit_timeout_s=0.2, load_timeout_s=0.2).open()
        await bench.fill()
        older = saved(redis)
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1), command("DEL", b"few"))
        set_back(redis, older)
        behind = bench.stored()
        cut.armed = True
        turn = asyncio.create_task(bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1)))
        await wait_until_async(lambda: cut.seen is not None or turn.done(), what="the interruption")
        if not turn.done():
            stored = bench.stored()
            assert stored == behind or redis.hget(bench.keys.header, "turn") == b"6"
        await turn
        cut.armed = False
        assert bench.node.replica.value(b"hits") == 5
        assert [entry for entry, _ in redis.xrange(bench.keys.log)][-1] == b"6-0"
        await bench.check_reload()
        with suppress(Fenced):
            await bench.store.release()


@pytest.mark.parametrize("seed", range(12))
async def test_any_history_of_turns_losses_and_broken_connections_is_one_history(
    server: ValkeyServer, seed: int
) -> None:
    """Redis is emptied, set back to any older copy, and loses its connections, between commits and within them."""
    chance, redis = random.Random(seed), server.client()
    redis.flushdb()
    bench = await Bench(server).open()
    copies: list[dict[bytes, bytes]] = [{}]
    said: dict[bytes, bytes] = {}
    confirmed: list[int] = []

    def happens() -> None:
        """Something bad, or nothing."""
        match chance.randrange(6):
            case 0:
                redis.flushdb()
            case 1:
                set_back(redis, chance.choice(copies))
            case 2:
                redis.client_kill_filter(_type="normal", skipme=True)
            case 3:
                copies.append(saved(redis))

    for number in range(60):
        happens()
        turn = asyncio.create_task(bench.turn(*some_operations(chance, number)))
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        happens()
        await turn
        for entry, fields in redis.xrange(bench.keys.log):
            assert said.setdefault(entry, fields[b"d"]) == fields[b"d"], f"{entry!r} was spent twice"
        confirmed.append(bench.store.turn)
    assert confirmed == list(range(1, 61))
    await bench.turn()
    await bench.check_reload()
    with suppress(Fenced):
        await bench.store.release()


def some_operations(chance: random.Random, number: int) -> list[Operation]:
    key = b"%d" % chance.randrange(4)
    choices: list[Operation] = [
        command("DELTAIC.COUNTER.ADD", b"counter " + key, 1),
        command("SADD", b"set " + key, b"%d" % number),
        command("DELTAIC.SET.REMOVE", b"set " + key, b"%d" % chance.randrange(number + 1)),
        command("DEL", b"set " + key),
        command("DEL", b"counter " + key),
        command("DELTAIC.FLAG.SET", b"flag " + key, int(chance.random() < 0.5)),
    ]
    return chance.choices(choices, k=chance.randrange(1, 4))
