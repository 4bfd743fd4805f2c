"""RQ's scheduler of periodic jobs, which rests while the fleet has settled: nothing has changed, and all agree.

A job costs the append-only files of its Redis about ten kilobytes, most of them RQ's own notes. So before the scheduler
queues a job whose interval is over, it reads what the members publish. Reading costs those files nothing. A node has
settled if all members run and have published its clock and its digest, and if it has found that everything is stable.
Then each kind of job runs once more, and from then on once in `REST_S`. As soon as anything differs, or a member cannot
be read, the usual intervals hold again.

A member whose Redis is silent holds a pass of the scheduler up for the few seconds that a job would wait for it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from rq.cron import CronScheduler
from rq.utils import now

from workers.config.loading import load_settings
from workers.jobs.fleet_access import FleetAccess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis
    from redis.client import Pipeline
    from rq.cron import CronJob

    from crdt_core.lattice.clocks import VersionVector

__all__ = ["REST_S", "PatientScheduler"]

REST_S = 60
"""How often a job runs while its node has settled."""
_ABSENCE_PARTS = 10
"""The time between two compactions may count as absence. It stays below this part of what a member may be away."""
_NOTES_S = 45.0
"""How often RQ notes that the scheduler lives, and what it has queued. RQ forgets a scheduler after 120 seconds."""


class _Settled(NamedTuple):
    """What a node has published that has settled. `waiting`: the tombstones that its last compaction has left."""

    clock: VersionVector
    digest: bytes
    waiting: bytes | None


class PatientScheduler(CronScheduler):
    """A scheduler of RQ for jobs whose one argument is their node."""

    def __init__(self, connection: Redis, **options: Any) -> None:
        super().__init__(connection, **options)
        self._settings = load_settings()
        self._rest = timedelta(seconds=min(REST_S, self._settings.membership.fence_after_s / _ABSENCE_PARTS))
        self._queued_at: dict[str, _Settled | None] = {}
        self._notes_due_s = 0.0

    def enqueue_jobs(self) -> list[CronJob]:
        """Queue the jobs that are due, and return them. A job that need not run now is due after another interval."""
        began, queued = now(), []
        due = [job for job in self.get_jobs() if job.should_run()]
        settled = self._settled_nodes({job.args[0] for job in due})
        for job in due:
            state = settled[job.args[0]]
            if self._may_rest(job, state):
                job.next_enqueue_time = began + timedelta(seconds=job.interval or 0)
                continue
            job.enqueue(self.connection)
            job.set_enqueue_time(began)
            self._queued_at[job.name] = state
            queued.append(job)
        return queued

    def heartbeat(self) -> None:
        """Note in Redis that this scheduler lives, and what it has queued, unless that was done a moment ago."""
        if monotonic() >= self._notes_due_s:
            self._notes_due_s = monotonic() + _NOTES_S
            super().save()
            super().heartbeat()

    def save(self, pipeline: Pipeline | None = None) -> None:
        """Note its birth, which is what RQ does in a pipeline. Heartbeats note everything else."""
        if pipeline is not None:
            super().save(pipeline)

    def _may_rest(self, job: CronJob, state: _Settled | None) -> bool:
        """Return whether `job` has run since its node came to be as it is in `state`, and not too long ago."""
        if state is None or job.latest_enqueue_time is None or state != self._queued_at.get(job.name):
            return False
        return now() - job.latest_enqueue_time < self._rest

    def _settled_nodes(self, nodes: Iterable[str]) -> dict[str, _Settled | None]:
        """Return what each of `nodes` has published, `None` for a node that has not settled. All are asked at once."""
        fleets = [FleetAccess(self._settings, node) for node in nodes]
        if not fleets:
            return {}
        with ThreadPoolExecutor(max_workers=len(fleets)) as threads:
            return dict(zip([fleet.node for fleet in fleets], threads.map(_settled, fleets), strict=True))


def _settled(fleet: FleetAccess) -> _Settled | None:
    """Return what the node has published if it has settled, else `None`."""
    own = fleet.published(fleet.node)
    if own is None or own.stable != own.clock or not fleet.runs(fleet.node) or fleet.node not in fleet.members():
        return None

    def agrees(peer: str) -> bool:
        state = fleet.published(peer)
        return state is not None and (state.clock, state.digest) == (own.clock, own.digest) and fleet.runs(peer)

    if not all(fleet.of_each(fleet.peers(), agrees).values()):
        return None
    return _Settled(own.clock, own.digest, own.waiting)
