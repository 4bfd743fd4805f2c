"""How far nodes are behind each other: counted from clocks, dated from logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from crdt_core.lattice.clocks import VersionVector
from tests.workers.fleet.publishing import AWAY, publish_delta, settings_of
from workers.fleet.lag import fill_in_lag, fill_in_log_lengths
from workers.fleet.node_status import Lag, NodeStatus
from workers.fleet.stores import FleetRedis
from workers.wire.keys import DELTA_FIELD, Keys

if TYPE_CHECKING:
    from tests.server import ValkeyServer


@pytest.fixture(autouse=True)
def empty(server: ValkeyServer) -> None:
    server.client().flushdb()


async def measured(urls: dict[str, str], **clocks: dict[str, int] | None) -> dict[str, NodeStatus]:
    settings = settings_of(**urls)
    nodes = {
        name: NodeStatus(name, settings.nodes[name], replica=name, clock=VersionVector(clock) if clock else None)
        for name, clock in clocks.items()
    }
    async with FleetRedis(settings) as redis:
        await fill_in_log_lengths(nodes, redis)
        await fill_in_lag(nodes, redis)
    return nodes


async def test_a_lag_is_the_commits_that_are_lacking_and_the_age_of_the_oldest(server: ValkeyServer) -> None:
    now_ms = time.time_ns() // 1_000_000
    for counter in range(1, 8):
        publish_delta(server.client(), "n1", counter, now_ms - (8 - counter) * 1000)
    urls = {"n1": server.url, "n2": server.url}
    nodes = await measured(urls, n1={"n1": 7, "n2": 1}, n2={"n1": 4, "n2": 1})
    lag = nodes["n2"].lag["n1"]
    assert lag.deltas == 3
    assert lag.ms is not None
    assert 3000 <= lag.ms < 13_000, "the fifth was made three seconds ago"
    assert nodes["n1"].lag["n2"] == Lag(0, 0)
    assert (nodes["n1"].log, nodes["n2"].log) == (7, 0)


async def test_a_trimmed_or_unreadable_delta_has_no_age(server: ValkeyServer) -> None:
    urls = {"n1": server.url, "n2": server.url}
    nodes = await measured(urls, n1={"n1": 7}, n2={"n1": 4})
    assert nodes["n2"].lag["n1"] == Lag(3, None)
    server.client().xadd(Keys("n1").log, {DELTA_FIELD: "nonsense"}, id="5-0")
    nodes = await measured(urls, n1={"n1": 7}, n2={"n1": 4})
    assert nodes["n2"].lag["n1"] == Lag(3, None)


async def test_what_cannot_be_read_is_unknown(server: ValkeyServer) -> None:
    urls = {"n1": AWAY, "n2": server.url}
    nodes = await measured(urls, n1={"n1": 7}, n2={"n1": 4})
    assert nodes["n2"].lag["n1"] == Lag(3, None), "its log is away"
    assert nodes["n1"].log is None
    nodes = await measured(urls, n1=None, n2={"n1": 4})
    assert nodes["n2"].lag["n1"] == nodes["n1"].lag["n2"] == Lag(None, None)
