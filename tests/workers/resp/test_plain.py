"""Plain commands: writes go together, reads behind them see them, all other reads are answered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers.resp.inprocess import InProcess, Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def face() -> AsyncIterator[InProcess]:
    async with InProcess(key_bytes_max=10, value_bytes_max=20) as made:
        yield made


async def test_all_writes_that_arrive_together_are_one_commit(face: InProcess, peer: Peer) -> None:
    assert await peer.send(*[(b"INCR", b"c")] * 100).replies(100) == list(range(1, 101))
    assert face.mailbox.confirmed.clock == {"n1": 1}


async def test_reads_behind_writes_of_the_same_connection_see_them(peer: Peer) -> None:
    rounds = 200
    peer.send(*[words for n in range(rounds) for words in ((b"SET", b"k", b"%d" % n), (b"GET", b"k"), (b"INCR", b"k"))])
    for number in range(rounds):
        assert await peer.replies(3) == [b"OK", b"%d" % number, number + 1]


async def test_a_read_is_answered_at_once_while_another_client_s_commit_is_under_way(
    face: InProcess, peer: Peer
) -> None:
    other = face.connect()
    assert await peer.call(b"SET", b"k", b"old") == b"OK"
    face.store.back.clear()
    peer.send((b"SET", b"k", b"new"), (b"GET", b"k"), (b"SMEMBERS", b"s"))
    assert await other.call(b"GET", b"k") == b"old"
    assert peer.transport.written == b""
    face.store.back.set()
    assert await peer.replies(3) == [b"OK", b"new", []]


async def test_a_heavy_read_waits_for_the_writes_before_it(face: InProcess, peer: Peer) -> None:
    """A pipeline of heavy reads must not hold all their replies at once."""
    face.store.back.clear()
    peer.send((b"SADD", b"s", b"a"), (b"SMEMBERS", b"s"), (b"SADD", b"s", b"b"), (b"SMEMBERS", b"s"))
    assert peer.connection.is_settled is False
    face.store.back.set()
    first, members, second, both = await peer.replies(4)
    assert (first, members, second, sorted(both)) == (1, [b"a"], 1, [b"a", b"b"])


@pytest.mark.parametrize("words", [(b"SET", b"k" * 11, b"v"), (b"SET", b"k", b"v" * 21), (b"GET", b"k" * 11)])
async def test_what_is_too_large_is_refused_among_what_is_not(peer: Peer, words: tuple[bytes, ...]) -> None:
    peer.send((b"SET", b"k", b"1"), words, (b"INCR", b"k"), words, (b"GET", b"k"))
    one, refused, two, again, three = await peer.replies(5)
    assert (one, two, three) == (b"OK", 2, b"2")
    assert "over the limit" in str(refused)
    assert "over the limit" in str(again)


async def test_refused_commands_change_nothing_and_the_others_go_on(peer: Peer) -> None:
    peer.send((b"SADD", b"s", b"a"), (b"INCR", b"s"), (b"GET", b"s"), (b"SCARD", b"s"))
    added, refused, wrong, size = await peer.replies(4)
    assert (added, size) == (1, 1)
    assert str(refused).startswith("WRONGTYPE")
    assert str(wrong).startswith("WRONGTYPE")
