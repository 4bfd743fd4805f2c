"""A worker whose Redis goes away and comes back: nothing acknowledged is lost, nothing counts twice.

The server runs in a container, on a volume, with `appendfsync always`: what it has confirmed survives any end of it.
"""

from __future__ import annotations

import pytest

from tests.client import connected
from tests.load import Load

pytestmark = [pytest.mark.containers, pytest.mark.timeout(400)]


def stop_and_start(server, load):
    server.stop()
    load.wait_until_stalled()
    server.start()


def kill_and_start(server, load):
    server.kill()
    load.wait_until_stalled()
    server.start()


def pause_and_unpause(server, load):
    server.pause()
    load.wait_until_stalled()
    server.unpause()


def restart(server, load):
    server.restart()


@pytest.mark.parametrize("outage", [stop_and_start, kill_and_start, pause_and_unpause, restart])
def test_every_acknowledged_increment_counts_once(worker, valkey_container, outage):
    with connected(worker.address) as node:
        worker.wait_until_serving(60)
        with Load(worker.address) as load:
            load.wait_for_acknowledgements()
            outage(valkey_container, load)
            load.wait_for_acknowledgements()
            outage(valkey_container, load)
            load.wait_for_acknowledgements()
        assert worker.running, "the worker must resume by itself"
        load.check(node)

        # The same from what is stored: a new process knows nothing else.
        assert worker.stop() == 0
        worker.start()
        worker.wait_until_serving(60)
        load.check(node)


def test_worker_and_redis_killed_together_lose_nothing_acknowledged(worker, valkey_container):
    """The power fails: what was acknowledged was on disk, and what was not is counted once at most."""
    with connected(worker.address) as node:
        worker.wait_until_serving(60)
        with Load(worker.address) as load:
            load.wait_for_acknowledgements()
            valkey_container.kill()
            worker.kill()
            valkey_container.start()
            worker.start()
            load.wait_for_acknowledgements()
        load.check(node)
