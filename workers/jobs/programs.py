"""Runs a program of RQ, as `python -m rq.cli` does, so that it is quiet: `python -m workers.jobs.programs cron ...`.

- A worker that replaces a dead one logs as little as the first. RQ does not pass `--quiet` on to it.
- A Redis that is away is one line, and no traceback. While it is away, no worker is started.
- A scheduler queues few jobs while nothing changes in the fleet (`workers.jobs.scheduler`).
- A program that is told to end in its first moments ends without a traceback, and a worker that does not end is killed.
"""

from __future__ import annotations

import logging
import signal
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

import rq.cli.cli_cron
import rq.cli.workers
from redis import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq.cli.cli import main as run_rq
from rq.worker_pool import WorkerPool

from crdt_core.errors import WorldError
from workers.jobs.scheduler import PatientScheduler

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.process import BaseProcess

    from redis import Connection, Redis
    from rq import Queue
    from rq.worker import BaseWorker

__all__ = ["OutageFilter", "QuietPool", "main"]

_LEVEL = "WARNING"
_OUTAGE_WORDS = ("could not connect to Redis", "Redis connection timeout")
_SAME_OUTAGE_S = 90.0
"""RQ repeats itself at least once a minute for as long as Redis is away."""
_END_S = 2.0
"""How long a worker may take to end. The pool looks once a second, and has itself 4 s to end."""


class OutageFilter(logging.Filter):
    """Lets one record of an outage of Redis through, without its traceback, and the records of everything else."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether `record` is to be logged."""
        error = record.exc_info[1] if record.exc_info else None
        is_outage = isinstance(error, RedisConnectionError | RedisTimeoutError)
        if not is_outage and not any(words in record.getMessage() for words in _OUTAGE_WORDS):
            return True
        is_first = record.created - self._last_s > _SAME_OUTAGE_S
        self._last_s = record.created
        record.exc_info = None
        return is_first


class QuietPool(WorkerPool):
    """RQ's pool, whose workers are all as quiet. It starts none while Redis is away, and kills what does not end."""

    _asked_s = 0.0
    """When the workers were told to end."""

    def check_workers(self, respawn: bool = True) -> None:
        """Replace the workers that have died, if Redis answers."""
        self.reap_workers()  # type: ignore[no-untyped-call]
        if len(self.worker_dict) < self.num_workers and not self._redis_answers():
            return
        super().check_workers(respawn=respawn)

    def get_worker_process(
        self,
        name: str,
        burst: bool,
        _sleep: float = 0,
        logging_level: str = _LEVEL,  # noqa: ARG002  RQ gives another one for a worker that replaces a dead one
    ) -> BaseProcess:
        """Return the process of a worker, which logs no more than warnings, whatever `logging_level` is."""
        process: Any = super().get_worker_process(name, burst, _sleep, logging_level=_LEVEL)
        process._target = _run_worker  # noqa: SLF001  there is no other way to have the worker end quietly
        started: BaseProcess = process
        return started

    def stop_workers(self) -> None:
        """Tell all workers to end."""
        self._asked_s = monotonic()
        super().stop_workers()  # type: ignore[no-untyped-call]

    def all_workers_have_stopped(self) -> bool:
        """Return whether all have ended. Those that have had their time are killed: no job does harm if it is lost."""
        if monotonic() - self._asked_s > _END_S:
            for worker in list(self.worker_dict.values()):
                self.stop_worker(worker, signal.SIGKILL)
        return super().all_workers_have_stopped()

    def _redis_answers(self) -> bool:
        try:
            return bool(self.connection.ping())
        except RedisError:
            return False


def _run_worker(
    name: str,
    queue_names: Iterable[str],
    connection_class: type[Redis],
    pool_class: type[Connection],
    pool_options: dict[str, Any],
    *,
    worker_class: type[BaseWorker],
    queue_class: type[Queue],
    burst: bool,
    logging_level: str,
    _sleep: float,
    **options: Any,
) -> None:
    """Run one worker of a pool, as `rq.worker_pool.run_worker` does, but without a scheduler of its own.

    RQ's scheduler is one more process for each worker, and nothing here is scheduled in that way. An error of Redis
    ends the worker without a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Until the worker has a handler of its own.
    try:
        connection = connection_class(connection_pool=ConnectionPool(connection_class=pool_class, **pool_options))
        queues = [queue_class(queue, connection=connection) for queue in queue_names]
        worker = worker_class(queues, name=name, connection=connection, queue_class=queue_class, **options)
        worker.work(burst=burst, logging_level=logging_level)
    except RedisError:
        sys.exit(WorldError.exit_code)


def main() -> None:
    """Run RQ's command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # RQ's programs have handlers of their own once they work.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(OutageFilter())
    logging.getLogger("rq").addHandler(handler)
    rq.cli.workers.WorkerPool = QuietPool  # type: ignore[attr-defined]
    rq.cli.cli_cron.CronScheduler = PatientScheduler  # type: ignore[assignment, attr-defined]
    try:
        run_rq()
    except RedisError as error:
        sys.exit(f"Redis is lost: {error}")


if __name__ == "__main__":
    main()
