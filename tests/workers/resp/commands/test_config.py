"""CONFIG: the settings that client libraries ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.workers.resp.inprocess import Peer

    Client = Callable[..., Redis]


def test_settings_that_clients_ask_for(client: Client) -> None:
    n1 = client()
    assert n1.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}
    assert n1.config_get("maxmem*") == {"maxmemory": "0", "maxmemory-policy": "noeviction"}
    assert n1.config_get("no-such-setting") == {}
    assert n1.config_resetstat()


def test_a_setting_may_be_set_to_what_it_is(client: Client) -> None:
    """So clients that make sure of what they need (Spring: notifications) go on."""
    n1 = client()
    assert n1.config_set("save", "")
    assert n1.config_set("notify-keyspace-events", "gxE")
    assert n1.config_set("appendonly", "no", "maxmemory", "0")
    for name, value in (("maxmemory", "100"), ("notify-keyspace-events", ""), ("notify-keyspace-events", "KEm")):
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
