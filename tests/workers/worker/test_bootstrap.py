"""How a starting worker comes by its replica id: what it reads, whom it asks, and what it writes into its header.

Which decision is right is tested with `crdt_core.membership.identity`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog

from crdt_core.codec.messages import Admit, decode_message
from crdt_core.codec.records import encode_part
from crdt_core.errors import CorruptState, NotAMember
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.membership.decisions import ComeBack, Resume, Sponsor, Start
from crdt_core.membership.evidence import OperatorOverride
from crdt_core.membership.identity import decide
from crdt_core.types import MEMBERS
from crdt_core.types.members import Fact, Standing
from tests.server import ValkeyServer
from tests.support import free_port, wait_until_async
from tests.workers.fleet.publishing import publish_members
from workers.config.loading import checked
from workers.storage.evidence import read_evidence
from workers.storage.store import Store
from workers.system.tasks import end
from workers.wire.keys import FLEET, MESSAGE_FIELD, Keys
from workers.wire.peers import Peers
from workers.worker.bootstrap import bootstrap, end_start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import redis

    from workers.config.settings import FleetSettings

AWAY = f"redis://127.0.0.1:{free_port()}/0"


class Starting:
    """n1, or `name`, of a fleet of n1 and n2, whose store it owns."""

    def __init__(self, server: ValkeyServer, name: str = "n1") -> None:
        self.client: redis.Redis = server.client()
        self.url = server.url
        self.name = name
        self.keys = Keys(name)
        self.store = Store(name, server.url, "token", 1000)

    async def decide(self, n2: str = "", *, trusting: bool = False, unsponsored: bool = False) -> Start:
        """The decision, with the Redis of n2 at `n2`."""
        if not self.store.connected:
            await self.store.acquire(takeover=False)
        settings, override = self.settings(n2), OperatorOverride(trusting, unsponsored)
        async with self.peers(n2) as peers:
            return await bootstrap(self.name, settings.node(self.name), self.store, peers, override)

    async def wait(self, n2: str = "") -> dict[str, Any]:
        """What the heartbeat says once it says that the node waits; nothing if the node does not."""
        deciding = asyncio.create_task(self.decide(n2))
        await wait_until_async(lambda: deciding.done() or self.beat().get("waits"), what="it to say that it waits")
        beat = self.beat()
        await end([deciding])
        return beat

    @asynccontextmanager
    async def peers(self, n2: str = "") -> AsyncIterator[Peers]:
        """The connections of the node, with the Redis of n2 at `n2`."""
        peers = Peers(self.settings(n2), self.name)
        try:
            yield peers
        finally:
            await peers.close()

    def settings(self, n2: str) -> FleetSettings:
        urls = {"n1": self.url, "n2": n2 or self.url}
        return checked({"nodes": {name: {"grpc": f"{name}:7101", "redis": urls[name]} for name in urls}})

    def header(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = self.client.hgetall(self.keys.header)
        return found

    def beat(self) -> dict[str, Any]:
        fields: dict[str, Any] = orjson.loads(self.client.hget(FLEET, "n1") or b"{}")
        return fields


@pytest.fixture
async def starting(server: ValkeyServer) -> AsyncIterator[Starting]:
    server.client().flushdb()
    found = Starting(server)
    yield found
    found.store.close()
    await asyncio.sleep(0)  # the connection closes in the next round of the loop


def two_named_n3(first_url: str, second_url: str, first: str = "n3-07b3e8") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is recorded of two machines that were added under one name, each with its own Redis."""
    return (first, "active", "n3", "", first_url), ("n3-4f2a91", "active", "n3", "", second_url)


def publish(client: redis.Redis, node: str, **fields: Any) -> None:
    """Writes a header of `node`, as of a commit."""
    values = {"clock": {}, "stable": {}, "hlc": [1, 0], **fields}
    header = {name: value if isinstance(value, str) else orjson.dumps(value) for name, value in values.items()}
    run_id = client.info("server")["run_id"]
    client.hset(Keys(node).header, mapping={"digest": "0" * 16, "run_id": run_id} | header)


async def test_a_node_of_a_new_fleet_founds_it_with_the_others(starting: Starting) -> None:
    starting.client.hset(starting.keys.met, "n2", "of a former worker process")
    decision = await starting.decide()
    assert (decision.replica, decision.founders, decision.sponsor) == ("n1", ("n1", "n2"), None)
    header = starting.header()
    assert (header[b"replica"], orjson.loads(header[b"founders"])) == (b"n1", ["n1", "n2"])
    assert not starting.client.hexists(starting.keys.met, "n2"), "this process has read nothing yet"


async def test_a_node_that_has_lost_nothing_goes_on(starting: Starting) -> None:
    publish(starting.client, "n1", replica="n1", founders=["n1", "n2"], clock={"n1": 7}, former="n1.0")
    before = starting.header()
    assert await starting.decide() == Start("n1", ("n1", "n2"), formers=("n1.0",))
    assert starting.header().items() - {(b"owner", b"token"), (b"format", b"1")} == before.items()


async def test_a_start_says_which_ids_have_departed(starting: Starting) -> None:
    publish(starting.client, "n1", replica="n1", founders=["n1", "n2"], clock={"n1": 7})
    publish(starting.client, "n2", replica="n2.2", clock={"n1": 7})
    members = ("n1", "active", "n1", "", ""), ("n2", "leaving", "n2", "lost", 7), ("n2.2", "active", "n2", "", "")
    publish_members(starting.client, "n2", *members)
    assert set((await starting.decide()).departed) == {"n2"}


async def test_nodes_that_start_together_after_their_redis_was_restarted_do_not_wait_for_each_other(
    starting: Starting, server: ValkeyServer
) -> None:
    """Each took the other for a worker that might live, until its patience of ten seconds was over."""
    for name in ("n1", "n2"):
        publish(starting.client, name, replica=name, founders=["n1", "n2"], clock={"n1": 7}, run_id="former")
    neighbour = Starting(server, "n2")
    try:
        async with asyncio.timeout(5):
            found = await asyncio.gather(starting.decide(), neighbour.decide())
    finally:
        neighbour.store.close()
    assert [start.replica for start in found] == ["n1", "n2"]


async def test_nodes_that_start_together_do_not_warn_of_the_moment_in_which_they_wait(
    starting: Starting, server: ValkeyServer
) -> None:
    """Every restart of `make fleet` began with about ten warnings."""
    for name in ("n1", "n2"):
        publish(
            starting.client, name, replica=name, founders=["n1", "n2"], clock={"n1": 7}, run_id="former", owner="gone"
        )
    neighbour = Starting(server, "n2")
    with structlog.testing.capture_logs() as logs:
        deciding = asyncio.create_task(starting.decide())
        await wait_until_async(lambda: starting.beat().get("waits"), what="n1 to wait for n2")
        try:
            await asyncio.gather(deciding, neighbour.decide())
        finally:
            neighbour.store.close()
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == []


async def test_a_worker_takes_back_that_it_is_starting_before_it_reads_from_its_peers(starting: Starting) -> None:
    await starting.decide()
    async with starting.peers() as peers:
        own = peers.redis("n1")
        assert (await read_evidence("n1", own)).starting
        await end_start("n1", starting.store.token, peers)
        assert not (await read_evidence("n1", own)).starting


async def test_a_peer_that_loses_its_redis_once_the_start_has_ended_finds_that_the_node_may_hold_its_commits(
    starting: Starting, server: ValkeyServer
) -> None:
    """A patch may arrive at once. Its author, if it lost that commit, kept its id and used the dot again.

    The node named the process of the author's Redis only when it began to read its log: a node that joins, when it had
    fetched the whole state.
    """
    for name in ("n1", "n2"):
        publish(starting.client, name, replica=name, founders=["n1", "n2"], clock={"n1": 7, "n2": 3})
    await starting.decide()
    async with starting.peers() as peers:
        await end_start("n1", starting.store.token, peers)
        n1, n2 = [await read_evidence(name, peers.redis(name)) for name in ("n1", "n2")]
    assert isinstance(decide("n2", n2, {"n1": n1}, nonce="0a"), Resume)
    set_back = replace(n2, run_id="of the next process", doubtful=True)
    assert isinstance(decide("n2", set_back, {"n1": n1}, nonce="0a"), ComeBack)


async def test_a_start_ends_also_while_a_peer_is_away(starting: Starting) -> None:
    await starting.decide()
    async with starting.peers(AWAY) as peers:
        await end_start("n1", starting.store.token, peers)
        assert (await read_evidence("n1", peers.redis("n1"))).running
        assert peers.met == {}


async def test_a_header_that_cannot_be_read_stops_it(starting: Starting) -> None:
    starting.client.hset(starting.keys.header, "clock", "nonsense")
    with pytest.raises(CorruptState, match=r"deltaic:\{n1\} cannot be read"):
        await starting.decide()


async def test_a_node_that_the_fleet_does_not_know_does_not_run(starting: Starting) -> None:
    publish(starting.client, "n2", replica="n2", founders=["n2"], clock={"n2": 1})
    with pytest.raises(NotAMember, match="deltaic node add n1"):
        await starting.decide()


async def test_while_it_cannot_decide_its_heartbeat_says_why_and_what_would_help(starting: Starting) -> None:
    beat = await starting.wait(AWAY)
    assert "the Redis of n2 does not answer" in beat["waits"]
    assert (beat["remedy"], beat["serving"]) == ("--trust-redis", False)
    decision = await starting.decide(AWAY, trusting=True)
    assert decision.replica == "n1"


async def test_a_peer_that_cannot_be_read_is_one_line_and_so_is_its_return(starting: Starting, tmp_path: Path) -> None:
    """Each of the reads, one or two a second, was a line."""
    away = ValkeyServer(tmp_path)
    beats: set[int] = set()

    def decided_often() -> bool:
        beats.add(starting.beat().get("beat_ms", 0))
        return len(beats) > 3

    with structlog.testing.capture_logs() as logs:
        deciding = asyncio.create_task(starting.decide(away.url))
        await wait_until_async(decided_often, what="n2 to be read several times")
        away.start()
        try:
            await deciding
        finally:
            away.stop()
    lines = [(line["event"], line["peer"]) for line in logs if line["event"].startswith("peer_read")]
    assert lines == [("peer_read_failed", "n2"), ("peer_read_succeeded", "n2")]


async def test_a_new_id_is_written_down_by_a_member_that_runs_before_it_is_used(starting: Starting) -> None:
    """Its Redis has lost everything, and n2 has seen what it wrote."""
    publish(starting.client, "n2", replica="n2", founders=["n1", "n2"], clock={"n1": 5, "n2": 1}, owner="there")
    starting.client.set(Keys("n2").alive, "there")
    deciding = asyncio.create_task(starting.decide())
    client, inbox = starting.client, Keys("n2").inbox
    await wait_until_async(lambda: client.xlen(inbox), what="n2 to be asked")
    ((_, fields),) = client.xrange(inbox)
    asked = decode_message(fields[MESSAGE_FIELD])
    assert asked == Admit("n1", "n1.2", "n1:7101", starting.url)
    assert not deciding.done()
    assert b"replica" not in starting.header()
    facts = {"n1": '["leaving","n1","lost",1]', "n1.2": '["active","n1","",""]', "n2": '["active","n2","",""]'}
    parts = {part: f'{{"n2:{number}":{fact}}}' for number, (part, fact) in enumerate(facts.items(), 2)}
    client.hset(Keys("n2").members.decode(), mapping=parts)
    decision = await deciding
    assert (decision.replica, decision.formers) == ("n1.2", ())
    assert decision.sponsor is not None
    assert decision.sponsor.node == "n2"
    header = starting.header()
    assert (header[b"replica"], header[b"joining"], header[b"former"]) == (b"n1.2", b"1", b"")


async def test_a_node_alone_comes_back_by_itself_when_its_operator_vouches_for_it(starting: Starting) -> None:
    publish(starting.client, "n1", replica="n1", founders=["n1", "n2"], clock={"n1": 3})
    publish(starting.client, "n2", replica="n2", founders=["n1", "n2"], clock={"n1": 5})
    assert (await starting.wait())["remedy"] == "--unsponsored"
    decision = await starting.decide(unsponsored=True)
    assert (decision.replica, decision.sponsor) == ("n1.2", None)


async def test_a_newcomer_reads_members_that_its_file_does_not_name_where_they_have_published(
    starting: Starting,
) -> None:
    """It waited for ever: the Redis of n3, which only n2 knew, did not answer. Found by the simulator, seed 26."""
    client, index = starting.client, ReplicaIndex()
    addresses = {"n1-4f2a91": ("n1", ""), "n2": ("n2", ""), "n3-07b3e8": ("n3", starting.url)}
    for replica, (node, url) in addresses.items():
        fact = Fact(Standing.ACTIVE, node, redis=url)
        client.hset(Keys("n2").members, replica, encode_part(MEMBERS, (index.pack("n2", 1), fact), index))
    publish(client, "n2", replica="n2", founders=["n2"], clock={"n2": 1}, owner="of n2")
    client.set(Keys("n2").alive, "of n2")
    start = await asyncio.wait_for(starting.decide(), 10)
    assert (start.replica, start.sponsor, start.discard) == ("n1-4f2a91", Sponsor("n2", "n2"), True)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[ValkeyServer]:
    """The Redis of another machine."""
    server = ValkeyServer(tmp_path).start()
    yield server
    server.stop()


@pytest.mark.parametrize("joining", [False, True])
async def test_a_second_worker_ends_where_another_lives_under_its_name_at_another_redis(
    starting: Starting, elsewhere: ValkeyServer, *, joining: bool
) -> None:
    """Each took the id of the other away, again and again: this one could never join, as it was sent no state."""
    client = starting.client
    leaving = [(id_, "leaving", "n1", "lost", 1) for id_ in ("n1", "n1.2")]
    recorded = ("n1.3", "active", "n1", "n1:7201", elsewhere.url)
    publish_members(client, "n2", *leaving, recorded, ("n2", "active", "n2", "", ""))
    publish(client, "n2", replica="n2", founders=["n1", "n2"], clock={"n1": 5, "n2": 1}, owner="there")
    client.set(Keys("n2").alive, "there")
    if joining:
        publish(client, "n1", replica="n1.2", joining="1")
    with elsewhere.client() as other:
        publish(other, "n1", replica="n1.3", clock={"n1": 5, "n2": 1}, owner="other")
        other.set(Keys("n1").alive, "other")
        with pytest.raises(NotAMember, match=r"another machine runs under its name, at n1:7201.*ANOTHER-NAME"):
            await asyncio.wait_for(starting.decide(), 4)
        other.delete(Keys("n1").alive)
    deciding = asyncio.create_task(starting.decide())
    # It goes on where the other does not live any more: under an id that nobody has used, or under a new one.
    await wait_until_async(lambda: deciding.done() or client.xlen(Keys("n2").inbox), what="it to go on")
    await end([deciding])


async def test_a_name_is_read_again_where_another_machine_is_found_to_keep_it(
    starting: Starting, elsewhere: ValkeyServer
) -> None:
    """n2 knows only the first machine that was added as n3, and that one knows of the second, which alone runs.

    The node waited for ever for a member that runs, as it took what it had read at the first for n3. Found by the
    simulator, seed 960751.
    """
    client = starting.client
    added, (first, second) = ("n1-4f2a91", "active", "n1", "", ""), two_named_n3(elsewhere.url, starting.url)
    publish_members(client, "n2", added, ("n2", "active", "n2", "", ""), first)
    publish(client, "n2", replica="n2", founders=["n2"], clock={"n2": 1})
    publish_members(client, "n3", added, second)
    publish(client, "n3", replica="n3-4f2a91", clock={"n2": 1}, owner="of the second")
    client.set(Keys("n3").alive, "of the second")
    with elsewhere.client() as other:
        publish_members(other, "n3", first, second)
        publish(other, "n3", replica="n3-07b3e8", clock={"n2": 1})
    start = await asyncio.wait_for(starting.decide(), 10)
    assert (start.replica, start.sponsor) == ("n1-4f2a91", Sponsor("n3", "n3-4f2a91"))


async def test_a_removed_node_does_not_say_which_machine_keeps_a_name(
    starting: Starting, elsewhere: ValkeyServer
) -> None:
    """Only n2, which was removed before anybody heard of that, has recorded a later id of the first of two n3.

    The node read that machine as n3, and waited for ever, although the second runs. Found by the simulator, seed
    1402238.
    """
    client = starting.client
    first, second = two_named_n3(elsewhere.url, starting.url, "n3-07b3e8.2")
    members = [("n1-4f2a91", "active", "n1", "", ""), ("n2", "leaving", "n2", "removed", 1), second]
    publish_members(client, "n1", *members)
    publish(client, "n1", replica="n1-4f2a91", joining="1", clock={"n2": 1})
    publish_members(client, "n2", ("n2", "active", "n2", "", ""), first, second)
    publish(client, "n2", replica="n2", founders=["n2"], clock={"n2": 9})
    publish_members(client, "n3", *members)
    publish(client, "n3", replica="n3-4f2a91", clock={"n2": 1}, owner="of the second")
    client.set(Keys("n3").alive, "of the second")
    with elsewhere.client() as other:
        publish(other, "n3", replica="n3-07b3e8.2", clock={"n2": 5})
    start = await asyncio.wait_for(starting.decide(), 10)
    assert (start.replica, start.sponsor) == ("n1-4f2a91", Sponsor("n3", "n3-4f2a91"))


async def test_who_is_known_to_a_removed_node_only_is_asked_what_it_has_seen(
    starting: Starting, elsewhere: ValkeyServer
) -> None:
    """n1 would use its commit 9 again, which n4 has seen. n5 has not heard that n2 leaves, and may still hear of n4."""
    client = starting.client
    n1, n2, n3, n5 = ((name, "active", name, "", starting.url) for name in ("n1", "n2", "n3", "n5"))
    leaving, n4 = ("n2", "leaving", "n2", "removed", 1), ("n4-4f2a91", "active", "n4", "", elsewhere.url)
    for name, members in {"n1": (n1, leaving), "n2": (n1, n2, n4), "n3": (n1, leaving), "n5": (n1, n2)}.items():
        publish_members(client, name, *members, n3, n5)
        publish(client, name, replica=name, clock={"n1": 8})
    publish(client, "n1", replica="n1", clock={"n1": 8}, run_id="a former process")
    with elsewhere.client() as other:
        publish_members(other, "n4", n1, n2, n3, n5, n4)
        publish(other, "n4", replica="n4-4f2a91", clock={"n1": 9, "n2": 2})
    assert "it is at 8, others have seen 9" in (await starting.wait())["waits"]


async def test_a_node_that_others_know_to_have_left_is_read_where_it_was(
    starting: Starting, elsewhere: ValkeyServer
) -> None:
    """n1 was down when n3, which its file does not name, was removed: its start ended with a KeyError, again and again.

    Found by the simulator, seed 1601436.
    """
    client = starting.client
    n1, n2 = (("n1", "active", "n1", "", ""), ("n2", "active", "n2", "", ""))
    publish_members(client, "n1", n1, n2, ("n3", "active", "n3", "", elsewhere.url))
    publish(client, "n1", replica="n1", clock={"n1": 3})
    publish_members(client, "n2", n1, n2, ("n3", "leaving", "n3", "removed", 1))
    publish(client, "n2", replica="n2", clock={"n1": 3})
    with elsewhere.client() as other:
        publish(other, "n3", replica="n3", clock={"n1": 2})
    start = await asyncio.wait_for(starting.decide(), 10)
    assert (start.replica, start.departed) == ("n1", frozenset({"n3"}))


async def test_what_comes_from_abandoned_commits_does_not_say_which_machine_keeps_a_name(
    starting: Starting, elsewhere: ValkeyServer
) -> None:
    """n1 holds a commit that the fleet has abandoned, by which n4 admitted the first n3 anew. It was added again since.

    It read that machine as n3, and waited for ever, although the second runs.
    """
    client = starting.client
    first, second = two_named_n3(elsewhere.url, starting.url, "n3-07b3e8.2")
    n2, again = ("n2", "active", "n2", "", ""), ("n1-77aa77", "active", "n1", "", "")
    publish_members(client, "n1", ("n1-4f2a91", "active", "n1", "", ""), n2, ("n4", "active", "n4", "", ""), first)
    publish(client, "n1", replica="n1-4f2a91", clock={"n1-4f2a91": 1, "n4": 9})
    client.sadd(starting.keys.added, "n1-77aa77")
    for name, replica in (("n2", "n2"), ("n3", "n3-4f2a91")):
        publish_members(client, name, again, n2, ("n4", "sealed", "n4", "removed", 1, 1), second)
        publish(client, name, replica=replica, clock={"n4": 1, "n2": 3}, owner="there")
    client.set(Keys("n3").alive, "there")
    with elsewhere.client() as other:
        publish(other, "n3", replica="n3-07b3e8.2", clock={"n4": 9})
    start = await asyncio.wait_for(starting.decide(), 10)
    assert (start.replica, start.sponsor) == ("n1-77aa77", Sponsor("n3", "n3-4f2a91"))


async def test_what_a_machine_has_seen_counts_also_if_another_one_keeps_its_name(
    starting: Starting, elsewhere: ValkeyServer
) -> None:
    """n1 would use its commits 4 and 5 again, which only the first of two machines with one name has seen."""
    client = starting.client
    members = [(name, "active", name, "", "") for name in ("n1", "n2")]
    first, second = two_named_n3(elsewhere.url, starting.url)
    publish(client, "n1", replica="n1", founders=["n1", "n2"], clock={"n1": 3})
    publish_members(client, "n1", *members, first)
    publish(client, "n2", replica="n2", founders=["n1", "n2"], clock={"n1": 3})
    publish_members(client, "n2", *members, first, second)
    publish(client, "n3", replica="n3-4f2a91", clock={"n1": 3})
    with elsewhere.client() as other:
        publish(other, "n3", replica="n3-07b3e8", clock={"n1": 5})
    assert "it is at 3, others have seen 5" in (await starting.wait())["waits"]
