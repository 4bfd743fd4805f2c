"""`deltaic node remove`: what a removal would lose is said first, and not done without `--force`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.errors import InvalidArgument, UnknownNode, WorldError
from tests.support import wait_until_async
from tests.workers.cli.invoking import invoke
from tests.workers.fleet.publishing import AWAY, publish_header, publish_members
from tests.workers.fleet_files import fleet_file, sections
from tests.workers.rpc.face import serving
from workers.config.loading import START_FLEET
from workers.wire.keys import Keys
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from tests.server import ValkeyServer


@pytest.fixture
def client(client: Redis) -> Redis:
    """The Redis of n1, n2 and n3; n2 has seen all seven commits of n3, n1 five."""
    publish_header(client, "n1", {"n1": 1, "n3": 5})
    publish_header(client, "n2", {"n1": 1, "n3": 7})
    publish_header(client, "n3", {"n3": 7}, owner="token")
    return client


@pytest.fixture
def file(tmp_path: Path, server: ValkeyServer) -> Path:
    names = ("n1", "n2", "n3")
    return fleet_file(tmp_path, **sections(dict.fromkeys(names, server.url)))


def would(file: Path, name: str = "n3") -> list[str]:
    result = invoke(file, "node", "remove", name, "--dry-run")
    assert result.exception is None
    return result.output.splitlines()


def test_a_dry_run_says_what_would_be_found(file: Path, client: Redis) -> None:
    assert would(file) == [
        "n3 is a member; its replica id is n3",
        "its worker does not run",
        "what it wrote stays: 7 commits",
        "other members have all of them",
    ]
    client.set(Keys("n3").alive, "token")
    publish_header(client, "n3", {"n3": 8})
    client.hset(Keys("n1").header, "waiting", orjson.dumps({"held_by": {"n3": 2}}))
    assert would(file)[1:] == [
        "it runs; it would stop by itself",
        "what it wrote stays: 8 commits",
        "1 commit of its own reached no other member: it would exchange with all others first",
        "2 tombstones wait for it; the others would drop them",
    ]


def test_commits_that_reached_nobody_need_force_if_the_worker_is_dead(file: Path, client: Redis) -> None:
    publish_header(client, "n3", {"n3": 9})
    assert would(file)[3] == "2 commits of its own reached no other member: only --force would remove it"


def test_a_redis_that_is_away_may_hold_commits_that_reached_nobody(
    tmp_path: Path, client: Redis, server: ValkeyServer
) -> None:
    urls = {"n1": server.url, "n2": server.url, "n3": AWAY}
    file = fleet_file(tmp_path, **sections(urls))
    unknown = "commits that reached no other member cannot be counted"
    assert would(file)[1:] == [
        f"its Redis does not answer: Redis at {AWAY}: connection refused",
        "what it wrote stays, as far as others have it",
        f"its Redis does not answer, so {unknown}: only --force would remove it",
    ]


def test_what_is_no_member_cannot_be_removed(file: Path, client: Redis) -> None:
    publish_members(client, "n1", ("n1", "active", "n1", "", ""), ("n3", "leaving", "n3", "removed", 1000))
    refused = invoke(file, "node", "remove", "n3").exception
    assert isinstance(refused, InvalidArgument)
    assert str(refused).startswith("n3: it is no member any more (removed, ")
    assert isinstance(invoke(file, "node", "remove", "n9").exception, UnknownNode)


def test_only_another_member_can_write_it_down(file: Path, client: Redis) -> None:
    assert isinstance(invoke(file, "node", "remove", "n3", "--via", "n3").exception, UnknownNode)
    refused = invoke(file, "node", "remove", "n3", "--via", "n2").exception
    assert isinstance(refused, WorldError)
    assert str(refused) == f"no member answers that could record it; asked n2; {START_FLEET}"


async def test_members_that_run_and_cannot_write_are_not_told_to_start(
    tmp_path: Path, client: Redis, server: ValkeyServer
) -> None:
    """It said that no member serves, and to start the fleet, of members that run while their Redis is full."""
    async with serving() as face:
        nodes = sections(dict.fromkeys(("n1", "n2", "n3"), server.url))
        nodes["n1"]["grpc"] = face.address
        file = fleet_file(tmp_path, **nodes)
        await face.writability.set(Trouble(0, "Redis refuses: OOM command not allowed"))

        async def refusal(*arguments: str) -> str:
            refused = (await asyncio.to_thread(invoke, file, "node", *arguments)).exception
            assert isinstance(refused, WorldError)
            return str(refused)

        async def is_told() -> bool:
            return "OOM" in await refusal("remove", "n3")

        await wait_until_async(is_told, what="the trouble to be told")
        told = "no node can write at present, nothing was changed; n1: Redis refuses: OOM command not allowed; "
        assert await refusal("remove", "n3") == told + "once the Redis of a node takes writes again, repeat the command"
        added = ("add", "n4", "--grpc", "127.0.0.1:1", "--redis", server.url, "--no-wait")
        assert (await refusal(*added)).startswith(told)
