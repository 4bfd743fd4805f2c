"""MULTI and EXEC: one commit, seen whole or not at all, everywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import WatchError

from tests.support import wait_until
from tests.workers.resp.inprocess import InProcess
from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet

    Client = Callable[..., Redis]


def test_a_peer_sees_all_of_a_transaction_or_nothing(client: Client, key: str) -> None:
    n1, n2 = client("n1"), client("n2")
    names = [f"{key}:{number}" for number in range(20)]
    rounds = 50
    for number in range(1, rounds + 1):
        pipe = n1.pipeline(transaction=True)
        for name in names:
            pipe.set(name, number)
        pipe.execute()
        seen = set(n2.mget(names))
        assert len(seen) == 1, f"half of a transaction: {seen}"
    wait_until(lambda: set(n2.mget(names)) == {b"%d" % rounds}, what="the last transaction to arrive")


def test_exec_is_refused_where_the_queue_was_spoilt(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(packed(b"MULTI") + packed(b"SET", name, b"1") + packed(b"NONSENSE") + packed(b"EXEC"))
        assert raw.replies(2) == [b"OK", b"QUEUED"]
        assert "unknown command" in str(raw.reply())
        assert str(raw.reply()) == "EXECABORT Transaction discarded because of previous errors."
        assert raw.call(b"GET", name) is None
        assert str(raw.call(b"EXEC")) == "ERR EXEC without MULTI"
        assert str(raw.call(b"DISCARD")) == "ERR DISCARD without MULTI"
        raw.send(packed(b"MULTI") + packed(b"MULTI") + packed(b"WATCH", name) + packed(b"DISCARD"))
        assert raw.reply() == b"OK"
        assert str(raw.reply()) == "ERR MULTI calls can not be nested"
        assert str(raw.reply()) == "ERR WATCH inside MULTI is not allowed"
        assert raw.reply() == b"OK"


def test_a_command_that_fails_within_does_not_stop_the_others(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(packed(b"MULTI") + packed(b"SADD", name, b"a") + packed(b"INCR", name) + packed(b"SCARD", name))
        raw.send(packed(b"EXEC"))
        assert raw.replies(4) == [b"OK", b"QUEUED", b"QUEUED", b"QUEUED"]
        added, error, count = raw.reply()
        assert (added, count) == (1, 1)
        assert str(error).startswith("WRONGTYPE")


def test_watch_notices_what_others_and_the_client_itself_have_written(client: Client, key: str) -> None:
    n1, other = client("n1"), client("n1")
    with n1.pipeline() as pipe:
        pipe.watch(key)
        other.set(key, "changed")
        pipe.multi()
        pipe.set(key, "mine")
        with pytest.raises(WatchError):
            pipe.execute()
        assert n1.get(key) == b"changed"
        pipe.watch(key)
        pipe.multi()
        pipe.set(key, "mine")
        assert pipe.execute() == [True]
        pipe.watch(key)
        pipe.set(key, "own")
        pipe.multi()
        pipe.get(key)
        with pytest.raises(WatchError):
            pipe.execute()


def test_watch_notices_what_a_peer_has_written(client: Client, key: str) -> None:
    n1, n2 = client("n1"), client("n2")
    with n1.pipeline() as pipe:
        pipe.watch(key)
        n2.incr(key)
        wait_until(lambda: n1.get(key) == b"1", what="the peer's write to arrive")
        pipe.multi()
        pipe.set(key, "mine")
        with pytest.raises(WatchError):
            pipe.execute()
        pipe.watch(key)
        pipe.unwatch()
        pipe.watch(key + ":other")
        pipe.multi()
        pipe.incr(key)
        assert pipe.execute() == [2]


def test_increments_by_check_and_set_lose_nothing(client: Client, key: str) -> None:
    """Many clients of one node, each reading and writing back under WATCH: nobody overwrites anybody.

    It once failed where a commit was confirmed while an EXEC waited for its turn: the watch had ended too early.
    """

    def raise_by_one(pipe: Any) -> None:
        value = int(pipe.get(key) or 0)
        pipe.multi()
        pipe.set(key, value + 1)

    def raise_by(number: int) -> None:
        redis = client("n1")
        for _ in range(number):
            redis.transaction(raise_by_one, key)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(raise_by, [25] * 4))
    assert client("n1").get(key) == b"100"


async def test_the_reads_of_a_transaction_share_one_bound_and_its_writes_go_on() -> None:
    """Each reply had a bound, their sum had none: a transaction may hold a hundred thousand commands."""
    async with InProcess(output_bytes_max=1 << 20, value_bytes_max=100_000) as face:
        peer = face.connect()
        await peer.send((b"SET", b"k", b"v" * 100_000), (b"SADD", b"s", b"m" * 50_000, b"n" * 50_000)).replies(2)
        reads = [(b"GET", b"k"), (b"SMEMBERS", b"s"), (b"MGET", b"k", b"none")] * 20
        peer.send((b"MULTI",), *reads, (b"INCR", b"c"), (b"GET", b"k"), (b"EXEC",))
        replies = (await peer.replies(len(reads) + 4))[-1]
        kinds = [type(reply) for reply in replies]
        assert kinds[:10] == [bytes, list, list] * 3 + [bytes]
        errors = {str(reply) for reply in [*replies[10:-2], replies[-1]]}
        assert len(errors) == 1
        assert "over the limit of 1048576 (setting limits.output_bytes_max)" in errors.pop()
        assert (replies[-2], await peer.call(b"GET", b"c")) == (1, b"1")
        few = [(b"GET", b"k")] * 10
        assert (await peer.send((b"MULTI",), *few, (b"EXEC",)).replies(12))[-1] == [b"v" * 100_000] * 10
