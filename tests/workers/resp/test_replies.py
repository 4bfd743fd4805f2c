"""Replies in the order of their requests, and never more of them than fits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crdt_core.commands import COMMANDS, Execute
from crdt_core.errors import Stopping
from tests.workers.resp.inprocess import InProcess, Peer, Transport
from workers.resp.encoding import NULL_LIST
from workers.resp.replies import Batch, Replies


class Rig:
    """Replies of their own, with a transport and a client that can be cut off."""

    def __init__(self, client: Any, unread_bytes_max: int = 1000) -> None:
        self.transport: Any = Transport()
        self.settled = 0
        self.replies = Replies(client, unread_bytes_max, self._go_on)
        self.replies.attach(self.transport)

    def _go_on(self) -> None:
        self.settled += 1

    def expect(self, commands: int, *, muted: bool = False, whole: bool = False) -> Batch:
        """A batch whose replies are still to come."""
        execute = Execute([(COMMANDS[b"INCR"], [b"k"])] * commands, 1, 1)
        batch = Batch(self.replies, execute, whole, muted, 0)
        self.replies.waiting.append(batch)
        self.replies.in_flight += commands
        return batch

    async def written(self) -> bytes:
        """What has been written once all that was ready is out."""
        await asyncio.sleep(0)
        return self.transport.written


@pytest.fixture
async def rig() -> Rig:
    return Rig(InProcess().face.connect())


async def test_a_reply_waits_behind_those_that_are_still_to_come(rig: Rig) -> None:
    first, second = rig.expect(2), rig.expect(1)
    rig.replies.say(b"last")
    second.on_reply([3], None)
    assert (await rig.written(), rig.replies.in_flight, len(rig.replies.waiting)) == (b"", 3, 2)
    first.on_reply([1, 2], None)
    assert await rig.written() == b":1\r\n:2\r\n:3\r\n$4\r\nlast\r\n"
    assert (rig.replies.in_flight, len(rig.replies.waiting)) == (0, 0)


async def test_nothing_is_emitted_for_a_client_that_does_not_read(rig: Rig) -> None:
    rig.replies.is_slow = True
    rig.expect(3).on_reply([1, b"2", 3], None)
    rig.expect(2).on_reply([4, 5], None)
    await asyncio.sleep(0)
    rig.replies.is_slow = False
    rig.replies.flush()
    assert await rig.written() == b":1\r\n$1\r\n2\r\n:3\r\n:4\r\n:5\r\n"
    assert rig.settled == 2


@pytest.mark.parametrize(
    ("how", "result", "written"),
    [
        ({}, [1, -2], b":1\r\n:-2\r\n"),
        ({}, [1, b"x"], b":1\r\n$1\r\nx\r\n"),
        ({"muted": True}, [1, -2], b""),
        ({"whole": True}, [1, -2], b"*2\r\n:1\r\n:-2\r\n"),
        ({"whole": True}, NULL_LIST, b"*-1\r\n"),
        ({"whole": True, "muted": True}, [1, -2], b""),
    ],
)
async def test_the_answer_to_a_batch_is_told_as_its_client_wants_it(
    rig: Rig, how: dict[str, bool], result: Any, written: bytes
) -> None:
    rig.expect(2, **how).on_reply(result, None)
    assert await rig.written() == written


async def test_an_error_is_the_reply_to_each_command_of_a_batch_or_to_all_of_a_transaction(rig: Rig) -> None:
    rig.expect(2).on_reply(None, Stopping("the worker stops"))
    rig.expect(2, whole=True).on_reply(None, Stopping("the worker stops"))
    assert (await rig.written()).count(b"the worker stops") == 3


async def test_all_that_is_ready_leaves_in_one_write_unless_it_is_large(rig: Rig) -> None:
    rig.replies.emit(1)
    rig.replies.emit(2)
    assert rig.transport.written == b""
    rig.replies.emit(b"x" * 70_000)
    assert len(rig.transport.written) > 70_000
    assert (await rig.written()).startswith(b":1\r\n:2\r\n$70000\r\n")


async def test_a_client_that_leaves_too_much_unread_is_cut_off() -> None:
    peer = InProcess(output_bytes_max=1 << 20).connect()
    peer.transport.unsent = 1 << 20
    peer.connection.push(b"+a message\r\n")
    assert not peer.transport.aborted
    peer.transport.unsent += 1
    peer.connection.push(b"+one too many\r\n")
    assert peer.transport.aborted


async def test_whatever_is_between_them_all_are_answered_in_order() -> None:
    async with InProcess() as face:
        peer = face.connect()
        peer.send((b"SADD", b"s", b"a"), (b"SMEMBERS", b"s"), (b"NONSENSE",), (b"SREM", b"s", b"a"), (b"GET",))
        first, members, unknown, removed, wrong = await peer.replies(5)
        assert (first, members, removed) == (1, [b"a"], 1)
        assert "unknown command 'NONSENSE'" in str(unknown)
        assert "wrong number of arguments for 'get' command" in str(wrong)
        peer.send((b"CLIENT", b"SETNAME", b"me"), (b"SCARD", b"s"), (b"MULTI",), (b"SADD", b"s", b"b"), (b"EXEC",))
        assert await peer.replies(5) == [b"OK", 0, b"OK", b"QUEUED", [1]]
        peer.send((b"SCARD", b"s"), (b"CLIENT", b"GETNAME"), (b"HELLO", b"3"), (b"SMEMBERS", b"s"))
        size, name, hello, members = await peer.replies(4)
        assert (size, name, hello[b"proto"], set(members)) == (1, b"me", 3, {b"b"})


async def test_what_two_clients_are_answered_does_not_mix() -> None:
    async with InProcess() as face:
        peers: list[Peer] = [face.connect() for _ in range(3)]
        for number, peer in enumerate(peers):
            peer.send(*[(b"INCRBY", b"c%d" % number, b"1")] * 100)
        for peer in peers:
            assert await peer.replies(100) == list(range(1, 101))
