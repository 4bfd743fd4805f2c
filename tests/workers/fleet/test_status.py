"""The status of the fleet, from what Redis holds and from what workers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.types.members import Standing
from tests.workers.fleet.publishing import AWAY, publish_beat, publish_header, publish_members, settings_of
from workers.config.loading import load_settings
from workers.fleet.status import read_status
from workers.fleet.stores import FleetRedis
from workers.rpc.client import FleetClient
from workers.wire.keys import AUDIT, FLEET, Keys

if TYPE_CHECKING:
    from redis import Redis

    from tests.fleet import Fleet
    from tests.server import ValkeyServer
    from workers.config.settings import FleetSettings
    from workers.fleet.fleet_status import FleetStatus


async def status_of(settings: FleetSettings) -> FleetStatus:
    async with FleetRedis(settings) as redis, FleetClient(settings) as clients:
        return await read_status(settings, redis, clients)


async def test_what_redis_holds_is_known_of_dead_workers_too(client: Redis, server: ValkeyServer) -> None:
    report = {"at_ms": 7, "peers_contacted": ["n2"], "new_items": 3}
    publish_header(client, "n1", {"n1": 3}, round=report, stable={"n1": 2})
    publish_header(client, "n2", {"n1": 2, "n2": 1})
    client.xadd(Keys("n1").inbox, {"m": "x"})
    client.xadd(Keys("n1").quarantine, {"reason": "x"})
    client.hset(Keys("n1").links, "n2", "paused")
    client.hset(AUDIT, "n1", orjson.dumps({"at_ms": 7, "agree": ["n2"]}))
    status = await status_of(settings_of(n1=server.url, n2=server.url))
    n1 = status.nodes["n1"]
    assert (n1.up, n1.serving, n1.problem, n1.tombstones) == (False, False, None, None)
    assert (n1.clock, n1.stable, n1.digest) == ({"n1": 3}, {"n1": 2}, "0" * 16)
    assert (n1.inbox, n1.quarantine, n1.links) == (1, 1, {"n2": "paused"})
    assert (n1.round, n1.audit) == (report, {"at_ms": 7, "agree": ["n2"]})
    assert status.nodes["n2"].lag["n1"].deltas == 1
    assert (status.agreement, status.healthy, status.paused) == ("apart", False, [("n1", "n2")])


async def test_what_workers_say_is_asked_of_those_that_run(fleet: Fleet) -> None:
    status = await status_of(load_settings(fleet.directory / "fleet.toml"))
    assert status.healthy
    assert [node.serving for node in status.nodes.values()] == [True] * 5
    assert all(node.tombstones is not None for node in status.nodes.values())
    assert all(abs(node.clock_skew_ms or 0) < 1000 for node in status.nodes.values())


async def test_a_redis_that_is_away_or_makes_no_sense_is_a_problem(client: Redis, server: ValkeyServer) -> None:
    publish_header(client, "n1", {"n1": 3})
    client.hset(Keys("n2").header, mapping={"clock": "nonsense"})
    client.set(Keys("n3").inbox, "a string")
    status = await status_of(settings_of(n1=server.url, n2=server.url, n3=server.url, n4=AWAY))
    problems = {name: node.problem for name, node in status.nodes.items()}
    assert problems["n1"] is None
    assert "deltaic:{n2} cannot be read" in (problems["n2"] or "")
    assert "WRONGTYPE" in (problems["n3"] or "")
    assert problems["n4"] == "connection refused"
    assert status.nodes["n2"].clock is None


async def test_a_clock_is_wrong_by_what_most_clocks_show(client: Redis, server: ValkeyServer) -> None:
    """Two are right and this process is one of them, so the third is wrong."""
    for name, skew_ms in (("n1", 0), ("n2", 0), ("n3", 3_600_000)):
        publish_header(client, name, {"n1": 1})
        publish_beat(client, name, skew_ms=skew_ms)
    status = await status_of(settings_of(n1=server.url, n2=server.url, n3=server.url))
    skews = [status.nodes[name].clock_skew_ms or 0 for name in ("n1", "n2", "n3")]
    assert abs(skews[0]) < 1000
    assert abs(skews[1]) < 1000
    assert abs(skews[2] - 3_600_000) < 1000


async def test_a_member_that_is_away_holds_tombstones_back_until_it_is_fenced(
    client: Redis, server: ValkeyServer
) -> None:
    waiting = {"markers": 10, "bytes": 500, "held_by": {"n3": 4}}
    for name in ("n1", "n2"):
        publish_header(client, name, {"n1": 1}, absent={"n3": 61_000}, waiting=waiting)
        publish_beat(client, name)
    settings = settings_of(n1=server.url, n2=server.url, n3=AWAY)
    away = (await status_of(settings)).away["n3"]
    week_ms = settings.membership.fence_after_s * 1000
    assert (away.ms, away.fence_in_ms, away.tombstones, away.bytes) == (61_000, week_ms - 61_000, 4, 200)
    client.hset(Keys("n1").header, "absent", orjson.dumps({"n2": 5, "n3": 61_000}))
    client.hdel(FLEET, "n2")
    away = (await status_of(settings)).away["n3"]
    assert away.fence_in_ms is None, "those who are left are no majority"


async def test_nodes_that_left_or_never_were_members_are_not_compared(client: Redis, server: ValkeyServer) -> None:
    publish_header(client, "n1", {"n1": 3})
    publish_header(client, "n2", {"n1": 1})
    publish_members(client, "n1", ("n1", "active", "n1", "", ""), ("n2", "leaving", "n2", "removed", 7))
    status = await status_of(settings_of(n1=server.url, n2=server.url, n3=server.url))
    n2, n3 = status.nodes["n2"], status.nodes["n3"]
    assert (n2.standing, n2.left_because, n2.agreement) == (Standing.LEAVING, "removed", None)
    assert (n3.standing, n3.takes_part) == (None, False)
    assert [node.name for node in status.taking_part] == ["n1"]
    assert list(status.leaving) == ["n2"]


@pytest.mark.parametrize("value", [b"nonsense", b"7", b"[]", b'{"at_ms":"7"}', b'{"at_ms":7,"agree":"n2"}'])
async def test_a_report_that_makes_no_sense_is_no_report(client: Redis, server: ValkeyServer, value: bytes) -> None:
    publish_header(client, "n1", {"n1": 3})
    client.hset(Keys("n1").header, "round", value)
    client.hset(FLEET, "n1", value)
    status = await status_of(settings_of(n1=server.url))
    assert status.nodes["n1"].round is None
    assert status.nodes["n1"].beat_age_ms is None
