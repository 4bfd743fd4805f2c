"""A worker runs until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import UnknownNode
from tests.support import wait_until_async
from workers.wire.keys import FLEET, Keys
from workers.worker.worker import run_worker

if TYPE_CHECKING:
    from tests.server import ValkeyServer
    from workers.config.settings import FleetSettings


@pytest.mark.usefixtures("usual_gc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(alone: FleetSettings, server: ValkeyServer, number: signal.Signals) -> None:
    running = asyncio.create_task(run_worker(alone, "n1"))
    client = server.client()
    await wait_until_async(lambda: client.hexists(FLEET, "n1") or running.done(), 20, "a heartbeat")
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running, 20)
    assert not client.hexists(Keys("n1").header, "owner")


async def test_a_node_that_the_settings_do_not_name_does_not_run(alone: FleetSettings) -> None:
    with pytest.raises(UnknownNode):
        await run_worker(alone, "n9")
