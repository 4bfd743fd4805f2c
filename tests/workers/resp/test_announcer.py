"""Clients are told what commits have changed, and a commit that nobody follows costs nothing."""

from __future__ import annotations

import gc
from functools import partial

from crdt_core.commands import DeleteExpired, Session
from tests.support import wait_until_async
from tests.workers.resp.inprocess import InProcess
from workers.system.clock import wall_ms


async def test_a_commit_is_told_to_those_who_watch_and_listen() -> None:
    async with InProcess() as made:
        watching, listening, writing = made.connect(), made.connect(), made.connect()
        await watching.call(b"WATCH", b"k")
        await listening.call(b"SUBSCRIBE", b"__keyspace@0__:k")
        await writing.call(b"SET", b"other", b"v")
        assert await watching.send((b"MULTI",), (b"PING",), (b"EXEC",)).replies(3) == [b"OK", b"QUEUED", [b"PONG"]]
        await watching.call(b"WATCH", b"k")
        await writing.call(b"SET", b"k", b"v")
        assert await watching.send((b"MULTI",), (b"PING",), (b"EXEC",)).replies(3) == [b"OK", b"QUEUED", None]
        assert await listening.reply() == [b"message", b"__keyspace@0__:k", b"set"]


async def test_commits_are_followed_only_while_somebody_watches_or_listens() -> None:
    async with InProcess() as made:
        client, writing = made.connect(), made.connect()
        observers = made.mailbox.observers
        assert observers == []
        await client.call(b"WATCH", b"k")
        await client.call(b"SUBSCRIBE", b"news")
        assert len(observers) == 1
        await client.call(b"UNSUBSCRIBE", b"news")
        await writing.call(b"SET", b"other", b"v")
        assert len(observers) == 1
        await client.call(b"UNWATCH")
        gc.collect()
        await writing.call(b"SET", b"other", b"w")
        assert observers == []


async def test_a_watch_is_known_as_long_as_the_exec_that_waits_for_its_turn() -> None:
    """It once ended with EXEC: a commit that was confirmed before EXEC's turn went unnoticed."""
    async with InProcess() as made:
        client, writing = made.connect(), made.connect()
        await client.call(b"WATCH", b"k")
        made.store.back.clear()
        made.store.committing.clear()
        writing.send((b"SET", b"k", b"theirs"))
        await made.store.committing.wait()
        client.send((b"MULTI",), (b"SET", b"k", b"mine"), (b"EXEC",))
        made.store.back.set()
        assert (await client.replies(3))[-1] is None
        assert await client.call(b"GET", b"k") == b"theirs"


def is_gone(made: InProcess, key: bytes) -> bool:
    return not Session(made.mailbox.state, wall_ms(), 0).shows(key)


async def test_exec_is_refused_if_a_watched_key_has_expired_since() -> None:
    """10 of 10 ran (redis#7918, go-redis#2741)."""
    async with InProcess() as made:
        client = made.connect()
        await client.call(b"SET", b"k", b"5", b"PX", b"100")
        await client.call(b"WATCH", b"k")
        await wait_until_async(partial(is_gone, made, b"k"))
        assert await client.send((b"MULTI",), (b"INCR", b"k"), (b"EXEC",)).replies(3) == [b"OK", b"QUEUED", None]
        assert await client.call(b"EXISTS", b"k") == 0


async def test_what_had_expired_before_watch_is_no_change_when_it_is_swept() -> None:
    async with InProcess() as made:
        client, other = made.connect(), made.connect()
        await client.call(b"SET", b"k", b"5", b"PX", b"1")
        await wait_until_async(partial(is_gone, made, b"k"))
        await client.call(b"WATCH", b"k")
        assert await made.mailbox.call(DeleteExpired(wall_ms() + 60_000, 10)) == 1
        assert await client.send((b"MULTI",), (b"INCR", b"k"), (b"EXEC",)).replies(3) == [b"OK", b"QUEUED", [1]]
        await client.call(b"SET", b"other", b"5", b"PX", b"1")
        await wait_until_async(partial(is_gone, made, b"other"))
        await client.call(b"WATCH", b"other")
        await other.call(b"SET", b"other", b"theirs")
        assert await client.send((b"MULTI",), (b"INCR", b"other"), (b"EXEC",)).replies(3) == [b"OK", b"QUEUED", None]
