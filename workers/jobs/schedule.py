"""The schedule of the periodic jobs, for `rq cron workers.jobs.schedule`: a queue per node, intervals from the fleet
file.

RQ 2.12 schedules with its pickle serializer only: its scheduler names the class `Queue` and gives it no serializer. So
that nothing here is ever pickled, the name is bound to a queue that serializes to JSON.
"""

from __future__ import annotations

import functools
import os

import rq.cron
from rq import Queue
from rq.serializers import JSONSerializer

from workers.config.loading import CRON_NODES_VARIABLE, load_settings
from workers.jobs import maintenance as jobs
from workers.wire.keys import queue_name

__all__: list[str] = []

RESULT_TTL_S = 600
JOB_TIMEOUT_S = 30

rq.cron.Queue = functools.partial(Queue, serializer=JSONSerializer)  # type: ignore[assignment, attr-defined]


def schedule() -> None:
    """Registers the jobs of the nodes named in the environment, or of all."""
    settings = load_settings()
    named = os.environ.get(CRON_NODES_VARIABLE)
    intervals = (
        (jobs.gossip_round, settings.gossip.interval_s),
        (jobs.compact, settings.jobs.compaction_interval_s),
        (jobs.audit, settings.jobs.audit_interval_s),
    )
    for node in named.split(",") if named else settings.nodes:
        settings.node(node)
        for job, interval_s in intervals:
            rq.cron.register(
                job,
                queue_name=queue_name(node),
                args=(node,),
                interval=interval_s,
                job_timeout=JOB_TIMEOUT_S,
                result_ttl=RESULT_TTL_S,
                ttl=interval_s,
                failure_ttl=RESULT_TTL_S,
                name=f"{job.__name__} {node}",
            )


schedule()
