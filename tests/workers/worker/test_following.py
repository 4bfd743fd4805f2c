"""The tails of a node follow who takes part."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import structlog

from crdt_core.codec.deltas import encode_delta
from crdt_core.lattice.clocks import Stamp
from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.membership.decisions import Sponsor
from crdt_core.node.events import RoundAsked
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from crdt_core.types.members import Fact, Members, Standing
from tests.invocations import value_of
from tests.support import wait_until_async
from tests.workers.replication.bench import Bench
from workers.config.loading import checked
from workers.turns.mailbox import Mailbox
from workers.wire.keys import DELTA_FIELD, Keys
from workers.wire.peers import Peers
from workers.worker.following import follow_peers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis import Redis

    from tests.server import ValkeyServer


class Following(Bench):
    """The bench whose node follows its peers; the fleet file names n1 and n2."""

    def __init__(self, server: ValkeyServer) -> None:
        super().__init__(server.url)
        nodes = {name: {"grpc": f"{name}:1", "redis": server.url} for name in ("n1", "n2")}
        self.peers = Peers(checked({"nodes": nodes}), "n1")
        self.client: Redis = server.client()
        self.left: list[str] = []

    def follow(self) -> None:
        self.start(follow_peers(self.peers, self.links, self.mailbox, self.left.append, batch=10))

    def write(self, node: str, element: bytes, *, id_: str = "") -> None:
        """What `node`, which has written nothing before, writes into its log, under the replica id `id_`."""
        replica = Replica(id_ or node, founders=["n1", "n2"])
        replica.write(b"fruit", ORSET, element, True)
        content = encode_delta(replica.commit(Stamp(1, 0)))
        self.client.xadd(Keys(node, replica.id).log, {DELTA_FIELD: content}, id="1-0")

    def fruit(self) -> list[bytes]:
        return sorted(value_of(self.node.confirmed, b"fruit") or [])

    def readers(self) -> int:
        """How many connections there are to read from: one for the links, and one for each peer."""
        return sum(found["name"] == "deltaic-reader-n1" for found in self.client.client_list())


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[Following]:
    opened = Following(server)
    await opened.open()
    opened.tap.back.set()
    yield opened
    await opened.close()
    await opened.peers.close()


async def test_the_log_of_a_peer_is_read_after_it_is_on_record_from_which_process(bench: Following) -> None:
    bench.follow()
    bench.write("n2", b"apple")
    await wait_until_async(lambda: bench.fruit() == [b"apple"], what="the peer's delta")
    run_id = bench.client.info("server")["run_id"]
    assert bench.peers.met == {"n2": run_id}
    assert bench.client.hgetall(Keys("n1").met) == {b"n2": run_id.encode()}


async def test_a_new_member_is_followed_at_the_address_that_was_published(bench: Following) -> None:
    bench.follow()
    await bench.mailbox.call(AddMember("n3", "h:3", bench.url, "a1"))
    bench.write("n3", b"fig", id_="n3-a1")
    await wait_until_async(lambda: bench.fruit() == [b"fig"], what="the new member's delta")


async def test_a_joining_node_reaches_a_sponsor_whose_address_is_only_published(bench: Following) -> None:
    """Found by the simulator: the empty state of a newcomer says nothing of the sponsor that its start had found.

    So the newcomer could send nothing to that sponsor, and asked it for ever.
    """
    bench.node = Node("n1", Replica("n1"), "s", sponsor=Sponsor("n3", "n3"))
    bench.mailbox = Mailbox(bench.node, bench.tap, lambda _: None, call_timeout_s=60)
    bench.peers.members = Members({"n3": Fact(Standing.ACTIVE, "n3", redis=bench.url)}, {})
    bench.follow()
    await bench.mailbox.ask(partial(RoundAsked, ()))
    assert bench.peers.redis("n3") is bench.peers.redis("n2")


async def test_a_member_without_an_address_is_said_once_and_stops_nobody(bench: Following) -> None:
    with structlog.testing.capture_logs() as logs:
        bench.follow()
        await bench.mailbox.call(AddMember("n3", "", "", "a1"))
        bench.write("n2", b"apple")
        await wait_until_async(lambda: bench.fruit() == [b"apple"], what="the other peer's delta")
        await wait_until_async(lambda: any(log["event"] == "peer_skipped" for log in logs), what="a word about it")
    assert [log["peer"] for log in logs if log["event"] == "peer_skipped"] == ["n3"]


async def test_a_member_that_was_removed_is_followed_no_more(bench: Following) -> None:
    bench.follow()
    await wait_until_async(lambda: "n2" in bench.peers.met and bench.readers() == 2, what="n2 to be followed")
    await bench.mailbox.call(RemoveMember("n2"))
    await wait_until_async(lambda: bench.readers() == 1, what="only the connection for the links to be left")
    assert bench.left == ["n2"]


async def test_a_removed_member_is_followed_no_more_though_its_tail_waited_for_a_missing_delta(
    bench: Following,
) -> None:
    """The turn that removes n2 also wakes its tail. `asyncio.wait_for` once swallowed the cancellation of the tail."""
    replica = Replica("n2", founders=["n1", "n2"])
    for counter in (1, 2):
        replica.write(b"fruit", ORSET, b"apple%d" % counter, True)
        content = encode_delta(replica.commit(Stamp(counter, 0)))
    bench.client.xadd(Keys("n2").log, {DELTA_FIELD: content}, id="2-0")  # The log lacks the first delta.
    bench.follow()
    waits = bench.mailbox.turned
    await wait_until_async(lambda: len(waits.waiting) == 2 and bench.readers() == 2, what="the tail to wait for it")
    await bench.mailbox.call(RemoveMember("n2"))
    await wait_until_async(lambda: bench.readers() < 2, what="the connection of the tail to be closed")
