"""The client: what its calls yield, and the errors that it makes of what goes wrong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import UnknownNode
from tests.support import free_port, wait_until_async
from tests.workers.mailboxes import SlowStore
from tests.workers.rpc.face import Face, serving
from workers.config.loading import checked
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.client import CallRefused, FleetClient, KeyView, NodeUnavailable, NoNodeServes, NoNodeWrites
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from workers.config.settings import FleetSettings
    from workers.rpc.client import NodeClient


def settings(addresses: Mapping[str, str], **sections: Any) -> FleetSettings:
    nodes = {name: {"grpc": address, "redis": "redis://h"} for name, address in addresses.items()}
    return checked({"nodes": nodes, **sections})


def nowhere() -> str:
    return f"127.0.0.1:{free_port()}"


@asynccontextmanager
async def client_of(face: Face, **sections: Any) -> AsyncIterator[FleetClient]:
    """A client of a fleet whose n1 is `face`, and whose n2 is nowhere."""
    async with FleetClient(settings({"n1": face.address, "n2": nowhere()}, **sections)) as clients:
        yield clients


def increment(key: str) -> pb.BatchedOperation:
    return pb.BatchedOperation(increment_counter=pb.IncrementCounterRequest(counter_id=key))


async def test_it_writes_and_looks_at_keys() -> None:
    async with serving() as face, client_of(face) as clients:
        node = clients.nodes["n1"]
        assert [await node.adjust("c", 5), await node.adjust("c", 2, decrement=True)] == [5, 3]
        assert await node.adjust("g", 1, grow_only=True) == 1
        assert [await node.add("s", "x"), await node.add("s", "x"), await node.remove("s", "y")] == [True, False, False]
        assert [await node.set_register("r", "v", 0), await node.set_register("r", "w", -1)] == [True, False]
        assert [await node.delete("r"), await node.delete("r")] == [True, False]
        assert await node.inspect("s") == KeyView("orset", ["x"], {"x": {"n1:5": True}}, ())
        assert (await node.inspect("r")).shown == ("", None, ())
        assert (await node.status()).replica == "n1"
        assert await node.serving()


async def test_what_a_node_refuses_is_the_caller_s_error_with_the_node_s_own_words() -> None:
    async with serving(LimitSettings(message_bytes_max=2000)) as face, client_of(face) as clients:
        node = clients.nodes["n1"]
        await node.add("s", "x")
        with pytest.raises(CallRefused, match="n1: 's' is of type orset, not pncounter or gcounter"):
            await node.adjust("s", 1)
        with pytest.raises(CallRefused, match=r"limits\.message_bytes_max"):
            await node.add("s", "x" * 3000)


async def test_a_batch_has_results_and_errors_of_single_calls_among_them() -> None:
    async with serving(LimitSettings(batch_operations_max=2)) as face, client_of(face) as clients:
        node = clients.nodes["n1"]
        fine, refused = await node.batch(increment("c"), increment(""))
        assert (fine.increment_counter.value, refused.error.message) == (1, "counter_id: must not be empty")
        with pytest.raises(CallRefused, match=r"limits\.batch_operations_max"):
            await node.batch(*[increment("c")] * 3)


async def test_a_node_that_is_nowhere_is_unavailable_whatever_is_asked() -> None:
    async with FleetClient(settings({"n1": nowhere()})) as clients:
        node = clients.nodes["n1"]
        assert not await node.serving()
        for call in (node.status(), node.inspect("k"), node.adjust("c", 1), node.batch(increment("c"))):
            with pytest.raises(NodeUnavailable, match="connection refused") as error:
                await call
            assert (error.value.node, error.value.address) == ("n1", node.address)
        with pytest.raises(NodeUnavailable, match="connection refused"):
            [piece async for piece in node.backup()]


async def test_a_write_without_an_answer_may_still_take_effect_and_says_so() -> None:
    store = SlowStore()
    async with serving(store=store) as face, client_of(face, limits={"write_timeout_ms": 1}) as clients:
        with pytest.raises(NodeUnavailable, match=r"no answer within 2\.001 s; a write may still take effect"):
            await clients.nodes["n1"].adjust("c", 1)
        store.back.set()


async def test_the_first_node_that_serves_is_chosen_or_the_one_that_is_named() -> None:
    async with serving() as face, FleetClient(settings({"n1": nowhere(), "n2": face.address})) as clients:
        assert (await clients.chosen(None)).name == "n2"
        assert (await clients.chosen("n1")).name == "n1"
        with pytest.raises(UnknownNode):
            await clients.chosen("n9")
    async with FleetClient(settings({"n1": nowhere(), "n2": nowhere()})) as clients:
        with pytest.raises(NoNodeServes, match="start the fleet"):
            await clients.chosen(None)


async def test_nodes_that_cannot_write_are_read_and_a_write_learns_why() -> None:
    """With every Redis frozen, `deltaic get` and `deltaic incr` said that no node answers, and to start the fleet."""
    async with serving() as face, client_of(face) as clients:
        node = clients.nodes["n1"]
        await node.add("s", "x")
        await face.writability.set(Trouble(0, "Redis gave no answer for 5 s"))
        await wait_until_async(lambda: is_troubled(node), what="the trouble to be told")
        reading = await clients.chosen(None, reading=True)
        assert (await reading.inspect("s")).value == ["x"]
        with pytest.raises(NoNodeWrites, match="nothing was changed; n1: Redis gave no answer for 5 s"):
            await clients.chosen(None)


async def is_troubled(node: NodeClient) -> bool:
    return not await node.serving()


async def test_each_node_answers_for_itself_or_says_why_not() -> None:
    async with serving() as face, client_of(face) as clients:
        answers = await clients.each(lambda node: node.inspect("k"))
        assert answers["n1"] == KeyView("", None, {}, ())
        assert isinstance(answers["n2"], NodeUnavailable)
        with pytest.raises(NoNodeServes):
            await clients.each(lambda node: node.status(), ["n2"])
        with pytest.raises(CallRefused):
            await clients.each(lambda node: node.inspect(""))


async def test_a_backup_comes_in_pieces_until_it_is_whole() -> None:
    async with serving() as face, client_of(face) as clients:
        node = clients.nodes["n1"]
        await node.add("s", "x")
        pieces = [piece async for piece in node.backup()]
        assert pieces[-1].ended
        assert b'"x"' in b"".join(piece.lines for piece in pieces)


async def test_members_are_added_without_an_address_that_holds_a_password() -> None:
    async with serving() as face, client_of(face) as clients:
        node = clients.nodes["n1"]
        plain, secret = (
            settings({"n1": "h:1"}).node("n1").model_copy(update={"redis": url})
            for url in ("redis://h:2/0", "redis://:secret@h:2/0")
        )
        added = [await node.add_node("n3", plain), await node.add_node("n4", secret)]
        assert [replica.partition("-")[0] for replica in added] == ["n3", "n4"]
        members = face.mailbox.confirmed.members.facts
        assert [members[replica].redis for replica in added] == ["redis://h:2/0", ""]
        assert await node.remove_node("n3") == added[0]


async def test_an_exchange_says_who_did_not_answer() -> None:
    async with serving() as face, client_of(face) as clients:
        result = await asyncio.wait_for(clients.nodes["n1"].sync_all(), 10)
        assert list(result.peers_failed) == ["n2"]
