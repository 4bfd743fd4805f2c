"""CLIENT: what a client says of itself, and what is known of all clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

from tests.workers.resp.raw import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet
    from tests.workers.resp.inprocess import InProcess, Peer

    Client = Callable[..., Redis]


def test_connections_are_listed_by_number_and_kind(fleet: Fleet, client: Client) -> None:
    n1 = client()
    with Raw(fleet["n1"].resp_port) as listener:
        number = listener.call(b"CLIENT", b"ID")
        listener.call(b"CLIENT", b"SETNAME", b"listener")
        listener.call(b"SUBSCRIBE", b"news")
        assert [found["name"] for found in n1.client_list(_type="pubsub")] == ["listener"]
        assert str(number) not in {found["id"] for found in n1.client_list(_type="normal")}
        assert [found["id"] for found in n1.client_list(client_id=[str(number)])] == [str(number)]
        with pytest.raises(ResponseError, match="Unknown client type 'nonsense'"):
            n1.execute_command("CLIENT", "LIST", "TYPE", "nonsense")
        with pytest.raises(ResponseError, match="Invalid client ID"):
            n1.execute_command("CLIENT", "LIST", "ID", "x")


def test_connections_are_ended_by_filters_and_not_one_that_asks_for_it(fleet: Fleet, client: Client) -> None:
    n1, port = client(), fleet["n1"].resp_port
    own = n1.client_id()
    with Raw(port) as listener, Raw(port) as other:
        listener.call(b"SUBSCRIBE", b"news")
        assert n1.client_kill_filter(_type="pubsub") == 1
        assert listener.is_closed()
        address = next(found["addr"] for found in n1.client_list() if found["id"] == str(other.call(b"CLIENT", b"ID")))
        assert n1.client_kill_filter(addr=address, skipme=True) == 1
        assert other.is_closed()
        assert n1.client_kill_filter(_id=str(own), skipme=True) == 0
        assert n1.client_id() == own
        with pytest.raises(ResponseError, match="No such client"):
            n1.client_kill("127.0.0.1:1")
        with pytest.raises(ResponseError, match="syntax error"):
            n1.execute_command("CLIENT", "KILL", "NONSENSE", "1")
    with Raw(port) as itself:
        number = b"%d" % itself.call(b"CLIENT", b"ID")
        assert itself.call(b"CLIENT", b"KILL", b"ID", number, b"SKIPME", b"no") == 1
        assert itself.is_closed()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((b"LIST", b"ID", b"1" * 5000), "ERR Invalid client ID"),
        ((b"KILL", b"ID", b"1" * 5000), "ERR client-id should be greater than 0"),
        ((b"KILL", b"ID", b"0"), "ERR client-id should be greater than 0"),
        ((b"KILL", b"MAXAGE", b"1" * 5000), "ERR maxage is not an integer or out of range"),
        ((b"KILL", b"MAXAGE", b"0"), "ERR maxage should be greater than 0"),
    ],
)
async def test_numbers_are_read_as_redis_reads_them(peer: Peer, words: tuple[bytes, ...], error: str) -> None:
    """Python's own `int` refused long numbers with an error that cut the client off."""
    assert str(await peer.call(b"CLIENT", *words)) == error
    assert await peer.call(b"PING") == b"PONG"


async def test_a_client_names_itself_and_its_library(peer: Peer) -> None:
    assert await peer.call(b"CLIENT", b"GETNAME") is None
    assert await peer.call(b"CLIENT", b"SETNAME", b"me") == b"OK"
    assert await peer.call(b"CLIENT", b"SETINFO", b"lib-name", b"tests") == b"OK"
    assert await peer.call(b"CLIENT", b"GETNAME") == b"me"
    info = await peer.call(b"CLIENT", b"INFO")
    assert b" name=me " in info
    assert b" lib-name=tests " in info
    assert b" cmd=client|info " in info
    assert "cannot contain spaces" in str(await peer.call(b"CLIENT", b"SETNAME", b"a b"))
    assert "Unrecognized option 'lib'" in str(await peer.call(b"CLIENT", b"SETINFO", b"LIB", b"x"))


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ((b"NO-EVICT", b"on"), b"OK"),
        ((b"NO-TOUCH", b"OFF"), b"OK"),
        ((b"GETREDIR",), -1),
        ((b"TRACKINGINFO",), [b"flags", [b"off"], b"redirect", -1, b"prefixes", []]),
    ],
)
async def test_what_is_not_there_is_said_to_be_off(peer: Peer, words: tuple[bytes, ...], reply: object) -> None:
    assert await peer.call(b"CLIENT", *words) == reply


async def test_a_client_that_wants_no_replies_gets_none(peer: Peer) -> None:
    peer.send((b"CLIENT", b"REPLY", b"OFF"), (b"INCR", b"c"), (b"GET", b"c"), (b"PING",))
    assert await peer.send((b"CLIENT", b"REPLY", b"ON"), (b"GET", b"c")).replies(2) == [b"OK", b"1"]
    assert await peer.send((b"CLIENT", b"REPLY", b"SKIP"), (b"INCR", b"c"), (b"INCR", b"c")).reply() == 3
    assert "syntax error" in str(await peer.call(b"CLIENT", b"REPLY", b"MAYBE"))


async def test_clients_are_ended_by_age_and_user(face: InProcess, peer: Peer) -> None:
    other = face.connect()
    assert await peer.call(b"CLIENT", b"KILL", b"MAXAGE", b"1000") == 0
    assert await peer.call(b"CLIENT", b"KILL", b"USER", b"nobody") == 0
    assert await peer.call(b"CLIENT", b"KILL", b"USER", b"default") == 1
    assert (other.transport.aborted, peer.transport.closed) == (True, False)
