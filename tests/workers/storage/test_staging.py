"""Staging: a commit that is too large for one transaction is durable as a whole or not at all."""

from __future__ import annotations

import asyncio
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.messages import Push, encode_message
from crdt_core.codec.records import Changes
from crdt_core.errors import InvariantBroken, StoreUnavailable
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call, Commit, MessagesRead, PatchOffered
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.histories import whole_state
from tests.invocations import command
from tests.support import wait_until_async
from tests.workers.committing import committed
from tests.workers.storage.bench import Bench, saved, set_back
from workers.storage.ownership import RETRY_S, Ownership
from workers.storage.staging import Staging
from workers.storage.store import Store
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from redis import Redis

    from crdt_core.lattice.deltas import Patch
    from crdt_core.node.events import Event
    from tests.server import ValkeyServer
    from workers.wire.connection import RedisCommand

KEYS = Keys("n1")


class Killed(Exception):
    """The process ended."""


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit is staged, in pieces of one command."""
    monkeypatch.setattr("workers.storage.commits.COMMIT_BYTES_MAX", 0)
    monkeypatch.setattr("workers.storage.requests.BATCH_COMMANDS", 1)


def patch() -> Patch:
    """What n2 has done: five sets."""
    peer = Replica("n2", founders=["n1", "n2", "n3"])
    for number in range(5):
        peer.write(b"set %d" % number, ORSET, b"x", True)
    peer.commit(Stamp(1, 0))
    return peer.patch(None, Stamp(1, 0))


async def reloaded(server: ValkeyServer) -> Replica:
    """What the next process reads."""
    replica, store = Replica("n1", founders=["n1", "n2", "n3"]), Store("n1", server.url, "next", 1000)
    await store.acquire(takeover=True)
    await store.load(replica)
    await store.release()
    return replica


@pytest.mark.usefixtures("small_pieces")
async def test_a_process_that_is_killed_anywhere_in_a_staged_commit_leaves_all_of_it_or_nothing(
    server: ValkeyServer,
) -> None:
    redis = server.client()
    ends: list[bool] = []
    for step in count():
        redis.flushdb()
        bench = await Bench(server).open()
        await bench.turn(command("SADD", b"set 0", b"old"), command("SADD", b"few", b"a"))
        before = whole_state(bench.node.replica)
        try:
            await killed_at(step, bench, PatchOffered(patch(), None))
        except Killed:
            ends.append(redis.hexists(KEYS.header, "staged"))
        else:
            break
        after = whole_state(bench.node.replica)
        found = await reloaded(server)
        assert whole_state(found) == (after if ends[-1] else before)
        assert found.digest == (bench.node.replica.digest if ends[-1] else found.digest)
        assert not redis.exists(KEYS.staged)
        assert not redis.hexists(KEYS.header, "restoring")
        bench.store.close()
    assert ends == sorted(ends)
    assert ends.count(False) > 3
    assert ends.count(True) > 3
    await bench.check_reload()
    bench.store.close()


async def killed_at(step: int, bench: Bench, event: Event) -> None:
    """Takes the event; the process is killed before its transaction `step` of the staging."""
    transact, done = Ownership.transact, count()

    async def transact_or_die(ownership: Ownership, *commands: RedisCommand) -> int:
        if next(done) == step:
            ownership.wire.close()
            raise Killed
        return await transact(ownership, *commands)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Ownership, "transact", transact_or_die)
        await bench.handle(event)


@pytest.mark.usefixtures("small_pieces")
async def test_a_staged_commit_goes_on_after_a_lost_connection(server: ValkeyServer) -> None:
    redis = server.client()
    for step in range(12):
        redis.flushdb()
        bench = await Bench(server).open()
        transact, done = Ownership.transact, count()

        async def transact_or_lose(ownership: Ownership, *commands: RedisCommand) -> int:
            if next(done) == step:  # noqa: B023
                redis.client_kill_filter(_type="normal", skipme=True)
            return await transact(ownership, *commands)  # noqa: B023

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Ownership, "transact", transact_or_lose)
            await bench.handle(PatchOffered(patch(), None))
        assert bench.store.turn == 1
        await bench.turn(command("SADD", b"set 0", b"new"))
        await bench.check_reload()
        bench.store.close()


def copying_amid_staging(redis: Redis, patched: pytest.MonkeyPatch) -> list[dict[bytes, bytes]]:
    """Copies of all keys are added to the list, one before each transaction after a staged commit."""
    transact, copies = Ownership.transact, list[dict[bytes, bytes]]()

    async def copy_and_transact(ownership: Ownership, *commands: RedisCommand) -> int:
        if redis.hexists(KEYS.header, "staged"):
            copies.append(saved(redis))
        return await transact(ownership, *commands)

    patched.setattr(Ownership, "transact", copy_and_transact)
    return copies


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("is_connection_lost", [True, False])
async def test_a_redis_that_is_set_back_amid_a_staged_commit_completes_it_before_the_next_one(
    server: ValkeyServer, *, is_connection_lost: bool
) -> None:
    """It was at the confirmed turn, and taken for whole: what was staged was lost, or applied over later commits."""
    redis = server.client()
    for step in range(6):
        redis.flushdb()
        bench = await Bench(server).open()
        with pytest.MonkeyPatch.context() as patched:
            copies = copying_amid_staging(redis, patched)
            await bench.handle(PatchOffered(patch(), None))
        set_back(redis, copies[step])
        if is_connection_lost:
            redis.client_kill_filter(_type="normal", skipme=True)
        await bench.turn(command("SADD", b"set 4", b"another"))
        await bench.check_reload()
        bench.store.close()


@pytest.mark.usefixtures("small_pieces")
async def test_pieces_of_a_refill_are_never_applied_to_an_older_staged_commit(server: ValkeyServer) -> None:
    """The header of the older copy said `staged`, so the next process took the pieces of the refill for committed."""
    redis, is_killed = server.client(), True
    for step in count():
        redis.flushdb()
        bench = await Bench(server).open()
        with pytest.MonkeyPatch.context() as patched:
            copies = copying_amid_staging(redis, patched)
            await bench.handle(PatchOffered(patch(), None))
        older = whole_state(bench.node.replica)
        await bench.turn(command("DEL", b"set 0"))
        set_back(redis, copies[2])
        try:
            await killed_at(step, bench, Call(command("SADD", b"few", b"a"), None))
        except Killed:
            assert whole_state(await reloaded(server)) in (older, whole_state(bench.node.replica))
        else:
            is_killed = False
        bench.store.close()
        if not is_killed:
            break
    assert step > 10


@pytest.mark.usefixtures("small_pieces")
async def test_a_redis_that_is_set_back_amid_a_staged_commit_while_a_process_starts_is_not_taken_for_damaged(
    server: ValkeyServer,
) -> None:
    """The process had completed the commit, read half of it, and marked the state as damaged for good."""
    redis = server.client()
    redis.flushdb()
    bench = await Bench(server).open()
    with pytest.raises(Killed):
        await killed_at(9, bench, PatchOffered(patch(), None))
    replica, store = Replica("n1", founders=["n1", "n2", "n3"]), Store("n1", server.url, "next", 1000)
    with pytest.MonkeyPatch.context() as patched:
        copies = copying_amid_staging(redis, patched)
        await store.acquire(takeover=True)
    set_back(redis, copies[0])
    await store.load(replica)
    assert whole_state(replica) == whole_state(bench.node.replica)
    await store.release()
    bench.store.close()


async def test_the_slices_of_a_large_patch_are_persisted_with_what_the_turn_after_them_writes(bench: Bench) -> None:
    """In their order: the turn removes again what a slice has brought."""
    peer = Replica("n2", founders=["n1", "n2", "n3"])
    for number in range(2 * NodeOptions().parts_per_slice):
        peer.write(b"set %d" % number, ORSET, b"x", True)
    peer.commit(Stamp(1, 0))
    push = encode_message(Push("n2", "r", peer.patch(None, Stamp(1, 0))))
    await bench.handle(MessagesRead([("1-0", push)]))
    assert not bench.redis.hgetall(bench.keys.state)
    while bench.node.large.prepare():
        pass
    await bench.turn(command("DEL", b"set 1"), command("SADD", b"set 2", b"y"))
    assert bench.node.replica.value(b"set 2") == [b"x", b"y"]
    await bench.check_reload()


@pytest.mark.usefixtures("small_pieces")
async def test_a_redis_that_refuses_what_is_staged_is_asked_now_and_then(bench: Bench) -> None:
    """It was asked again at once, over new connections, for as long as it refused."""
    bench.redis.config_resetstat()
    bench.redis.config_set("maxmemory", 1)
    begun_s = monotonic()
    committing = asyncio.create_task(bench.turn(command("SADD", b"few", b"a")))
    try:
        await wait_until_async(lambda: refused(bench.redis, "rpush") > 3, 10, "some attempts")
        assert monotonic() - begun_s > 2 * RETRY_S
    finally:
        bench.redis.config_set("maxmemory", 0)
    await committing
    await bench.check_reload()


def refused(redis: Redis, command_name: str) -> int:
    """How many commands of a name Redis has refused."""
    found = redis.info("commandstats").get(f"cmdstat_{command_name}", {})
    return int(found.get("rejected_calls", 0))


@pytest.mark.usefixtures("small_pieces")
async def test_a_piece_that_redis_does_not_execute_stops_the_node(server: ValkeyServer) -> None:
    """It was taken from the list all the same, and the commit was confirmed without it."""
    redis = server.client()
    redis.flushdb()
    bench = await Bench(server).open()
    await bench.turn(command("SADD", b"few", b"a"))
    redis.set(KEYS.record(b"obj:other"), "somebody's")
    with pytest.raises(InvariantBroken, match="keys that are not ours: WRONGTYPE"):
        await bench.turn(command("SADD", b"other", b"a"))
    bench.store.close()


async def test_a_list_that_redis_has_lost_a_part_of_is_not_committed(server: ValkeyServer) -> None:
    redis = server.client()
    redis.flushdb()
    ownership = Ownership("n1", server.url, "token")
    await ownership.acquire(takeover=False)
    staging = Staging(ownership, KEYS)

    def pieces() -> list[list[RedisCommand]]:
        return [[("HSET", "h", f"{number}", "v")] for number in range(3)]

    await staging.put(pieces(), b"token")
    redis.delete(KEYS.staged)
    with pytest.raises(StoreUnavailable):
        await ownership.transact(("HSET", KEYS.header, "staged", "1"))
    with pytest.raises(StoreUnavailable, match="has lost"):
        await staging.put(pieces(), b"another")
    await staging.put(pieces(), b"token")
    await ownership.transact(("HSET", KEYS.header, "staged", "1"))
    await staging.finish()
    assert redis.hlen("h") == 3
    assert not redis.exists(KEYS.staged)
    await ownership.release()


async def test_others_have_the_event_loop_while_slices_are_compared(bench: Bench) -> None:
    """All slices were gone through at once for what a later one drops: 0.2 s where a flush drops a million sets."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def note_turns(_staging: Staging, _batches: object, _owner: object) -> None:
        noted.append(turns)
        raise Killed

    noted: list[int] = []
    slices = [Changes(written={b"obj:%d" % number: [b"x", bytes(100_000)]}) for number in range(50)]
    others = asyncio.create_task(take_turns())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Staging, "put", note_turns)
        with pytest.raises(Killed):
            await committed(bench.store.commits, Commit(header=bench.node.header(), earlier=slices))
    others.cancel()
    assert noted[0] >= len(slices)


async def test_slices_that_leave_little_are_one_transaction_without_a_list(bench: Bench) -> None:
    """A `DEL` of a set of 20 000 members in slices was staged, in six transactions, for two fields and one `UNLINK`."""
    redis = bench.redis
    first, last = Changes(written={b"state": [b"set", b"1"]}), Changes(written={b"state": [b"set", b"2"]})
    before = redis.info("commandstats")
    await committed(bench.store.commits, Commit(header=bench.node.header(), earlier=[first], records=last))
    assert redis.hget(KEYS.record(b"state"), "set") == b"2"
    after = redis.info("commandstats")
    assert after["cmdstat_exec"]["calls"] == before.get("cmdstat_exec", {"calls": 0})["calls"] + 1
    assert after.get("cmdstat_rpush") == before.get("cmdstat_rpush")
