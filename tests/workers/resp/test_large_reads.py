"""A read of something large runs and is encoded in slices, shows one state, and keeps no other client waiting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.commands import COMMANDS
from crdt_core.node.options import NodeOptions
from tests.workers.resp.inprocess import InProcess, Peer
from workers.resp.large_reads import encoding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARTS = 400
MEMBERS = [b"m%d" % number for number in range(PARTS)]
OPTIONS = NodeOptions(parts_per_slice=4, parts_per_turn=10)
READS = (
    (b"SMEMBERS", b"set"),
    (b"SUNION", b"set", b"few"),
    (b"SINTER", b"set", b"set"),
    (b"SDIFF", b"set", b"few"),
    (b"HKEYS", b"hash"),
    (b"HVALS", b"hash"),
    (b"HGETALL", b"hash"),
    (b"HLEN", b"hash"),
    (b"HRANDFIELD", b"hash", b"400"),
    (b"HRANDFIELD", b"hash", b"400", b"WITHVALUES"),
    (b"SRANDMEMBER", b"set", b"400"),
    (b"SINTERCARD", b"2", b"set", b"set"),
)


@pytest.fixture
async def face() -> AsyncIterator[InProcess]:
    async with InProcess(options=OPTIONS) as made:
        yield made


@pytest.fixture
async def peer(face: InProcess) -> Peer:
    """A client of a node that has something large."""
    peer = face.connect()
    await fill(peer)
    return peer


async def fill(peer: Peer) -> None:
    assert await peer.call(b"SADD", b"set", *MEMBERS) == PARTS
    assert await peer.call(b"SADD", b"few", *MEMBERS[:3], b"other") == 4
    assert await peer.call(b"HSET", b"hash", *[word for member in MEMBERS for word in (member, b"of " + member)])


def in_order(reply: Any) -> Any:
    if isinstance(reply, int):
        return reply
    return sorted(reply.items() if isinstance(reply, dict) else reply)


def slices_of(face: InProcess) -> list[bool]:
    """Note every slice of the node from now on."""
    slices: list[bool] = []
    prepare = face.node.large.prepare

    def note() -> bool:
        slices.append(is_more := prepare())
        return is_more

    face.node.large.prepare = note  # type: ignore[method-assign]
    return slices


@pytest.mark.parametrize("protocol", [b"2", b"3"])
@pytest.mark.parametrize("request_", READS)
async def test_it_says_what_a_read_in_one_go_says(
    face: InProcess, peer: Peer, request_: tuple[bytes, ...], protocol: bytes
) -> None:
    """SMEMBERS of a million members held everybody up for 330 ms, HGETALL of a million fields for 3.4 s."""
    async with InProcess() as roomy:
        whole = roomy.connect()
        await fill(whole)
        expected = [await whole.call(b"HELLO", protocol), await whole.call(*request_)][1]
        await peer.call(b"HELLO", protocol)
        slices = slices_of(face)
        said = await peer.call(*request_)
        assert type(said) is type(expected)
        assert in_order(said) == in_order(expected)
        assert len(slices) > PARTS / 20 / OPTIONS.parts_per_slice


async def test_what_is_small_is_answered_at_once(face: InProcess, peer: Peer) -> None:
    slices = slices_of(face)
    assert len(await peer.call(b"SMEMBERS", b"few")) == 4
    assert not slices


async def test_it_shows_one_state_and_others_are_answered_meanwhile(face: InProcess, peer: Peer) -> None:
    writer, reader = face.connect(), face.connect()
    slices = slices_of(face)
    peer.send((b"SMEMBERS", b"set"))
    writer.send((b"SREM", b"set", *MEMBERS[:200]))
    asked_after = []
    while not peer.transport.written:
        reader.send((b"SCARD", b"set"))  # it is answered at once
        asked_after.append(len(slices))
        await asyncio.sleep(0)
    assert len(set(asked_after)) > 5, "between the slices"
    said = await reader.replies(len(asked_after))
    assert said[:-3] == [PARTS] * (len(said) - 3), "the removal comes behind the read"
    assert sorted(await peer.reply()) == sorted(MEMBERS)
    assert await writer.reply() == 200
    assert await peer.call(b"SCARD", b"set") == 200


async def test_a_transaction_reads_in_slices_too_and_within_its_bound(face: InProcess, peer: Peer) -> None:
    slices = slices_of(face)
    peer.send((b"MULTI",), (b"SADD", b"set", b"new"), (b"SMEMBERS", b"set"), (b"HGETALL", b"hash"), (b"EXEC",))
    added, members, fields = (await peer.replies(5))[4]
    assert (added, sorted(members)) == (1, sorted([*MEMBERS, b"new"]))
    assert sorted(fields[::2]) == sorted(MEMBERS)
    assert len(slices) > 2 * PARTS / 20 / OPTIONS.parts_per_slice
    async with InProcess(options=OPTIONS, output_bytes_max=1 << 20, value_bytes_max=1 << 18) as bounded:
        reader = bounded.connect()
        for number in range(20):
            await reader.call(b"HSET", b"large", b"%d" % number, b"x" * 40_000)
        reads = [(b"HGETALL", b"large")] * 3
        replies = (await reader.send((b"MULTI",), *reads, (b"EXEC",)).replies(5))[4]
        assert [isinstance(reply, list) for reply in replies] == [True, False, False]
        assert "limits.output_bytes_max" in str(replies[1])


async def test_a_key_of_another_type_is_refused(peer: Peer) -> None:
    assert "WRONGTYPE" in str(await peer.call(b"SMEMBERS", b"hash"))


def test_only_reads_that_run_by_part_are_encoded_by_part() -> None:
    for name in (b"GET", b"SADD", b"SUNIONSTORE"):
        assert encoding(COMMANDS[name], resp3=False) is COMMANDS[name]
    assert encoding(COMMANDS[b"SMEMBERS"], resp3=False) is not COMMANDS[b"SMEMBERS"]
