"""The periodic jobs that RQ's workers run, under the names that RQ keeps in Redis.

RQ stores the name of a job's function in its queue, and takes it from the function's module. The functions live in
`workers.jobs.maintenance`, but their public name is `workers.jobs.gossip_round` and its like, as in version 0.1.0. So
job workers and schedulers of both versions understand each other's queues while a fleet is restarted node by node.
"""

from workers.jobs.maintenance import audit, compact, gossip_round

__all__ = ["audit", "compact", "gossip_round"]

for _job in (audit, compact, gossip_round):
    _job.__module__ = __name__
