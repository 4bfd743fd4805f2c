"""What an operation costs Redis is exact, so it is asserted: commands, bytes and round trips per commit.

The production node and store run in the test's own process against a real server, so nothing else talks to it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from crdt_core.codec.patches import encode_patch
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call, Reply
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.invocations import command
from tests.workers.committing import committed
from workers.storage.store import Store
from workers.wire.connection import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import pytest

    from crdt_core.node.events import Operation
    from tests.server import ValkeyServer

LOG_ENTRIES_MAX = 1000


@dataclass(frozen=True)
class Cost:
    """What the server counted: calls per command, bytes received."""

    calls: dict[str, int]
    bytes_in: int


class Bench:
    """A node and its store, committing turns as the worker does, and the server's own account of them."""

    def __init__(self, node: Node, store: Store, server: ValkeyServer, sends: list[int]) -> None:
        self.node = node
        self.sends = sends
        self._store = store
        self._client = server.client()

    async def turn(self, operations: Sequence[Operation]) -> None:
        """One turn with these operations."""
        turn = self.node.turn([Call(operation, None) for operation in operations], wall_ms=1_000, monotonic_ms=1_000)
        if self.node.large.calls:
            assert turn.commit.empty, "nobody commits such a turn"
            turn = self.node.end_large_call()
        await committed(self._store.commits, turn.commit)

    async def cost(self, *operations: Operation) -> Cost:
        """What one turn with these operations cost."""
        self._client.config_resetstat()
        await self.turn(operations)
        received = self._client.info("stats")["total_net_input_bytes"]
        calls = {
            name.removeprefix("cmdstat_"): stats["calls"]
            for name, stats in self._client.info("commandstats").items()
            if name not in {"cmdstat_info", "cmdstat_config|resetstat"}
        }
        return Cost(calls, received)

    async def fill(self, key: bytes, members: int, batch: int = 50_000) -> None:
        """A set of `members` members of equal length."""
        for start in range(0, members, batch):
            stop = min(start + batch, members)
            await self.turn([command("SADD", key, *(b"member-%07d" % number for number in range(start, stop)))])


@pytest_asyncio.fixture
async def bench(server: ValkeyServer, request: pytest.FixtureRequest, monkeypatch: Any) -> AsyncIterator[Bench]:
    sends: list[int] = []
    plain_submit = Wire.submit

    def counted_submit(self: Wire, packed: bytes, count: int, on_answer: Any) -> None:
        sends.append(count)
        plain_submit(self, packed, count, on_answer)

    monkeypatch.setattr(Wire, "submit", counted_submit)
    name = f"n{zlib.crc32(request.node.name.encode())}"
    store = Store(name, server.url, "token", LOG_ENTRIES_MAX)
    await store.acquire(takeover=False)
    replica = Replica(name, founders=[name])
    hlc = await store.load(replica)
    yield Bench(Node(name, replica, "test", hlc=hlc), store, server, sends)
    await store.release()


async def test_a_commit_is_one_transaction_with_one_log_entry(bench: Bench) -> None:
    await bench.turn([command("DELTAIC.COUNTER.ADD", b"hits", 1)])
    cost = await bench.cost(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert cost.calls == {"multi": 1, "hset": 2, "xadd": 1, "exec": 1, "watch": 1, "hmget": 1}


async def test_a_commit_is_one_round_trip(bench: Bench) -> None:
    bench.sends.clear()
    await bench.turn([command("DELTAIC.COUNTER.ADD", b"hits", 1), command("SADD", b"fruit", b"apple")])
    assert len(bench.sends) == 1


async def test_a_thousand_operations_of_one_turn_share_one_log_entry_and_one_field_list(bench: Bench) -> None:
    cost = await bench.cost(*(command("DELTAIC.COUNTER.ADD", b"counter-%d" % number, 1) for number in range(500)))
    assert cost.calls == {"multi": 1, "hset": 2, "xadd": 1, "exec": 1, "watch": 1, "hmget": 1}


async def test_a_turn_of_reads_costs_redis_nothing(bench: Bench) -> None:
    await bench.turn([command("DELTAIC.COUNTER.ADD", b"hits", 3), command("SADD", b"fruit", b"apple")])
    reads = [Call(command("GET", b"hits"), "counter"), Call(command("SMEMBERS", b"fruit"), "set")]
    turn = bench.node.turn(reads, wall_ms=1_000, monotonic_ms=1_000)
    assert turn.commit.empty
    replies = {reply.token: reply.result for reply in turn.effects if isinstance(reply, Reply)}
    assert (replies["counter"], replies["set"].items) == (b"3", [b"apple"])


async def test_an_operation_costs_the_same_on_a_set_of_a_thousand_and_of_a_million_members(bench: Bench) -> None:
    await bench.fill(b"small", 1_000)
    await bench.fill(b"large", 1_000_000)
    assert bench.node.replica.view(b"large", ORSET).shows(b"member-0999999")
    await bench.turn([command("SADD", b"other", b"x")])  # so that the counters in what follows are of one length
    for name in ("SADD", "SREM"):
        small = await bench.cost(command(name, b"small", b"member-0000500"))
        large = await bench.cost(command(name, b"large", b"member-0000500"))
        assert small.calls == large.calls
        assert small.bytes_in == large.bytes_in
        assert small.bytes_in < 1200


async def test_a_patch_carries_what_changed_however_much_there_is(bench: Bench) -> None:
    await bench.fill(b"set", 20_000)
    since = bench.node.replica.clock.copy()
    sizes = []
    for changed in (1, 10, 100):
        await bench.turn([command("SADD", b"set", b"fresh-%07d" % number) for number in range(changed)])
        patch = bench.node.replica.patch(since, Stamp(1, 0))
        assert len(patch.parts) == changed
        sizes.append(len(encode_patch(patch)))
    full = len(encode_patch(bench.node.replica.patch(None, Stamp(1, 0))))
    per_part = (sizes[2] - sizes[1]) / 90
    assert per_part < 80
    assert sizes[0] < 300
    assert full > 50 * sizes[2]


async def test_a_delete_of_a_large_set_is_one_write_and_one_command_more(bench: Bench) -> None:
    await bench.fill(b"set", 20_000)
    cost = await bench.cost(command("DEL", b"set"))
    assert cost.calls == {"multi": 1, "hset": 2, "unlink": 1, "xadd": 1, "exec": 1, "watch": 1, "hmget": 1}
    assert cost.bytes_in < 1200
