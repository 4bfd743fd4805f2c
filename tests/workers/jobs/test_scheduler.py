"""What RQ's scheduler queues while nothing changes in the fleet, and what it writes into Redis about itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rq.utils import now

from tests.support import free_port
from tests.workers.fleet.publishing import publish_header
from workers.jobs import scheduler as patient
from workers.jobs.scheduler import REST_S, PatientScheduler
from workers.wire.keys import PAUSED, Keys

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from tests.server import ValkeyServer

NODES = ("n1", "n2", "n3")
KINDS = ["audit", "compact", "gossip_round"]
CLOCK = {"n1": 7, "n2": 1}
WRITES = ("set", "hset", "zadd", "rpush", "lpush", "xadd", "expire", "pexpire", "sadd")


@pytest.fixture
def redis(client: Redis, server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """The Redis of a fleet of three nodes that run, agree, and know that they do."""
    file = tmp_path / "fleet.toml"
    nodes = (f'[nodes.{name}]\ngrpc = "{name}:{free_port()}"\nredis = "{server.url}"\n' for name in NODES)
    file.write_text("".join(nodes), "utf-8")
    monkeypatch.setenv("DELTAIC_FILE", str(file))
    for name in NODES:
        publish(client, name)
        client.set(Keys(name).alive, "token")
    return client


@pytest.fixture
def scheduler(redis: Redis) -> PatientScheduler:
    """A scheduler that has queued all jobs once, when all agreed."""
    started = PatientScheduler(redis)
    started.load_config_from_file("workers.jobs.schedule")
    assert due(started) == KINDS
    return started


def publish(redis: Redis, node: str, clock: dict[str, int] = CLOCK, **fields: Any) -> None:
    publish_header(redis, node, clock, **{"stable": clock, "waiting": {"markers": 0}, **fields})


def due(scheduler: PatientScheduler, node: str = "n1") -> list[str]:
    """The kinds of jobs that are queued for `node` when the intervals of all its jobs are over."""
    for job in scheduler.get_jobs():
        job.next_enqueue_time = now() if job.args == (node,) else None
    return sorted(job.func_name.rpartition(".")[2] for job in scheduler.enqueue_jobs() if job.args == (node,))


def written(redis: Redis) -> dict[str, int]:
    """How often which command has written since the server's statistics were reset."""
    statistics: dict[str, dict[str, int]] = redis.info("commandstats")
    return {name: found["calls"] for name in WRITES if (found := statistics.get(f"cmdstat_{name}"))}


def test_an_idle_fleet_queues_nothing_and_writes_nothing(redis: Redis, scheduler: PatientScheduler) -> None:
    """Five idle nodes wrote 44 KB/s: each job costs RQ about 7 KB, whether there was anything to do or not."""
    scheduler.heartbeat()
    redis.config_resetstat()
    for _ in range(10):
        assert [due(scheduler, node) for node in NODES] == [[], [], []]
        scheduler.heartbeat()
    assert written(redis) == {}


def test_each_job_runs_once_a_minute_all_the_same(scheduler: PatientScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody publishes may have gone wrong, too."""
    assert due(scheduler) == []
    later = now() + timedelta(seconds=REST_S)
    monkeypatch.setattr(patient, "now", lambda: later)
    assert due(scheduler) == KINDS


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda redis: publish(redis, "n2", {**CLOCK, "n2": 2}), id="a peer has written"),
        pytest.param(lambda redis: publish(redis, "n1", {**CLOCK, "n1": 8}), id="the node has written"),
        pytest.param(lambda redis: publish(redis, "n3", digest="1" * 16), id="a digest differs"),
        pytest.param(lambda redis: publish(redis, "n1", stable={"n1": 6}), id="not all is stable"),
        pytest.param(lambda redis: publish(redis, "n1", waiting={"markers": 3}), id="other tombstones wait"),
        pytest.param(lambda redis: redis.delete(Keys("n1").alive), id="the node has ended"),
        pytest.param(lambda redis: redis.delete(Keys("n3").alive), id="a peer has ended"),
        pytest.param(lambda redis: redis.delete(Keys("n3").header), id="a peer has nothing"),
        pytest.param(lambda redis: redis.delete(Keys("n1").header), id="the node has nothing"),
    ],
)
def test_what_changed_is_looked_after_at_the_usual_interval(
    redis: Redis, scheduler: PatientScheduler, change: Any
) -> None:
    assert due(scheduler) == []
    change(redis)
    assert due(scheduler) == KINDS


def test_after_a_change_each_job_runs_once_more_when_all_agree_again(redis: Redis, scheduler: PatientScheduler) -> None:
    """A compaction that ran before all agreed has not forgotten all that can be forgotten."""
    behind = {**CLOCK, "n1": 8}
    publish(redis, "n1", behind, stable=CLOCK)
    assert due(scheduler) == due(scheduler) == KINDS
    for name in NODES:
        publish(redis, name, behind)
    assert due(scheduler) == KINDS
    assert due(scheduler) == []


def test_peers_that_agree_need_no_round_though_their_link_is_paused(redis: Redis, scheduler: PatientScheduler) -> None:
    redis.hset(Keys("n1").links, "n2", PAUSED)
    assert due(scheduler) == []


def test_members_count_and_not_the_nodes_of_the_fleet_file(redis: Redis, scheduler: PatientScheduler) -> None:
    for name in NODES:
        publish(redis, name, founders=["n1", "n2", "n3", "n4"])
    assert due(scheduler) == KINDS


def test_absence_is_added_up_often_enough_for_a_fleet_that_fences_soon(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passes between two compactions may count as absence, so it is a small part of what a member may be away."""
    monkeypatch.setenv("DELTAIC_MEMBERSHIP__FENCE_AFTER_S", "30")
    impatient = PatientScheduler(redis)
    impatient.load_config_from_file("workers.jobs.schedule")
    assert (due(impatient), due(impatient)) == (KINDS, [])
    later = now() + timedelta(seconds=3)
    monkeypatch.setattr(patient, "now", lambda: later)
    assert due(impatient) == KINDS
