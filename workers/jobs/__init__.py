"""The periodic jobs, run by RQ's own workers.

RQ stores the names of these functions in its queues, so `workers.jobs.gossip_round` and the others keep their names.
"""

from workers.jobs.maintenance import audit, compact, gossip_round

__all__ = ["audit", "compact", "gossip_round"]
