"""CONFIG: the settings that client libraries ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.server import ValkeyServer
    from tests.workers.resp.inprocess import InProcess, Peer

    Client = Callable[..., Redis]


def test_settings_that_clients_ask_for(client: Client) -> None:
    n1 = client()
    assert n1.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}
    assert n1.config_get("maxmem*") == {"maxmemory": "0", "maxmemory-policy": "noeviction"}
    assert n1.config_get("no-such-setting") == {}
    assert n1.config_resetstat()


def test_a_setting_may_be_set_to_what_it_is(client: Client) -> None:
    """So clients that make sure of what they need go on."""
    n1 = client()
    assert n1.config_set("save", "")
    assert n1.config_set("appendonly", "no", "maxmemory", "0")
    for name, value in (("maxmemory", "100"), ("save", "60 1")):
        with pytest.raises(ResponseError, match=f"argument '{name}'.*settings stand in the fleet file"):
            n1.config_set(name, value)
    with pytest.raises(ResponseError, match="Unknown option or number of arguments for CONFIG SET - 'nonsense'"):
        n1.config_set("nonsense", "1")


async def test_settings_stand_in_the_fleet_file(peer: Peer) -> None:
    assert "running without a config file" in str(await peer.call(b"CONFIG", b"REWRITE"))
    assert "settings stand in the fleet file" in str(await peer.call(b"CONFIG", b"SET", b"maxmemory", b"1"))
    assert await peer.call(b"CONFIG", b"GET", b"database*") == [b"databases", b"1"]


async def test_counts_begin_anew(peer: Peer) -> None:
    await peer.call(b"PING")
    assert await peer.call(b"CONFIG", b"RESETSTAT") == b"OK"
    assert b"total_commands_processed:1\r\n" in await peer.call(b"INFO", b"stats")


SPELLINGS = [
    (b"", b""),
    (b"KEA", b"AKE"),
    (b"Ex", b"xE"),
    (b"g$lshzxetd", b"A"),
    (b"mnKE", b"nKEm"),
    (b"Anm", b"Am"),
    (b"EKmn$", b"$nKEm"),
    (b"xxKK", b"xK"),
]


@pytest.mark.parametrize(("spelt", "shown"), SPELLINGS)
async def test_flags_of_notifications_are_taken_and_shown_as_redis_does(
    peer: Peer, server: ValkeyServer, spelt: bytes, shown: bytes
) -> None:
    """Most of them were once refused."""
    assert await peer.call(b"CONFIG", b"SET", b"notify-keyspace-events", spelt) == b"OK"
    assert await peer.call(b"CONFIG", b"GET", b"notify-*") == [b"notify-keyspace-events", shown]
    with server.client() as client:
        client.config_set("notify-keyspace-events", spelt.decode())
        assert client.config_get("notify-*") == {"notify-keyspace-events": shown.decode()}


async def test_flags_that_do_not_exist_change_nothing(peer: Peer, server: ValkeyServer) -> None:
    words = (b"CONFIG", b"SET", b"notify-keyspace-events", b"KEq")
    with server.client() as client, pytest.raises(ResponseError) as refusal:
        client.execute_command(*words)
    assert str(await peer.call(*words)) == f"ERR {refusal.value}"
    more = (b"CONFIG", b"SET", b"notify-keyspace-events", b"K", b"maxmemory", b"1")
    assert "settings stand in the fleet file" in str(await peer.call(*more))
    assert await peer.call(b"CONFIG", b"GET", b"notify-*") == [b"notify-keyspace-events", b"AKE"]


async def test_only_the_notifications_that_the_flags_name_are_sent(face: InProcess, peer: Peer) -> None:
    listener = face.connect()
    await listener.call(b"PSUBSCRIBE", b"__key*")

    async def heard(flags: bytes) -> set[tuple[bytes, bytes]]:
        """What is told of a string, a set, a deadline and a delete."""
        await peer.call(b"CONFIG", b"SET", b"notify-keyspace-events", flags)
        writes = ((b"SET", b"k", b"v"), (b"SADD", b"s", b"a"), (b"EXPIRE", b"k", b"9"), (b"DEL", b"k", b"s"))
        for words in writes:
            await peer.call(*words)
        await peer.call(b"CONFIG", b"SET", b"notify-keyspace-events", b"AE")
        await peer.call(b"INCR", b"end")
        told: set[tuple[bytes, bytes]] = set()
        while (message := await listener.reply())[3] != b"end":
            told.add((message[2], message[3]))
        return told

    assert await heard(b"") == await heard(b"K") == await heard(b"A") == set()
    assert await heard(b"$K") == {(b"__keyspace@0__:k", b"set")}
    assert await heard(b"sE") == {(b"__keyevent@0__:sadd", b"s")}
    assert await heard(b"gE") == {
        (b"__keyevent@0__:expire", b"k"),
        (b"__keyevent@0__:del", b"k"),
        (b"__keyevent@0__:del", b"s"),
    }
    assert len(await heard(b"KEA")) == 10
