"""How far a node that was added has come, by its own Redis."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import free_port, wait_until_async
from tests.workers.fleet.publishing import publish_beat, publish_header
from workers.cli.join_progress import JoinProgress, join_progress, watch_joining
from workers.config.settings import NodeSettings
from workers.system.tasks import end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis import Redis

    from tests.server import ValkeyServer


@pytest.mark.parametrize(
    ("heartbeat", "expected"),
    [
        (None, JoinProgress("its worker does not run yet")),
        ({"serving": True}, JoinProgress("up", up=True)),
        ({"serving": False}, JoinProgress("starts")),
        ({"waits": "for n\x1b2"}, JoinProgress(r"waits: for n\x1b2")),
        (
            {"waits": "for n2", "remedy": "--trust-redis"},
            JoinProgress("waits: for n2 (see deltaic replica --help: --trust-redis)"),
        ),
        ({"joins": {}}, JoinProgress("joins: asks for the state")),
        (
            {"joins": {"peer": "n2", "done": 7, "of": 9, "bytes": 91_000}},
            JoinProgress("joins from n2: 7 of 9 parts, 91 kB", done=7, of=9),
        ),
        ({"joins": {"peer": "n2", "done": "many"}}, JoinProgress("joins: asks for the state")),
    ],
)
def test_a_heartbeat_says_how_far_its_worker_is(heartbeat: dict[str, Any] | None, expected: JoinProgress) -> None:
    assert join_progress(heartbeat) == expected


class Watching:
    """The command's wait for `n4` to serve as `replica`, with what it has printed so far."""

    def __init__(self, url: str, replica: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._printed = ""
        self.task = asyncio.create_task(watch_joining("n4", replica, NodeSettings(grpc="h:4", redis=url)))

    @property
    def printed(self) -> str:
        self._printed += self._capsys.readouterr().out
        return self._printed

    async def prints(self, line: str) -> None:
        def is_there_or_ended() -> bool:
            return f"{line}\n" in self.printed or self.task.done()

        await wait_until_async(is_there_or_ended, what=f"{line!r}")
        assert f"{line}\n" in self.printed


@asynccontextmanager
async def watching(url: str, replica: str, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Watching]:
    found = Watching(url, replica, capsys)
    try:
        yield found
    finally:
        await end([found.task])


async def test_every_step_is_a_line_until_the_node_serves(
    client: Redis, server: ValkeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with watching(server.url, "n4", capsys) as command:
        await command.prints("n4: its worker does not run yet")
        publish_beat(client, "n4", waits="for n2")
        await command.prints("n4: waits: for n2")
        publish_beat(client, "n4", joins={"peer": "n2", "done": 7, "of": 9, "bytes": 100})
        await command.prints("n4: joins from n2: 7 of 9 parts, 100 B")
        publish_header(client, "n4", {"n4": 1})
        publish_beat(client, "n4", serving=True)
        await command.task
        await command.prints("n4: up")


async def test_a_worker_that_still_serves_a_former_life_is_not_up_yet(
    client: Redis, server: ValkeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_header(client, "n4", {"n4": 1})
    publish_beat(client, "n4", serving=True)
    async with watching(server.url, "n4.2", capsys) as command:
        await command.prints("n4: starts")
        publish_header(client, "n4", {"n4": 1}, replica="n4.3")  # a later incarnation will do
        publish_beat(client, "n4", serving=True)
        await command.task


async def test_a_redis_that_is_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    async with watching(f"redis://127.0.0.1:{free_port()}/0", "n4", capsys) as command:
        await wait_until_async(lambda: "\n" in command.printed, what="a line")
        assert command.printed.startswith("n4: its Redis does not answer: ")
        assert not command.task.done()
