"""What the scheduler puts into the nodes' queues: the names that version 0.1.0 gave the jobs, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from rq import Queue, SimpleWorker
from rq.cron import CronScheduler
from rq.serializers import JSONSerializer

from tests.support import free_port
from workers.config.loading import CRON_NODES_VARIABLE, load_settings
from workers.jobs.fleet_access import job_timeout_s
from workers.wire.keys import queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

    from tests.server import ValkeyServer

NAMES_OF_0_1_0 = ["workers.jobs.gossip_round", "workers.jobs.compact", "workers.jobs.audit"]
FILE = """
[nodes.n1]
grpc = "127.0.0.1:{grpc}"
redis = "{redis}"
[nodes.n2]
grpc = "localhost:{grpc}"
redis = "{redis}"
[gossip]
interval_s = 7
timeout_ms = 60_000
"""


@pytest.fixture
def redis(server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """The Redis of a fleet of two nodes that do not run."""
    file = tmp_path / "fleet.toml"
    file.write_text(FILE.format(grpc=free_port(), redis=server.url))
    monkeypatch.setenv("DELTAIC_FILE", str(file))
    with server.client() as client:
        client.flushdb()
        yield client


def scheduled(redis: Redis) -> CronScheduler:
    scheduler = CronScheduler(redis)
    scheduler.load_config_from_file("workers.jobs.schedule")
    return scheduler


def test_the_jobs_bear_the_names_that_job_workers_of_0_1_0_know(redis: Redis) -> None:
    jobs = scheduled(redis).get_jobs()
    for node in ("n1", "n2"):
        assert [job.func_name for job in jobs if job.queue_name == queue_name(node)] == NAMES_OF_0_1_0
    assert {job.interval for job in jobs if job.func_name.endswith("gossip_round")} == {7}


def test_a_job_may_take_as_long_as_a_round_of_this_fleet(redis: Redis) -> None:
    """RQ once ended every job after 30 seconds, whatever `gossip.timeout_ms` allowed."""
    settings = load_settings()
    assert {job.job_options["job_timeout"] for job in scheduled(redis).get_jobs()} == {job_timeout_s(settings)}
    assert job_timeout_s(settings) * 1000 > settings.gossip.timeout_ms


def test_only_the_jobs_of_the_nodes_that_the_environment_names(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CRON_NODES_VARIABLE, "n2")
    assert {job.queue_name for job in scheduled(redis).get_jobs()} == {queue_name("n2")}


def test_what_stands_in_redis_is_json_under_those_names(redis: Redis) -> None:
    for job in scheduled(redis).get_jobs():
        job.enqueue(redis)
    queue = Queue(queue_name("n1"), connection=redis, serializer=JSONSerializer)
    assert [job.func_name for job in queue.jobs] == NAMES_OF_0_1_0
    assert all(orjson.loads(job.data) == [job.func_name, None, ["n1"], {}] for job in queue.jobs)


def test_while_no_worker_lives_one_job_of_each_kind_waits(redis: Redis) -> None:
    """The queue grew by every job that was due, for ever."""
    for _ in range(20):
        for job in scheduled(redis).get_jobs():
            job.enqueue(redis)
    queue = Queue(queue_name("n1"), connection=redis, serializer=JSONSerializer)
    assert redis.llen(queue.key) == len(NAMES_OF_0_1_0)
    assert [job.func_name for job in queue.jobs] == NAMES_OF_0_1_0


@pytest.mark.parametrize("name", NAMES_OF_0_1_0)
def test_a_job_that_a_scheduler_of_0_1_0_queued_is_run(redis: Redis, name: str) -> None:
    queue = Queue(queue_name("n1"), connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(name, args=("n1",))
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(burst=True)
    report = job.return_value()
    assert report.get("skipped") == "n1 is down" or report["unreachable"] == []
