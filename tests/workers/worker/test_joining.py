"""Becoming a member, and doing again what a former incarnation had not sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.deltas import encode_delta
from crdt_core.errors import StoreUnavailable
from crdt_core.lattice.clocks import Stamp
from crdt_core.membership.decisions import Sponsor, Start
from crdt_core.node.node import Node, NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.invocations import command, value_of
from tests.support import wait_until_async
from workers.config.settings import NodeSettings
from workers.turns.mailbox import Mailbox
from workers.wire.keys import DELTA_FIELD, Keys
from workers.worker.joining import SponsorSilent, join, replay_former

if TYPE_CHECKING:
    from tests.workers.replication.bench import Bench

ADDRESSES = NodeSettings(grpc="n1:7101", redis="redis://n1:6379/0")


async def as_newcomer(bench: Bench, replica: str, founders: list[str], sponsor: Sponsor | None) -> None:
    """Makes the bench's node one that goes on as `replica`."""
    options = NodeOptions(exchange_timeout_ms=50)
    bench.node = Node("n1", Replica(replica, founders=founders), "s", sponsor=sponsor, options=options)
    await bench.store.load(bench.node.replica)
    bench.mailbox = Mailbox(bench.node, bench.tap, lambda _: None, call_timeout_s=60)


async def test_a_member_has_nothing_to_do(bench: Bench) -> None:
    await join(Start("n1", ("n1", "n2")), ADDRESSES, bench.mailbox)


async def test_a_node_without_a_sponsor_writes_itself_down(bench: Bench) -> None:
    await as_newcomer(bench, "n1.2", ["n1"], None)
    bench.start()
    await join(Start("n1.2", ("n1",), formers=("n1",)), ADDRESSES, bench.mailbox)
    assert bench.node.membership.is_admitted
    fact = bench.node.replica.members.facts["n1.2"]
    assert (fact.node, fact.grpc, fact.redis) == ("n1", "n1:7101", "redis://n1:6379/0")


async def test_a_node_without_a_sponsor_waits_for_its_own_redis_as_long_as_it_takes(bench: Bench) -> None:
    """The start of a node whose Redis was slow once ended when the patience of a client's call did."""
    await as_newcomer(bench, "n1.2", ["n1"], None)
    bench.mailbox = Mailbox(bench.node, bench.tap, lambda _: None, call_timeout_s=0.05)
    bench.tap.back.clear()
    bench.start()
    joining = asyncio.create_task(join(Start("n1.2", ("n1",), formers=("n1",)), ADDRESSES, bench.mailbox))
    with pytest.raises(StoreUnavailable):
        await bench.mailbox.call(command("SADD", b"fruit", b"apple"))
    bench.tap.back.set()
    await joining
    assert bench.node.membership.is_admitted


async def test_a_sponsor_that_gives_no_state_is_given_up(bench: Bench) -> None:
    sponsor = Sponsor("n2", "n2")
    await as_newcomer(bench, "n1", [], sponsor)
    bench.start()
    with pytest.raises(SponsorSilent) as silent:
        await join(Start("n1", (), sponsor), ADDRESSES, bench.mailbox)
    assert silent.value.sponsor == "n2"


async def test_what_a_former_id_had_not_sent_is_written_as_new(bench: Bench) -> None:
    """Two commits of n1, in its log; nobody else has seen any of them."""
    former = Replica("n1", founders=["n1"])
    for counter, element in enumerate((b"apple", b"fig"), 1):
        former.write(b"fruit", ORSET, element, True)
        content = encode_delta(former.commit(Stamp(counter, 0)))
        await bench.redis.xadd(Keys("n1").log, {DELTA_FIELD: content}, id=f"{counter}-0")
    await as_newcomer(bench, "n1.2", ["n1"], None)
    decision = Start("n1.2", ("n1",), formers=("n1",))
    bench.start(replay_former(bench.redis, decision, bench.mailbox))
    await join(decision, ADDRESSES, bench.mailbox)
    await wait_until_async(lambda: value_of(bench.node.confirmed, b"fruit") == [b"apple", b"fig"], what="the replay")

    async def log_is_gone() -> bool:
        return not await bench.redis.exists(Keys("n1").log)

    await wait_until_async(log_is_gone, what="the former log to be deleted")


async def test_what_two_former_ids_had_not_sent_is_written_as_new_the_earlier_first(bench: Bench) -> None:
    """The node came back twice before the first replay: each log holds a commit that nobody else has."""
    earlier, later = Replica("n1", founders=["n1"]), Replica("n1.2", founders=["n1"])
    earlier.write(b"fruit", ORSET, b"apple", True)
    first = earlier.commit(Stamp(1, 0))
    assert first is not None
    later.write(b"fruit", ORSET, b"fig", True)
    for replica, delta in (("n1", first), ("n1.2", later.commit(Stamp(2, 0)))):
        await bench.redis.xadd(Keys("n1", replica).log, {DELTA_FIELD: encode_delta(delta)}, id="1-0")
    await as_newcomer(bench, "n1.3", ["n1"], None)
    decision = Start("n1.3", ("n1",), formers=("n1", "n1.2"))
    bench.start(replay_former(bench.redis, decision, bench.mailbox))
    await join(decision, ADDRESSES, bench.mailbox)
    await wait_until_async(lambda: value_of(bench.node.confirmed, b"fruit") == [b"apple", b"fig"], what="both replays")
    await wait_until_async(lambda: bench.node.counts["commits"] >= 4, what="the end of the second replay")
    assert await bench.redis.hget(bench.store.keys.header, "former") == b""


async def test_without_a_former_id_nothing_is_replayed(bench: Bench) -> None:
    bench.start(replay_former(bench.redis, Start("n1", ("n1", "n2")), bench.mailbox))
    await bench.commit()
    assert bench.node.replica.clock == {"n1": 1}
    assert [entry for entry, _ in await bench.redis.xrange(Keys("n1").log)] == [b"1-0"]
