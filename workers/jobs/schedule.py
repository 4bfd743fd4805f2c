"""The schedule of the periodic jobs: `rq cron workers.jobs.schedule` imports this module.

Each node has a queue of its own; the intervals come from the fleet file. RQ's scheduler creates its queues without a
serializer, and would pickle the jobs. This module replaces the class that the scheduler uses by `GuardedQueue`, which
writes JSON and holds at most one waiting job of each kind.
"""

from __future__ import annotations

import os

import rq.cron

from workers.config.loading import CRON_NODES_VARIABLE, load_settings
from workers.jobs import audit, compact, gossip_round
from workers.jobs.fleet_access import job_timeout_s
from workers.jobs.guarded import GuardedQueue
from workers.wire.keys import queue_name

__all__: list[str] = []

RESULT_TTL_S = 600

rq.cron.Queue = GuardedQueue  # type: ignore[assignment, attr-defined]


def schedule() -> None:
    """Register the jobs of the nodes that the environment names, or of all nodes."""
    settings = load_settings()
    named = os.environ.get(CRON_NODES_VARIABLE)
    intervals = (
        (gossip_round, settings.gossip.interval_s),
        (compact, settings.jobs.compaction_interval_s),
        (audit, settings.jobs.audit_interval_s),
    )
    for node in named.split(",") if named else settings.nodes:
        settings.node(node)
        for job, interval_s in intervals:
            rq.cron.register(
                job,
                queue_name=queue_name(node),
                args=(node,),
                interval=interval_s,
                job_timeout=job_timeout_s(settings),
                result_ttl=RESULT_TTL_S,
                ttl=interval_s,
                failure_ttl=RESULT_TTL_S,
                name=f"{job.__name__} {node}",
            )


schedule()
