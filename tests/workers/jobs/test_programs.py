"""RQ's programs as `deltaic jobs` and `deltaic cron` run them: as quiet after a death as before, and in an outage."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from tests.server import ValkeyServer
from tests.support import DELTAIC, LINUX, wait_until
from tests.workers.fleet_files import fleet_file, sections
from tests.workers.processes.programs import descendants
from workers.wire.keys import Keys, queue_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = LINUX
WORKERS = 2


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path / "valkey").start()
    yield server
    server.stop()


@pytest.fixture
def file(tmp_path: Path, valkey: ValkeyServer) -> Path:
    return fleet_file(tmp_path, **sections({"n1": valkey.url}))


def idle(valkey: ValkeyServer) -> set[int]:
    """The pids of the RQ workers that wait for a job."""
    with valkey.client() as client:
        return {worker.pid for worker in Worker.all(connection=client) if worker.get_state() == "idle" and worker.pid}


def works(program: str, valkey: ValkeyServer) -> bool:
    """Whether a job is worked off, or queued."""
    with contextlib.suppress(RedisError), valkey.client() as client:
        queue = Queue(queue_name("n1"), connection=client, serializer=JSONSerializer)
        if program == "cron":
            queue.empty()
            return bool(wait_until(lambda: queue.count, 3, "a job"))
        job = queue.enqueue("workers.jobs.audit", "n1")
        return wait_until(lambda: job.get_status() in {"finished", "failed"}, 3, "the job's end")
    return False


def test_a_worker_that_replaces_a_killed_one_is_as_quiet(start: Callable, file: Path, valkey: ValkeyServer) -> None:
    """It logged five lines a second for ever, because RQ does not pass `--quiet` on to it."""
    jobs = start(DELTAIC, "-f", str(file), "jobs")
    first = wait_until(lambda: len(found := idle(valkey)) == WORKERS and found, 30, "all workers to wait")
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(idle(valkey) - first) == WORKERS, 30, "other workers to wait")
    wait_until(lambda: works("jobs", valkey), 30, "a job to be worked off")
    assert jobs.text == ""
    jobs.process.terminate()
    assert jobs.ends() == 0
    assert jobs.text == ""


@pytest.mark.parametrize("program", ["jobs", "cron"])
def test_an_outage_is_no_traceback_and_ends(start: Callable, file: Path, valkey: ValkeyServer, program: str) -> None:
    kept = start(DELTAIC, "keep", "--", DELTAIC, "-f", str(file), program)
    wait_until(lambda: works(program, valkey), 30, f"{program} to work")
    before = descendants(kept.process.pid).keys()
    valkey.kill()
    wait_until(lambda: descendants(kept.process.pid).keys() != before or "Redis" in kept.text, 30, "it to notice")
    valkey.start()
    wait_until(lambda: works(program, valkey), 60, f"{program} to work again")
    assert "Traceback" not in kept.text
    assert len(kept.text.splitlines()) <= 8, kept.text


def test_the_end_in_the_first_moments_is_no_traceback(start: Callable, file: Path) -> None:
    for _ in range(3):
        jobs = start(DELTAIC, "-f", str(file), "jobs")
        wait_until(lambda pid=jobs.process.pid: len(descendants(pid)) == WORKERS, 30, "the first processes")
        jobs.process.terminate()
        jobs.ends()
        assert jobs.text == ""


def test_a_job_that_waits_for_an_answer_does_not_hold_the_end_up(
    start: Callable, file: Path, valkey: ValkeyServer
) -> None:
    """It waited up to 7 s for a replica that had died with its question; whoever ends the fleet kills after 4 s."""
    keys = Keys("n1")
    kept = start(DELTAIC, "keep", "--", DELTAIC, "-f", str(file), "jobs")
    with valkey.client() as client:
        client.set(keys.alive, "a worker that will not answer")
        queue = Queue(queue_name("n1"), connection=client, serializer=JSONSerializer)
        job = queue.enqueue("workers.jobs.compact", "n1")
        wait_until(lambda: client.xlen(keys.inbox), 30, "the job's question")
        kept.process.terminate()
        assert kept.ends() == 0
        assert kept.text == ""
        assert job.latest_result().return_value == {"skipped": "its RQ worker was told to end"}
        assert not client.exists(keys.lock("compact")), "the next start would have to wait for its end"


def test_a_worker_that_hears_nothing_does_not_hold_the_end_up(
    start: Callable, file: Path, valkey: ValkeyServer
) -> None:
    kept = start(DELTAIC, "keep", "--", DELTAIC, "-f", str(file), "jobs")
    for pid in wait_until(lambda: len(found := idle(valkey)) == WORKERS and found, 30, "all workers to wait"):
        os.kill(pid, signal.SIGSTOP)
    kept.process.terminate()
    assert kept.ends() == 0
    assert kept.text == ""
