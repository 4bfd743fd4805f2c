"""Published messages reach the other nodes: in order, at most once, and not over a paused link."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.membership.changes import AddMember, AdmitIncarnation
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.support import free_port, wait_until_async
from tests.workers.mailboxes import QuickStore
from workers.config.loading import checked
from workers.replication.broadcasts import Broadcasts, decode_message, encode_message
from workers.system.tasks import end
from workers.turns.mailbox import Mailbox
from workers.wire.keys import Keys
from workers.wire.peers import Peers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer


class Side:
    """One node of n1 and n2: what it hears, and its broadcasts."""

    def __init__(self, name: str, urls: dict[str, str]) -> None:
        nodes = {node: {"grpc": f"{node}:1", "redis": url} for node, url in urls.items()}
        self.name = name
        self.peers = Peers(checked({"nodes": nodes}), name)
        self.links: Any = SimpleNamespace(paused=frozenset())
        self.node = Node(name, Replica(name, founders=["n1", "n2"]), "s")
        self.mailbox = Mailbox(self.node, QuickStore(), lambda _: None, call_timeout_s=60)
        self.heard: list[tuple[bytes, bytes]] = []
        self.broadcasts = Broadcasts(self.mailbox, self.peers, self.links)
        self.broadcasts.deliver = lambda channel, message: self.heard.append((channel, message))


@asynccontextmanager
async def running(urls: dict[str, str], *names: str) -> AsyncIterator[list[Side]]:
    sides = [Side(name, urls) for name in names or ("n1", "n2")]
    works = [work for side in sides for work in (side.mailbox.run(), side.broadcasts.run())]
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield sides
    finally:
        await end(tasks)
        for side in sides:
            await side.peers.close()
        await asyncio.sleep(0)  # the connections are closed by the event loop


async def subscribed(server: ValkeyServer, count: int) -> None:
    """So many connections listen to what nodes publish."""
    client = server.client()
    channels = [Keys(name).published for name in ("n1", "n2", "n3")]
    await wait_until_async(lambda: sum(n for _, n in client.pubsub_numsub(*channels)) == count, what="subscriptions")
    client.close()


async def test_messages_arrive_in_the_order_of_their_publisher_and_not_at_itself(server: ValkeyServer) -> None:
    async with running({"n1": server.url, "n2": server.url}) as (n1, n2):
        await subscribed(server, 2)
        sent = [(b"news\r\n%d" % number, b"\x00message %d" % number) for number in range(500)]
        for channel, message in sent:
            n1.broadcasts.publish(channel, message)
        await wait_until_async(lambda: len(n2.heard) == 500, what="all messages")
        assert (n2.heard, n1.heard) == (sent, [])


async def test_what_is_published_while_nobody_listens_is_kept_for_nobody(server: ValkeyServer) -> None:
    async with running({"n1": server.url, "n2": server.url}, "n1") as (n1,):
        with server.client() as client:
            client.config_resetstat()
            n1.broadcasts.publish(b"news", b"missed")
            n1.broadcasts.publish(b"news", b"missed, too")

            def published() -> int:
                return client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"]

            await wait_until_async(lambda: published() == 2, what="both publications")
            assert client.dbsize() == 0
        async with running({"n1": server.url, "n2": server.url}, "n2") as (n2,):
            await subscribed(server, 2)
            n1.broadcasts.publish(b"news", b"heard")
            await wait_until_async(lambda: n2.heard, what="the message")
            assert n2.heard == [(b"news", b"heard")]


async def test_a_paused_link_is_deaf(server: ValkeyServer) -> None:
    async with running({"n1": server.url, "n2": server.url}) as (n1, n2):
        await subscribed(server, 2)
        n2.links.paused = frozenset(["n1"])
        n1.broadcasts.publish(b"news", b"not heard")
        n2.broadcasts.publish(b"news", b"back")
        await wait_until_async(lambda: n1.heard, what="the other direction")
        n2.links.paused = frozenset()
        n1.broadcasts.publish(b"news", b"heard")
        await wait_until_async(lambda: n2.heard, what="a message over the open link")
        assert n2.heard[-1] == (b"news", b"heard")


async def test_a_lost_connection_is_opened_again_and_members_that_join_are_heard(server: ValkeyServer) -> None:
    async with running({"n1": server.url, "n2": server.url}) as (n1, n2):
        await subscribed(server, 2)
        with server.client() as client:
            for found in client.client_list():
                if found["name"].startswith("deltaic-"):
                    client.client_kill_filter(_id=found["id"])
            await subscribed(server, 2)
            await n2.mailbox.call(AddMember("n3", "h:3", server.url, "a1"))
            await subscribed(server, 3)
            client.publish(Keys("n3").published, encode_message(b"news", b"from n3"))
            await wait_until_async(lambda: n2.heard == [(b"news", b"from n3")], what="the newcomer's message")

            def heard_again() -> bool:
                n1.broadcasts.publish(b"news", b"again")
                return (b"news", b"again") in n2.heard

            await wait_until_async(heard_again, what="a message over the new connections")


async def test_a_member_is_heard_once_its_address_is_known_and_where_it_is(server: ValkeyServer) -> None:
    """Whoever had no address at first, or came back at another one, was never heard by a node that ran already."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    async with running({"n1": server.url, "n2": server.url}, "n2") as (n2,):
        await n2.mailbox.call(AddMember("n3", "h:3", "", "a1"))
        await n2.mailbox.call(AddMember("n4", "h:4", away, "a1"))
        await subscribed(server, 1)
        with server.client() as client:
            for node in ("n3", "n4"):
                await n2.mailbox.call(AdmitIncarnation(node, f"{node}-a1.2", "h:5", server.url))
                channel = Keys(node).published
                await wait_until_async(lambda: client.pubsub_numsub(channel)[0][1], what=f"n2 to hear {node}")  # noqa: B023


async def test_a_redis_that_is_away_makes_messages_be_dropped_and_not_wait(server: ValkeyServer) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    async with running({"n1": away, "n2": server.url}, "n1") as (n1,):
        for _ in range(20_000):
            n1.broadcasts.publish(b"news", b"x" * 100)
        counts = n1.node.counts
        await wait_until_async(lambda: counts["messages_dropped"] == 20_000, what="all to be dropped")


async def test_a_setting_keeps_messages_at_their_node(server: ValkeyServer) -> None:
    async with running({"n1": server.url, "n2": server.url}, "n2") as (n2,):
        quiet = Side("n1", {"n1": server.url, "n2": server.url})
        quiet.broadcasts = Broadcasts(quiet.mailbox, quiet.peers, quiet.links, fleet_wide=False)
        task = asyncio.create_task(quiet.broadcasts.run())
        quiet.broadcasts.publish(b"news", b"not heard")
        with server.client() as client:
            await wait_until_async(lambda: client.pubsub_numsub(Keys("n1").published)[0][1], what="n2 to listen")
            client.publish(Keys("n1").published, encode_message(b"news", b"heard"))
            await wait_until_async(lambda: n2.heard, what="the message")
            assert client.pubsub_numsub(Keys("n2").published)[0][1] == 0
        assert n2.heard == [(b"news", b"heard")]
        await end([task])


@pytest.mark.parametrize("payload", [b"", b"x", b"5:abc", b"-1:abc", b"1_0:" + b"x" * 20, b"9" * 5000 + b":x"])
async def test_what_makes_no_sense_is_no_message(payload: bytes) -> None:
    assert decode_message(payload) is None


async def test_a_message_may_hold_any_bytes() -> None:
    assert decode_message(encode_message(b"a:b\x00", b"\r\n:")) == (b"a:b\x00", b"\r\n:")
    assert decode_message(encode_message(b"", b"")) == (b"", b"")
