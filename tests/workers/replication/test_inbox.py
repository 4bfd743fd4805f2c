"""The inbox: what waits for a turn is bounded, nothing is lost or taken in twice, and a lost entry is no message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from crdt_core.codec.canonical import parse_json
from crdt_core.codec.messages import Answer, Ask, Compact, Push, encode_message
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart
from tests.support import wait_until_async
from tests.workers.replication.bench import NAME, Bench, lose_connections
from workers.replication.inbox import Inbox, discard_outdated
from workers.wire.keys import CONSUMER, GROUP, MESSAGE_FIELD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer

WAITING_MAX = 100
BATCH_MAX = 64


class InboxBench(Bench):
    """The bench with an inbox."""

    def start_reading(self) -> None:
        self.start(Inbox(NAME, self.redis, self.links, self.mailbox, messages_waiting_max=WAITING_MAX).run())

    async def send(self, messages: int) -> list[bytes]:
        content = encode_message(Ask("n2", "r", VersionVector()))
        return [await self.redis.xadd(self.keys.inbox, {MESSAGE_FIELD: content}) for _ in range(messages)]

    async def wait_until_taken(self, messages: int) -> None:
        """Waits until so many messages were taken in, and the inbox is empty."""

        client = Redis.from_url(self.url)

        def all_taken() -> bool:
            taken = self.node.counts["patches_sent"] == messages and not client.xlen(self.keys.inbox)
            return taken and not client.xpending(self.keys.inbox, GROUP)["pending"]

        await wait_until_async(all_taken, what="all to be taken in")
        client.close()


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[InboxBench]:
    async with InboxBench(server.url) as opened:
        yield opened


async def test_no_more_messages_are_read_while_many_wait_for_their_turn(bench: InboxBench) -> None:
    messages = 4 * WAITING_MAX
    await bench.send(messages)
    bench.start_reading()
    await wait_until_async(lambda: bench.mailbox.messages_waiting > WAITING_MAX, what="many to wait")
    for _ in range(50):
        await bench.redis.ping()  # time enough to read all of them
    assert bench.mailbox.messages_waiting <= WAITING_MAX + BATCH_MAX
    bench.tap.back.set()
    await bench.wait_until_taken(messages)


async def test_what_a_former_worker_had_not_acknowledged_comes_before_what_is_new(bench: InboxBench) -> None:
    await bench.send(2)
    await bench.redis.xreadgroup(GROUP, CONSUMER, {bench.keys.inbox: ">"})  # a former worker, which then died
    await bench.send(1)
    bench.tap.back.set()
    bench.start_reading()
    await bench.wait_until_taken(3)


async def test_what_has_waited_for_a_worker_and_may_be_outdated_is_discarded_and_nothing_else(
    bench: InboxBench,
) -> None:
    """Also those that a former worker was handed out. Their authors may have lost what they hold."""
    sent: dict[bytes, list[Any]] = {}
    for kind in (b"ask", b"push", b"answer", b"chunk", b"compact", b"round") * 10:
        entry: Any = await bench.redis.xadd(bench.keys.inbox, {MESSAGE_FIELD: b'{"v":1,"kind":"%s"}' % kind})
        sent.setdefault(kind, []).append(entry)
    junk = [await bench.redis.xadd(bench.keys.inbox, {name: "push"}) for name in ("other", MESSAGE_FIELD)]
    await bench.redis.xreadgroup(GROUP, CONSUMER, {bench.keys.inbox: ">"}, count=7)
    await discard_outdated(NAME, bench.redis)
    left: Any = await bench.redis.xrange(bench.keys.inbox)
    assert {entry for entry, _ in left} == {*sent[b"ask"], *sent[b"round"], *junk}


async def test_a_patch_that_is_discarded_is_not_parsed(bench: InboxBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch may have megabytes. A starting worker parsed each one twice, and had no time for anything else."""
    parsed: list[int] = []

    def parse(what: str, data: bytes) -> Any:
        parsed.append(len(data))
        return parse_json(what, data)

    monkeypatch.setattr("crdt_core.codec.messages.parse_json", parse)
    parts = (PatchPart(b"s", "orset", b"m" * 1_000_000, {Dot("n2", 1): True}),)
    patch = Patch("n2", None, VersionVector(n2=1), VersionVector(), Stamp(7, 1), parts)
    report = encode_message(Compact({}, (), bench.keys.answer("compact")))
    for content in (encode_message(Push("n2", "r", patch)), encode_message(Answer("n2", "r", patch)), report):
        await bench.redis.xadd(bench.keys.inbox, {MESSAGE_FIELD: content})
    await discard_outdated(NAME, bench.redis)
    assert not await bench.redis.xlen(bench.keys.inbox)
    assert parsed == [len(report)]


async def test_a_job_whose_report_is_discarded_is_told_at_once(bench: InboxBench) -> None:
    """It waited for 7 s, and who ended the fleet meanwhile was told that the jobs do not end."""
    waiting, stranger = bench.keys.answer("compact"), "another key"
    for key in (waiting, stranger):
        report = encode_message(Compact({"n2": VersionVector(n2=1)}, (), key))
        await bench.redis.xadd(bench.keys.inbox, {MESSAGE_FIELD: report})
    await discard_outdated(NAME, bench.redis)
    answers: Any = await bench.redis.lrange(waiting, 0, -1)
    assert answers == [b'{"skipped":"%b has started since"}' % NAME.encode()]
    assert await bench.redis.ttl(waiting) > 0
    assert not await bench.redis.exists(stranger)
    assert not await bench.redis.xlen(bench.keys.inbox)


async def test_an_inbox_of_another_type_or_none_holds_up_no_start(bench: InboxBench) -> None:
    await bench.redis.delete(bench.keys.inbox)
    await discard_outdated(NAME, bench.redis)
    await bench.redis.set(bench.keys.inbox, "somebody's")
    await discard_outdated(NAME, bench.redis)


async def test_an_entry_that_was_trimmed_while_it_was_pending_is_acknowledged_and_nothing_else(
    bench: InboxBench,
) -> None:
    """It comes without fields, and once was set aside as a message that made no sense."""
    trimmed, kept = await bench.send(2)
    await bench.redis.xreadgroup(GROUP, CONSUMER, {bench.keys.inbox: ">"})  # a former worker, which then died
    await bench.redis.xtrim(bench.keys.inbox, minid=kept, approximate=False)
    pending = await bench.redis.xpending_range(bench.keys.inbox, GROUP, "-", "+", 10)
    assert [entry["message_id"] for entry in pending] == [trimmed, kept]
    bench.tap.back.set()
    bench.start_reading()
    await bench.wait_until_taken(1)
    assert bench.tap.quarantined == []


async def test_an_entry_without_a_message_is_set_aside_and_acknowledged(bench: InboxBench) -> None:
    bench.tap.back.set()
    bench.start_reading()
    await bench.redis.xadd(bench.keys.inbox, {"other": "field"})
    await bench.wait_until_taken(0)
    assert len(bench.tap.quarantined) == 1


async def test_an_inbox_that_was_deleted_is_made_again(bench: InboxBench) -> None:
    bench.tap.back.set()
    bench.start_reading()
    await bench.send(1)
    await bench.wait_until_taken(1)
    await bench.redis.delete(bench.keys.inbox)
    await bench.send(1)
    await bench.wait_until_taken(2)


async def test_a_redis_that_was_away_is_read_again(bench: InboxBench, server: ValkeyServer) -> None:
    bench.tap.back.set()
    bench.start_reading()
    await bench.send(1)
    await bench.wait_until_taken(1)
    lose_connections(server)
    server.client().xadd(bench.keys.inbox, {MESSAGE_FIELD: encode_message(Ask("n2", "r", VersionVector()))})
    await bench.wait_until_taken(2)
