"""WAIT and tokens: how a client waits for what other nodes have seen, or this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

from tests.support import wait_until
from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet
    from tests.workers.resp.inprocess import Peer

    Client = Callable[..., Redis]


def test_wait_returns_once_so_many_peers_have_the_last_write(client: Client, key: str) -> None:
    n1 = client("n1")
    for number in range(20):
        n1.set(key, number)
        assert n1.wait(4, 10_000) == 4
        assert [client(name).get(key) for name in ("n2", "n3", "n4", "n5")] == [b"%d" % number] * 4


def test_wait_tells_how_many_it_was_when_the_time_is_up(client: Client, key: str) -> None:
    n1 = client("n1")
    for name in ("n2", "n3", "n4", "n5"):
        client(name).execute_command("DELTAIC.PARTITION")
    n1.set(key, "alone")
    assert n1.wait(1, 200) == 0
    assert n1.get(key) == b"alone"
    client("n2").execute_command("DELTAIC.HEAL")
    assert n1.wait(1, 10_000) >= 1


@pytest.mark.parametrize("words", [(b"WAIT", b"9", b"0"), (b"DELTAIC.AWAIT", b"eyJuOSI6OX0=", b"0")])
def test_clients_that_vanish_while_they_wait_are_gone(fleet: Fleet, client: Client, words: tuple[bytes, ...]) -> None:
    """All twenty once stayed, each with its place among the clients, and its questions to the peers."""
    n1 = client("n1")
    before = n1.info("clients")["connected_clients"]
    vanishing = [Raw(fleet["n1"].resp_port).send(packed(*words)) for _ in range(20)]
    wait_until(lambda: n1.info("clients")["blocked_clients"] == 20, what="all to wait")
    for raw in vanishing:
        raw.socket.close()
    wait_until(lambda: n1.info("clients")["connected_clients"] == before, what="all to be gone")
    assert n1.info("clients")["blocked_clients"] == 0


@pytest.mark.parametrize(("arguments", "error"), [(("x", "1"), "not an integer"), (("1", "-1"), "negative")])
def test_wait_refuses_what_is_no_number(client: Client, arguments, error) -> None:
    with pytest.raises(ResponseError, match=error):
        client().execute_command("WAIT", *arguments)


NOT_AN_INTEGER = "ERR value is not an integer or out of range"
BAD_TIMEOUT = "ERR timeout is not an integer or out of range"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((b"WAIT", b"1_0", b"1"), NOT_AN_INTEGER),
        ((b"WAIT", b"9" * 400, b"1"), NOT_AN_INTEGER),
        ((b"WAIT", b"0", b"+1"), BAD_TIMEOUT),
        ((b"WAIT", b"0", b"9" * 400), BAD_TIMEOUT),
        ((b"WAIT", b"0", b"9" * 5000), BAD_TIMEOUT),
        ((b"WAIT", b"0", b"9223372036854775807"), "ERR timeout is out of range"),
        ((b"DELTAIC.AWAIT", b"e30=", b"9" * 400), BAD_TIMEOUT),
        ((b"DELTAIC.AWAIT", b"e30=", b"007"), BAD_TIMEOUT),
        ((b"DELTAIC.AWAIT", b"e30=", b"-1"), "ERR timeout is negative"),
    ],
)
async def test_numbers_are_read_as_redis_reads_them(peer: Peer, words: tuple[bytes, ...], error: str) -> None:
    """Python's own `int` took more, and its errors for long numbers cut the client off."""
    assert str(await peer.call(*words)) == error
    assert await peer.call(b"PING") == b"PONG"


def test_a_token_carries_what_was_written_and_read_to_another_node(client: Client, key: str) -> None:
    for number in range(20):
        client("n1").set(key, number)
        token = client("n1").execute_command("DELTAIC.TOKEN")
        assert client("n3").execute_command("DELTAIC.AWAIT", token, 10_000) == b"OK"
        assert client("n3").get(key) == b"%d" % number


def test_a_token_that_is_not_reached_in_time_is_an_error(client: Client, key: str) -> None:
    n3 = client("n3")
    n3.execute_command("DELTAIC.PARTITION")
    client("n1").set(key, "not there")
    token = client("n1").execute_command("DELTAIC.TOKEN")
    with pytest.raises(ResponseError, match=r"lacks [0-9]+ of the commits"):
        n3.execute_command("DELTAIC.AWAIT", token, 100)
    with pytest.raises(ResponseError, match="no token"):
        n3.execute_command("DELTAIC.AWAIT", "nonsense", 100)
