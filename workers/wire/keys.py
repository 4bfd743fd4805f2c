"""Names every Redis key of Deltaic and documents its content. Values are JSON unless the table says otherwise.

All keys of a node share the hash tag `{node}`, so a node fits into one slot of Redis Cluster.

    deltaic:{n1}                hash    the replica's header; its fields:
                                          format, replica (the replica id, plain), clock, stable (the stable frontier),
                                          digest (16 hex digits), hlc, seal, turn (number of the last commit)
                                          owner     the fencing token of the process that owns the replica (plain)
                                          run_id    of the Redis process that took the last commit (plain); another
                                                    process may have lost commits
                                          founders  the fleet's nodes when the replica was created
                                          joining   1: its state is not complete yet
                                          former    a former replica id whose unsent writes are to be replayed (plain)
                                          replayed  counter up to which they are replayed; absent: none is (plain)
                                          renamed   the name under which this machine goes on (plain): another machine
                                                    keeps this one, see `crdt_core.membership.namesakes`
                                          restored  1: the state comes from a backup image
                                          restoring 1: a restore is writing it, or was interrupted
                                          staged    1: a commit is in the list `staged`, and not applied yet
                                          damaged   how the state differs from what was confirmed (plain); such a state
                                                    is never served
                                          unweighed 1: an operator has accepted the state as it is; the next commit
                                                    weighs it anew
                                          round     report of the last gossip round
                                          compacted_ms, waiting (tombstones, and the members that hold them back),
                                          absent (milliseconds per member that is away): of the last compaction
                                          upgraded  the ids of the peers that can read all that this version writes
    deltaic:{n1}:state          hash    the catalogue, a field per key: see `crdt_core.codec.records`
    deltaic:{n1}:obj:<key>      hash    one collection, a field per part
    deltaic:{n1}:rival:<type>:<key>     the same for an object in a type conflict: another type under the same key
    deltaic:{n1}:staged         list    the commands of a large commit, in pieces: see `workers.storage.staging`
    deltaic:{n1}:log            stream  the deltas of replica n1; entry `<counter>-0`, field `d`
    deltaic:{n1}:log.2          stream  the deltas of replica n1.2, the node's next incarnation: a new log for each id
    deltaic:{n6}:log-4f2a91     stream  the deltas of replica n6-4f2a91, of a node that was added
    deltaic:{n1}:inbox          stream  messages to the node, field `m`; read by the consumer group `worker`
    deltaic:{n1}:links          hash    per peer `open` or `paused` (plain): whether the node reads from that peer; a
                                        peer without a field is open
    deltaic:{n1}:quarantine     stream  entries that could not be understood, or values that could not be kept: source,
                                        entry, reason, content (raw)
    deltaic:{n1}:answer:<id>    list    the answer that a job waits for; expires
    deltaic:{n1}:alive          string  the owner's fencing token while its worker runs; expires, by the clock of this
                                        Redis
    deltaic:{n1}:met            hash    per node, the run id of its Redis when this worker began to read what it sends;
                                        `:starting` until it reads from peers: its token, the run id of this Redis
    deltaic:{n1}:added          set     the replica ids under which `deltaic node add` has added this machine (plain)
    deltaic:{n1}:probe          string  never exists: the worker writes nothing to it, to find out whether Redis takes
                                        writes
    deltaic:{n1}:lock:<job>     string  the lock of a job that runs; expires
    deltaic:{n1}:published      channel what clients publish at the node; its peers SUBSCRIBE to it. Raw:
                                        `<bytes of the channel's name>:<name><message>`
    deltaic:fleet               hash    per node of this Redis the heartbeat of its worker:
                                        see `workers.replication.heartbeat`
    rq:queue:deltaic-<node>     list    the node's periodic jobs; RQ's own keys, JSON inside
    deltaic:audit               hash    per node of this Redis the report of its last convergence audit
    deltaic:refused_jobs        string  how many jobs the RQ workers have refused (plain): see `workers.jobs.allowed`
"""

from __future__ import annotations

from dataclasses import dataclass

from crdt_core.types.members import MEMBERS_KEY

__all__ = [
    "AUDIT",
    "CONSUMER",
    "DELTA_FIELD",
    "FLEET",
    "GROUP",
    "MESSAGE_FIELD",
    "OPEN",
    "PAUSED",
    "REFUSED_JOBS",
    "Keys",
    "queue_name",
]

FLEET = "deltaic:fleet"
AUDIT = "deltaic:audit"
REFUSED_JOBS = "deltaic:refused_jobs"
GROUP = "worker"
CONSUMER = "replica"
"""The only consumer in `GROUP`: a worker that starts continues the deliveries of the one before it."""
DELTA_FIELD = b"d"
MESSAGE_FIELD = b"m"
OPEN = "open"
PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of node `node` while its replica id is `replica`; by default that is the node's name."""

    node: str
    replica: str = ""

    @property
    def header(self) -> str:
        return f"deltaic:{{{self.node}}}"

    @property
    def state(self) -> str:
        return self.header + ":state"

    @property
    def staged(self) -> str:
        return self.header + ":staged"

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
    def published(self) -> str:
        return self.header + ":published"

    @property
    def added(self) -> str:
        return self.header + ":added"

    @property
    def probe(self) -> str:
        return self.header + ":probe"

    @property
    def members(self) -> bytes:
        """The key of the collection that says who belongs to the fleet: see `crdt_core.types.members`."""
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
        """Return the key of a hash that `crdt_core.codec.records` names."""
        return self.header.encode() + b":" + hash_

    def answer(self, name: str) -> str:
        """Return the key of the list in which a job waits for the answer `name`."""
        return f"{self.header}:answer:{name}"

    def lock(self, job: str) -> str:
        """Return the key of the lock that keeps `job` from running twice at once."""
        return f"{self.header}:lock:{job}"


def queue_name(node: str) -> str:
    """Return the name of the RQ queue of `node`'s jobs."""
    return f"deltaic-{node}"
