"""Whoever can write to the Redis of a node's queue cannot make its RQ workers run anything but the periodic jobs."""

from __future__ import annotations

import json
import pickle
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.scenarios import marks as forged
from tests.scenarios.secured import deployment, redis_server
from tests.support import wait_until
from workers.wire.keys import queue_name

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from redis import Redis

    from tests.scenarios.secured import Deployment

QUEUE = queue_name("n1")
REFUSED_JOBS = "deltaic:refused_jobs"
LEAVE = "tests.scenarios.marks.leave"
OWN = json.dumps(["workers.jobs.gossip_round", None, ["n1"], {}]).encode()
BOMB = pickle.dumps(forged.Bomb())

# The fields of jobs as RQ keeps them in `rq:job:<id>`; each would run something, or make RQ do more than run a job.
FORGED: dict[str, dict[str, bytes | str | int]] = {
    "a-function": {"data": json.dumps([LEAVE, None, [], {}])},
    "a-compressed-function": {"data": zlib.compress(json.dumps([LEAVE, None, [], {}]).encode())},
    "a-shell": {"data": json.dumps(["os.system", None, ["touch $MARKS/shell"], {}])},
    "a-pickle": {"data": BOMB},
    "a-pickled-function": {"data": pickle.dumps((LEAVE, None, (), {}))},
    "other-arguments": {"data": json.dumps(["workers.jobs.gossip_round", None, ["n1", "n2"], {}])},
    "keyword-arguments": {"data": json.dumps(["workers.jobs.gossip_round", None, [], {"node": "n1"}])},
    "another-node": {"data": json.dumps(["workers.jobs.gossip_round", None, ["n2"], {}])},
    "another-queue": {"data": OWN, "origin": "other"},
    "on-success": {"data": OWN, "success_callback_name": LEAVE},
    "on-failure": {"data": json.dumps(["workers.jobs.gossip_round", None, ["n9"], {}]), "failure_callback_name": LEAVE},
    "on-stopped": {"data": OWN, "stopped_callback_name": LEAVE},
    "meta": {"data": OWN, "meta": BOMB},
    "retries": {"data": OWN, "retries_left": 3, "retry_intervals": "[1]"},
    "repeats": {"data": OWN, "repeats_left": 3, "repeat_intervals": "[1]"},
    "webhooks": {"data": OWN, "webhooks": json.dumps([{"url": "http://127.0.0.1:9/", "on": ["finished"]}])},
    "dependency": {"data": OWN, "dependency_id": "a-function", "dependency_ids": '["a-function"]'},
    "rate-limit": {"data": OWN, "rate_limit_key": "k", "rate_limit_concurrency": 1},
    "no-end": {"data": OWN, "timeout": "-1"},
    "a-bad-date": {"data": OWN, "created_at": "yesterday"},
    "a-bad-status": {"data": OWN, "status": "glad"},
    "a-zip-bomb": {"data": zlib.compress(b"[" * 10_000_000)},
}


@pytest.fixture
def node(deploy: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A node that has only its Redis so far. What is run there leaves a mark in the directory `marks`."""
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv(forged.VARIABLE, str(tmp_path / "marks"))
    server = redis_server(deploy, tmp_path)
    found = deployment(deploy, tmp_path / "n1", server.url)
    found.server = server
    return found


@pytest.fixture
def redis(deploy: ExitStack, node: Deployment) -> Redis:
    assert node.server is not None
    return deploy.enter_context(node.server.client())


def put(redis: Redis, name: str, fields: dict[str, bytes | str | int]) -> None:
    redis.hset(f"rq:job:{name}", mapping={"origin": QUEUE, "status": "queued", **fields})


def run_own_job(redis: Redis, node: Deployment, name: str = "own", *, marks: Path | None = None) -> None:
    """Queues a periodic job behind all that waits, and returns when it has been run, and nothing has left a mark."""

    def done() -> bool:
        if marks is not None and any(marks.iterdir()):
            pytest.fail("a forged job was run")
        return redis.hget(f"rq:job:{name}", "status") == b"finished"

    put(redis, name, {"data": OWN})
    redis.rpush(f"rq:queue:{QUEUE}", name)
    wait_until(done, 30, f"a job to be run:\n{node.said()}")
    assert done()


def test_a_forged_job_is_refused_logged_and_counted_and_runs_nothing(
    redis: Redis, node: Deployment, tmp_path: Path
) -> None:
    for name, fields in FORGED.items():
        put(redis, name, fields)
        redis.rpush(f"rq:queue:{QUEUE}", name)
    node.start("jobs")
    run_own_job(redis, node, marks=tmp_path / "marks")
    wait_until(lambda: redis.get(REFUSED_JOBS) == b"%d" % len(FORGED), 10, f"all to be refused:\n{node.said()}")
    said = node.said()
    assert [name for name in FORGED if f"job={name}" not in said] == []
    assert not any(redis.exists(f"rq:job:{name}") for name in FORGED)


def test_what_stands_in_the_queue_and_is_no_job_stops_nobody(redis: Redis, node: Deployment) -> None:
    redis.set("rq:job:a-string", "no hash")
    redis.rpush(f"rq:queue:{QUEUE}", "a-string", "a b/c", b"\xff\xfe", "unknown", "")
    node.start("jobs")
    run_own_job(redis, node)
    workers = redis.smembers("rq:workers")
    run_own_job(redis, node, "another")
    assert redis.smembers("rq:workers") == workers, f"a worker had to be replaced:\n{node.said()}"


def test_registries_that_cannot_be_read_stop_nobody(redis: Redis, node: Deployment) -> None:
    """RQ's workers ended at every start, because they could not clean up."""
    redis.rpush(f"rq:queue:{QUEUE}:intermediate", b"\xff")
    redis.set(f"rq:finished:{QUEUE}", "no sorted set")
    node.start("jobs")
    put(redis, "own", {"data": OWN, "result_ttl": "0"})
    redis.rpush(f"rq:queue:{QUEUE}", "own")
    wait_until(lambda: not redis.exists("rq:job:own"), 30, f"the job to be run, which leaves nothing:\n{node.said()}")
    assert "registries_unreadable" in node.said()
    assert "Traceback" not in node.said()


def test_nothing_is_run_from_the_registries_that_rq_looks_after(redis: Redis, node: Deployment, tmp_path: Path) -> None:
    """RQ read the jobs that it cleans up with pickle, whatever serializer its workers had."""
    for name in ("started", "stuck", "dependent", "scheduled", "grouped", "deferred"):
        put(redis, name, {"data": BOMB, "meta": BOMB, "failure_callback_name": LEAVE, "group_id": "all"})
    put(redis, "done", {"data": OWN})
    redis.hset("rq:job:started", "status", "started")
    redis.zadd(f"rq:wip:{QUEUE}", {"started:execution": 1})
    redis.zadd(f"rq:scheduled:{QUEUE}", {"scheduled": 1})
    redis.zadd(f"rq:deferred:{QUEUE}", {"deferred": 1})
    redis.rpush(f"rq:queue:{QUEUE}:intermediate", "stuck")
    redis.sadd("rq:job:done:dependents", "dependent")
    redis.sadd("rq:groups", "all")
    redis.sadd("rq:group:all", "grouped")
    redis.rpush(f"rq:queue:{QUEUE}", "done")
    node.start("jobs")
    run_own_job(redis, node, marks=tmp_path / "marks")


def test_a_worker_takes_no_orders_over_a_channel(redis: Redis, node: Deployment) -> None:
    node.start("jobs")
    run_own_job(redis, node)
    workers = [name.decode().removeprefix("rq:worker:") for name in redis.smembers("rq:workers")]
    for name in workers:
        for command in ("shutdown", "kill-horse", "stop-job"):
            order = json.dumps({"command": command, "job_id": "own", "created_at": "2026-01-01T00:00:00Z"})
            assert redis.publish(f"rq:pubsub:{name}", order) == 0
    run_own_job(redis, node, "another")
