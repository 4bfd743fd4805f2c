"""RQ's classes as the fleet uses them: what is not allowed is no job, and a queue without workers stays short."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import orjson
import pytest
from rq import Queue, SimpleWorker
from rq.cron import CronScheduler
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from tests.support import free_port
from workers.jobs.guarded import GuardedJob, GuardedQueue, GuardedWorker
from workers.wire.keys import REFUSED_JOBS, queue_name

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from tests.server import ValkeyServer

QUEUE = queue_name("n1")
KEY = f"rq:queue:{QUEUE}"
KINDS = ["workers.jobs.gossip_round", "workers.jobs.compact", "workers.jobs.audit"]


@pytest.fixture
def redis(client: Redis, server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """The Redis of a fleet of one node, which does not run."""
    file = tmp_path / "fleet.toml"
    file.write_text(f'[nodes.n1]\ngrpc = "127.0.0.1:{free_port()}"\nredis = "{server.url}"\n')
    monkeypatch.setenv("DELTAIC_FILE", str(file))
    return client


def store(redis: Redis, name: str, function: str = KINDS[0], **fields: bytes | str) -> None:
    data = orjson.dumps([function, None, ["n1"], {}])
    redis.hset(f"rq:job:{name}", mapping={"data": data, "origin": QUEUE, "status": "queued", **fields})


def refused(redis: Redis) -> int:
    return int(redis.get(REFUSED_JOBS) or 0)


def due_again_and_again(redis: Redis, times: int) -> None:
    """Lets the scheduler queue all jobs `times` times."""
    scheduler = CronScheduler(redis)
    scheduler.load_config_from_file("workers.jobs.schedule")
    for _ in range(times):
        for job in scheduler.get_jobs():
            job.enqueue(redis)


def waiting(redis: Redis) -> list[str]:
    return [GuardedJob.fetch(name.decode(), redis).func_name or "" for name in redis.lrange(KEY, 0, -1)]


def test_a_refused_job_is_deleted_counted_and_to_rq_there_is_none(
    redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    store(redis, "forged", success_callback_name="os.system")
    store(redis, "good")
    with pytest.raises(NoSuchJobError):
        GuardedJob.fetch("forged", redis)
    assert refused(redis) == 1
    assert not redis.exists("rq:job:forged")
    said = capsys.readouterr().out
    assert "job_refused" in said
    assert "success_callback_name" in said
    found = GuardedJob.fetch_many(["forged", "good", "a b"], redis)
    assert [job and job.id for job in found] == [None, "good", None]


def test_a_job_that_turns_into_another_is_refused_when_it_is_read_again(redis: Redis) -> None:
    store(redis, "changed")
    job = GuardedJob.fetch("changed", redis)
    redis.hset("rq:job:changed", "data", orjson.dumps(["os.system", None, ["true"], {}]))
    with pytest.raises(NoSuchJobError):
        job.refresh()


def test_nothing_is_unpickled_whatever_serializer_is_asked_for(redis: Redis) -> None:
    store(redis, "forged", meta=pickle.dumps({}))
    with pytest.raises(NoSuchJobError):
        GuardedJob.fetch("forged", redis, serializer=pickle)
    assert GuardedQueue(QUEUE, redis, serializer=pickle).serializer is JSONSerializer


def test_a_function_is_not_imported_by_its_name(redis: Redis) -> None:
    job = GuardedJob("unstored", redis)
    job.func_name = "os.system"
    with pytest.raises(KeyError):
        _ = job.func


def test_a_job_of_another_queue_is_refused(redis: Redis) -> None:
    store(redis, "misplaced")
    redis.rpush("rq:queue:deltaic-n2", "misplaced")
    queues = [GuardedQueue("deltaic-n2", redis)]
    assert not GuardedWorker(queues, connection=redis).work(burst=True) or refused(redis) == 1
    assert refused(redis) == 1


def test_a_worker_takes_no_unguarded_queue(redis: Redis) -> None:
    with pytest.raises(TypeError):
        GuardedWorker([Queue(QUEUE, connection=redis)], connection=redis)


def test_a_worker_runs_a_job_and_keeps_its_report(redis: Redis) -> None:
    queue = GuardedQueue(QUEUE, redis)
    due_again_and_again(redis, 1)
    names = [name.decode() for name in redis.lrange(KEY, 0, -1)]
    GuardedWorker([queue], connection=redis, job_class=Job, serializer="pickle").work(burst=True)
    reports = [GuardedJob.fetch(name, redis).return_value() for name in names]
    assert reports[:2] == [{"skipped": "n1 is down"}] * 2
    assert reports[2]["unreachable"] == []
    assert refused(redis) == 0


def test_while_no_worker_lives_one_job_of_each_kind_waits(redis: Redis) -> None:
    """The queue grew by every job that was due."""
    due_again_and_again(redis, 20)
    assert waiting(redis) == KINDS
    assert len(redis.keys("rq:job:*")) == len(KINDS)


def test_what_has_expired_in_the_queue_makes_room(redis: Redis) -> None:
    """A job that waits too long expires, but its entry in the queue did not."""
    for number in range(250):
        redis.rpush(KEY, f"gone-{number}")
    redis.rpush(KEY, b"\xff")
    due_again_and_again(redis, 2)
    assert waiting(redis) == KINDS


def test_a_job_that_a_scheduler_of_0_1_0_has_queued_counts_as_waiting(redis: Redis) -> None:
    old = Queue(QUEUE, connection=redis, serializer=JSONSerializer)
    for kind in KINDS:
        old.enqueue(kind, args=("n1",), result_ttl=600, ttl=60)
    due_again_and_again(redis, 2)
    assert waiting(redis) == KINDS


def test_a_worker_of_0_1_0_runs_what_is_queued(redis: Redis) -> None:
    due_again_and_again(redis, 1)
    names = [name.decode() for name in redis.lrange(KEY, 0, -1)]
    old = Queue(QUEUE, connection=redis, serializer=JSONSerializer)
    SimpleWorker([old], connection=redis, serializer=JSONSerializer).work(burst=True)
    assert [GuardedJob.fetch(name, redis).get_status() for name in names] == ["finished"] * 3


def test_a_kind_that_a_forged_job_stands_for_is_queued_all_the_same(redis: Redis) -> None:
    store(redis, "forged", failure_callback_name="os.system")
    store(redis, "bare")
    redis.delete("rq:job:bare")
    redis.rpush(KEY, "forged", "bare")
    due_again_and_again(redis, 1)
    assert waiting(redis) == KINDS
    assert refused(redis) == 1
