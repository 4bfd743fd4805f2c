"""RQ's job, queue and worker, restricted to what `workers.jobs.allowed` allows.

RQ makes a job of what stands in Redis in one place, `Job.restore`. There a job that is not allowed is refused: it is
logged, counted, deleted, and from then on RQ takes it for a job that no longer exists. So it makes no difference from
where RQ took it: a queue, a registry, a dependency.

Left out of RQ altogether, because this fleet needs none of it: orders to a worker over a channel, groups, and the
scheduler of postponed jobs that every RQ worker starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import structlog
from redis.exceptions import ResponseError
from rq import Queue, SimpleWorker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker.base import WorkerStatus

from crdt_core.errors import Malformed, brief
from workers.jobs.allowed import PERIODIC_JOBS, checked_fields
from workers.wire.keys import REFUSED_JOBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from redis import Redis

__all__ = ["GuardedJob", "GuardedQueue", "GuardedWorker"]

log = structlog.get_logger()

_LOOKS = 100


class _CutOff(BaseException):
    """Ends the job that runs, because its RQ worker is told to end. No job that handles errors may handle this one."""


class GuardedJob(Job):
    """A job that can only be one of the periodic jobs. Its data is JSON, whatever serializer RQ asks for."""

    function_runs: ClassVar[bool] = False
    """Whether the function of a job runs in this process."""

    def __init__(self, id: str | None = None, connection: Redis | None = None, serializer: Any = None) -> None:  # noqa: A002, ARG002
        super().__init__(id, connection=connection, serializer=JSONSerializer)

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> GuardedJob:  # noqa: A002, ARG003
        """Return the job `id`; raises `NoSuchJobError` if there is none, or if it is refused."""
        try:
            job = cls(id.partition(":")[0], connection)
        except ValueError as error:
            log.warning("job_refused", job=brief(id), reason=str(error))
            raise NoSuchJobError(str(error)) from error
        job.refresh()
        return job

    @classmethod
    def fetch_many(cls, job_ids: Iterable[str], connection: Redis, serializer: Any = None) -> list[Job | None]:
        """Return the jobs of these ids; `None` for each that does not exist, or is refused."""
        found: list[Job | None] = []
        for id_ in job_ids:
            try:
                found.append(cls.fetch(id_, connection, serializer))
            except NoSuchJobError:
                found.append(None)
        return found

    def refresh(self) -> None:
        """Read the job's fields anew; raises `NoSuchJobError` if there is no such job, or if it is refused."""
        try:
            super().refresh()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            raise self.refuse(str(error)) from error

    def restore(self, raw_data: Any) -> None:
        """Take over the fields that stand in Redis; raises `NoSuchJobError` if the job is refused."""
        try:
            super().restore(checked_fields(raw_data))
        except (Malformed, ValueError) as error:
            raise self.refuse(str(error)) from error

    def refuse(self, reason: str) -> NoSuchJobError:
        """Delete this job, log and count that it is not run, and return the error that says so to RQ.

        Two workers may read a job at once: the one whose deletion finds it counts it.
        """
        if self.connection.delete(self.key):
            self.connection.incr(REFUSED_JOBS)
            log.warning("job_refused", job=self.id, reason=reason)
        return NoSuchJobError(reason)

    def _execute(self) -> Any:
        """Run the function. If it is cut off, its report says so: it does no harm, and the job is due again soon."""
        try:
            GuardedJob.function_runs = True
            return super()._execute()
        except _CutOff:
            return {"skipped": "its RQ worker was told to end"}
        finally:
            GuardedJob.function_runs = False

    @property
    def func(self) -> Callable[[str], Any]:
        """The function to run. It is not imported by its name."""
        return PERIODIC_JOBS[cast("str", self.func_name)]


class GuardedQueue(Queue):
    """The queue of a node: its jobs are `GuardedJob`s, and at most one of each kind waits in it."""

    job_class = GuardedJob

    def __init__(self, name: str, connection: Redis | None = None, **options: Any) -> None:
        super().__init__(name, connection, **(options | {"job_class": GuardedJob, "serializer": JSONSerializer}))

    @classmethod
    def lpop(cls, queue_keys: Any, timeout: int | None, connection: Redis | None = None) -> Any:
        """Take the next entry of the queues, as RQ does. Bytes that are no text become a text that is no job's id."""
        return _as_text(super().lpop(queue_keys, timeout, connection))

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        """Take the next entry of one queue, as RQ does. Bytes that are no text become a text that is no job's id."""
        return _as_text(super().lmove(connection, queue_key, timeout))

    def enqueue(self, f: Any, *args: Any, **options: Any) -> Job:
        """Queue a job that calls `f`, a function or its name, unless one waits already; return the job that waits then.

        So the queue stays short while no RQ worker lives. Entries of jobs that have expired meanwhile are removed.
        """
        name = f if isinstance(f, str) else f"{f.__module__}.{f.__name__}"
        return self._waiting(name) or super().enqueue(f, *args, **options)

    def _waiting(self, name: str) -> Job | None:
        """Return a waiting job that calls the function `name`, if there is one among the first of the queue."""
        while True:
            entries = cast("list[bytes]", self.connection.lrange(self.key, 0, _LOOKS - 1))
            ids = [entry.decode("utf-8", "backslashreplace") for entry in entries]
            jobs = GuardedJob.fetch_many(ids, self.connection)
            gone = [entry for entry, job in zip(entries, jobs, strict=True) if job is None]
            with self.connection.pipeline() as pipeline:
                for entry in gone:
                    pipeline.lrem(self.key, 1, cast("str", entry))
                pipeline.execute()
            found = next((job for job in jobs if job is not None and job.func_name == name), None)
            if found is not None:
                found.enqueued_at = found.enqueued_at or found.created_at  # RQ's scheduler needs one.
            if found is not None or not gone:
                return found


def _as_text(popped: Any) -> Any:
    """Return a queue's key and entry with the entry as a text."""
    if popped is None:
        return None
    key, entry = popped
    return key, entry.decode("utf-8", "backslashreplace")


class GuardedWorker(SimpleWorker):
    """An RQ worker that runs nothing but the periodic jobs of the queue that it took them from."""

    def __init__(self, queues: Any, name: str | None = None, **options: Any) -> None:
        guards = {"job_class": GuardedJob, "queue_class": GuardedQueue, "serializer": JSONSerializer}
        super().__init__(queues, name, **(options | guards))

    def work(self, *args: Any, **options: Any) -> bool:
        """Work off the queues, without the scheduler of postponed jobs: there are none."""
        return super().work(*args, **(options | {"with_scheduler": False}))

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the job, or refuse it if it is a job of another queue."""
        if job.origin != queue.name:
            cast("GuardedJob", job).refuse(f"is a job of the queue {brief(job.origin)}, and stood in {queue.name}")
            return
        super().execute_job(job, queue)

    def _shutdown(self) -> None:
        """End, on a signal: cut the job off that runs, or stop waiting for one.

        RQ waits for the end of the job, but a job may wait for an answer for longer than whoever ends the fleet does.
        """
        self._stop_requested = True
        if GuardedJob.function_runs:
            raise _CutOff
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested

    def subscribe(self) -> None:
        """Listen to no channel: whoever can publish could end the worker or its job."""

    def clean_registries(self) -> None:
        """Clean up RQ's registries. If something there cannot be read, log that, and go on to work."""
        try:
            super().clean_registries()  # type: ignore[no-untyped-call]
        except (ResponseError, ValueError) as error:
            log.warning("registries_unreadable", reason=str(error))
            self.last_cleaned_at = now()  # type: ignore[assignment]

    def clean_group_registries(self) -> None:
        """Look after no groups: no job belongs to one."""
