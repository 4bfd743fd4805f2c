"""Every Redis key of Deltaic, documented once. Values are JSON unless said otherwise.

All of a node's keys share the hash tag `{node}`, so a node fits one slot of Redis Cluster.

    deltaic:{n1}                hash    the replica's header: format, replica (its id), clock, stable, digest (16 hex
                                        digits), hlc, turn (commits of any kind), owner (fencing token, plain), run_id
                                        (of the Redis process that took the last commit, plain: another one may have
                                        lost commits), founders (the fleet's nodes when it was made), joining (1: its
                                        state is not complete), former (an id whose unsent writes are to be replayed),
                                        restored (1: it comes out of a backup), restoring (1: it is being written),
                                        round (last gossip round), compacted_ms, waiting (markers, and who holds them
                                        back), absent (ms per member that is away)
    deltaic:{n1}:state          hash    the catalogue, a field per key: see `crdt_core.codec.records`
    deltaic:{n1}:obj:<key>      hash    one collection, a field per part
    deltaic:{n1}:rival:<type>:<key>     the same for an object of another type under the same key
    deltaic:{n1}:log            stream  the deltas of replica n1; entry `<counter>-0`, field `d`
    deltaic:{n1}:log.2          stream  those of replica n1.2, which the node is after a loss: a new log per id
    deltaic:{n1}:inbox          stream  messages to the node, field `m`; read by the consumer group `worker`
    deltaic:{n1}:links          hash    per peer `open` or `paused` (plain): whom the node listens to; absent is open
    deltaic:{n1}:quarantine     stream  what could not be understood: source, entry, reason, content (raw)
    deltaic:{n1}:answer:<id>    list    the answer a job waits for; expires
    deltaic:{n1}:alive          string  the owner's token, as long as its worker gives signs of life; expires, by the
                                        clock of this Redis
    deltaic:{n1}:met            hash    per peer, the run id of its Redis when this life of the worker first read there
    deltaic:{n1}:lock:<job>     string  a job that is under way; expires
    deltaic:fleet               hash    per node of this Redis its worker's sign of life (`replication.heartbeat`)
    rq:queue:deltaic-<node>     list    the node's periodic jobs; RQ's own keys, JSON inside
    deltaic:audit               hash    per node of this Redis: what the last convergence audit found
"""

from __future__ import annotations

from dataclasses import dataclass

from crdt_core.types.members import MEMBERS_KEY

__all__ = [
    "AUDIT",
    "DELTA_FIELD",
    "FLEET",
    "GROUP",
    "MESSAGE_FIELD",
    "OPEN",
    "PAUSED",
    "Keys",
    "queue_name",
]

FLEET = "deltaic:fleet"
AUDIT = "deltaic:audit"
GROUP = "worker"
DELTA_FIELD = b"d"
MESSAGE_FIELD = b"m"
OPEN = "open"
PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one node, which takes part as `replica` (by default under its own name)."""

    node: str
    replica: str = ""

    @property
    def header(self) -> str:
        return f"deltaic:{{{self.node}}}"

    @property
    def state(self) -> str:
        return self.header + ":state"

    @property
    def log(self) -> str:
        return self.header + ":log" + self.replica.removeprefix(self.node)

    @property
    def alive(self) -> str:
        return self.header + ":alive"

    @property
    def met(self) -> str:
        return self.header + ":met"

    @property
    def members(self) -> bytes:
        """What the replica knows of the fleet: see `crdt_core.types.members`."""
        return self.record(b"obj:" + MEMBERS_KEY)

    @property
    def inbox(self) -> str:
        return self.header + ":inbox"

    @property
    def links(self) -> str:
        return self.header + ":links"

    @property
    def quarantine(self) -> str:
        return self.header + ":quarantine"

    def record(self, hash_: bytes) -> bytes:
        """The key of a record's hash (see `crdt_core.codec.records`)."""
        return self.header.encode() + b":" + hash_

    def answer(self, name: str) -> str:
        """The key at which a job waits for the answer `name`."""
        return f"{self.header}:answer:{name}"

    def lock(self, job: str) -> str:
        """The key that says that `job` is under way."""
        return f"{self.header}:lock:{job}"


def queue_name(node: str) -> str:
    """The RQ queue of `node`'s jobs."""
    return f"deltaic-{node}"
