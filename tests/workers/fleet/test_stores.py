"""Asking the Redis of all nodes at once: whoever does not answer holds nobody up."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from redis.exceptions import ResponseError

from tests.server import ValkeyServer
from tests.workers.fleet.publishing import AWAY, settings_of
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path


async def test_every_command_has_its_reply_in_its_place(server: ValkeyServer) -> None:
    server.client().set("a string", "x")
    async with FleetRedis(settings_of(n1=server.url, n2=server.url)) as redis:
        asked = {"n2": [("ECHO", "2"), ("HGETALL", "a string"), ("ECHO", "3")], "n1": [("ECHO", "1")]}
        replies = await redis.ask(asked)
    assert list(replies) == ["n2", "n1"]
    two, refused, three = replies["n2"]
    assert (two, three, replies["n1"]) == (b"2", b"3", [b"1"])
    assert isinstance(refused, ResponseError)


async def test_nodes_that_share_a_redis_are_seen_at_one_moment(server: ValkeyServer) -> None:
    client = server.client()
    client.config_resetstat()
    async with FleetRedis(settings_of(n1=server.url, n2=server.url)) as redis:
        await redis.ask({"n1": [("ECHO", "1")], "n2": [("ECHO", "2")]})
    stats = client.info("commandstats")
    assert (stats["cmdstat_multi"]["calls"], stats["cmdstat_exec"]["calls"]) == (1, 1)


async def test_a_redis_that_is_away_or_silent_is_an_answer_too_and_shows_no_password(server: ValkeyServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        quiet = f"redis://:s3cret@127.0.0.1:{silent.getsockname()[1]}/0"
        async with FleetRedis(settings_of(n1=server.url, n2=AWAY, n3=quiet)) as redis:
            replies = await redis.ask({name: [("ECHO", name)] for name in ("n1", "n2", "n3")})
    assert replies["n1"] == [b"n1"]
    away, still = replies["n2"], replies["n3"]
    assert isinstance(away, NodeStoreUnavailable)
    assert isinstance(still, NodeStoreUnavailable)
    assert (away.reason, still.reason) == ("connection refused", "no answer within 1.5 s")
    assert str(away) == f"Redis at {AWAY}: connection refused"
    assert "s3cret" not in str(still)


async def test_a_redis_that_wants_a_password_is_not_one_that_is_down(tmp_path: Path) -> None:
    """The commands quoted Redis ("HELLO must be called with ..."), and some said to start the fleet."""
    locked = ValkeyServer(tmp_path, password="s3cret").start()  # noqa: S106
    try:
        wrong = f"redis://:wr0ng@127.0.0.1:{locked.port}/0"
        async with FleetRedis(settings_of(n1=f"redis://127.0.0.1:{locked.port}/0", n2=wrong)) as redis:
            replies = await redis.ask({name: [("ECHO", name)] for name in ("n1", "n2")})
    finally:
        locked.stop()
    for reply in replies.values():
        assert isinstance(reply, NodeStoreUnavailable)
        assert reply.reason.startswith("it wants another user or password")
        assert "valkey.password_file" in reply.reason
        assert "wr0ng" not in str(reply)
