"""Replies come in the order of their commands, and show what the same connection has written before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from tests.fleet import Fleet


def test_reads_behind_writes_of_the_same_connection_see_them(fleet: Fleet, key: str) -> None:
    name = key.encode()
    rounds = 500
    stream = b"".join(
        packed(b"SET", name, b"%d" % n) + packed(b"GET", name) + packed(b"PING") + packed(b"INCR", name)
        for n in range(rounds)
    )
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(stream)
        for number in range(rounds):
            assert raw.replies(4) == [b"OK", b"%d" % number, b"PONG", number + 1]


def test_whatever_is_between_them_all_are_answered_in_order(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(
            packed(b"SADD", name, b"a")
            + packed(b"SMEMBERS", name)
            + packed(b"NONSENSE")
            + packed(b"SREM", name, b"a")
            + packed(b"GET")
            + b"ECHO inline\r\n"
            + packed(b"CLIENT", b"SETNAME", b"me")
            + packed(b"SCARD", name)
            + packed(b"MULTI")
            + packed(b"SADD", name, b"b")
            + packed(b"EXEC")
            + packed(b"SCARD", name)
            + packed(b"CLIENT", b"GETNAME")
            + packed(b"HELLO", b"3")
            + packed(b"SMEMBERS", name)
        )
        first = raw.replies(2)
        assert first == [1, [b"a"]]
        assert "unknown command 'NONSENSE'" in str(raw.reply())
        assert raw.reply() == 1
        assert "wrong number of arguments for 'get' command" in str(raw.reply())
        assert raw.replies(3) == [b"inline", b"OK", 0]
        assert raw.replies(5) == [b"OK", b"QUEUED", [1], 1, b"me"]
        assert b"proto" in raw.reply()
        assert set(raw.reply()) == {b"b"}


def test_a_client_that_says_goodbye_is_answered_first(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(packed(b"INCR", name) * 3 + packed(b"QUIT") + packed(b"INCR", name))
        assert raw.replies(4) == [1, 2, 3, b"OK"]
        assert raw.is_closed()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(packed(b"INCR", name) * 2)
        raw.socket.shutdown(1)
        assert raw.replies(2) == [4, 5]
        assert raw.is_closed()


def test_replies_may_be_done_without(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.send(packed(b"CLIENT", b"REPLY", b"OFF") + packed(b"INCR", name) * 3 + packed(b"GET", name))
        raw.send(packed(b"CLIENT", b"REPLY", b"ON") + packed(b"GET", name))
        assert raw.replies(2) == [b"OK", b"3"]
        raw.send(packed(b"CLIENT", b"REPLY", b"SKIP") + packed(b"INCR", name) + packed(b"INCR", name))
        assert raw.reply() == 5
