"""HELLO, AUTH, SELECT, RESET, QUIT, PING and ECHO: who a client is, and how it wants to be spoken to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers.resp.inprocess import InProcess
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from tests.workers.resp.inprocess import Peer


async def test_hello_chooses_the_protocol_and_names_the_client(peer: Peer) -> None:
    said = await peer.call(b"HELLO", b"3", b"SETNAME", b"me")
    assert (said[b"proto"], said[b"server"], said[b"mode"]) == (3, b"deltaic", b"standalone")
    assert await peer.call(b"CLIENT", b"GETNAME") == b"me"
    assert await peer.call(b"GET", b"none") is None
    assert b"proto" in await peer.call(b"HELLO", b"2")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((b"4",), "NOPROTO unsupported protocol version"),
        ((b"x",), "ERR Protocol version is not an integer or out of range"),
        ((b"3", b"NONSENSE"), "ERR Syntax error in HELLO option 'NONSENSE'"),
        ((b"3", b"SETNAME", b"a b"), "ERR Client names cannot contain spaces, newlines or special characters."),
        ((b"3", b"AUTH", b"nobody", b"x"), "WRONGPASS invalid username-password pair or user is disabled."),
    ],
)
async def test_hello_refuses_what_makes_no_sense(peer: Peer, words: tuple[bytes, ...], error: str) -> None:
    assert str(await peer.call(b"HELLO", *words)) == error


async def test_a_stranger_may_only_log_in() -> None:
    async with InProcess(password="secret") as face:  # noqa: S106
        peer = face.connect()
        for words in ((b"GET", b"k"), (b"CLIENT", b"ID"), (b"PING",)):
            assert str(await peer.call(*words)) == "NOAUTH Authentication required."
        assert str(await peer.call(b"HELLO")).startswith("NOAUTH HELLO must be called with")
        assert str(await peer.call(b"AUTH", b"wrong")).startswith("WRONGPASS")
        assert await peer.call(b"AUTH", b"default", b"secret") == b"OK"
        assert await peer.call(b"GET", b"k") is None
        assert await peer.call(b"RESET") == b"RESET"
        assert str(await peer.call(b"PING")) == "NOAUTH Authentication required."
        assert b"proto" in await peer.call(b"HELLO", b"2", b"AUTH", b"default", b"secret")


async def test_after_reset_the_limits_of_strangers_hold_again() -> None:
    async with InProcess(password="secret") as face:  # noqa: S106
        peer = face.connect()
        assert await peer.send((b"AUTH", b"secret"), (b"RESET",)).replies(2) == [b"OK", b"RESET"]
        assert "unauthenticated bulk length" in str(await peer.call(b"ECHO", b"x" * 20_000))
        assert peer.transport.closed


async def test_without_a_password_auth_says_so(peer: Peer) -> None:
    assert "without any password configured" in str(await peer.call(b"AUTH", b"x"))
    assert str(await peer.call(b"AUTH", b"a", b"b", b"c")) == "ERR syntax error"
    assert await peer.call(b"AUTH", b"default", b"whatever") == b"OK"


async def test_there_is_one_database(peer: Peer) -> None:
    assert await peer.call(b"SELECT", b"0") == b"OK"
    for index in (b"-1", b"16"):  # as a Redis with its default number of databases
        assert str(await peer.call(b"SELECT", index)) == "ERR DB index is out of range"
    for text in (b"x", b"00", b"+0", b"1" * 5000):
        assert str(await peer.call(b"SELECT", text)) == "ERR value is not an integer or out of range"


async def test_a_database_that_a_redis_would_have_is_refused_with_what_to_do_instead(peer: Peer) -> None:
    """It was only out of range, which says neither that there is one database nor what a client can do."""
    for index in (b"1", b"15"):
        told = str(await peer.call(b"SELECT", index))
        assert told.startswith("ERR DB index is out of range: ")
        assert "database 0" in told
        assert "prefix" in told
        assert "limits.databases" in told


async def test_a_setting_lets_programs_have_the_database_they_insist_on_and_all_are_one() -> None:
    async with InProcess(databases=3) as face:
        first, second = face.connect(), face.connect()
        assert await first.call(b"SELECT", b"2") == b"OK"
        assert await first.call(b"SET", b"k", b"v") == b"OK"
        assert await second.call(b"GET", b"k") == b"v"
        assert str(await first.call(b"SELECT", b"3")).startswith("ERR DB index is out of range: ")


async def test_ping_and_echo_return_the_message(peer: Peer) -> None:
    assert await peer.call(b"PING") == b"PONG"
    assert await peer.call(b"PING", b"hello") == b"hello"
    assert await peer.call(b"ECHO", b"hello") == b"hello"
    assert str(await peer.call(b"PING", b"a", b"b")) == "ERR wrong number of arguments for 'ping' command"


async def test_reset_makes_the_connection_as_it_was(peer: Peer) -> None:
    await peer.call(b"CLIENT", b"SETNAME", b"me")
    peer.send((b"HELLO", b"3"), (b"SUBSCRIBE", b"news"), (b"MULTI",), (b"SET", b"k", b"v"))
    await peer.replies(4)
    assert await peer.call(b"RESET") == b"RESET"
    assert await peer.call(b"CLIENT", b"GETNAME") is None
    assert str(await peer.call(b"EXEC")) == "ERR EXEC without MULTI"
    assert await peer.call(b"PUBLISH", b"news", b"x") == 0


async def test_quit_answers_and_drops_what_is_behind_it(peer: Peer) -> None:
    assert await peer.send((b"INCR", b"c"), (b"QUIT",), (b"INCR", b"c")).replies(2) == [1, b"OK"]
    assert peer.transport.closed


async def test_ping_says_when_writes_cannot_succeed_but_not_to_who_listens(face: InProcess, peer: Peer) -> None:
    """A listener pings to find out whether its connection lives, and messages go on."""
    listener = face.connect()
    await listener.call(b"SUBSCRIBE", b"news")
    await face.health.set(Trouble(0, "Redis refuses: OOM"))
    error = "MISCONF this node cannot write at present (Redis refuses: OOM); nothing was changed"
    assert [str(await peer.call(*words)) for words in ((b"PING",), (b"PING", b"hello"))] == [error, error]
    assert await listener.call(b"PING") == [b"pong", b""]
    await face.health.set(None)
    assert await peer.call(b"PING") == b"PONG"
