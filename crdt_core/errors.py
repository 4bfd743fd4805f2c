"""The error tree. Every error that Deltaic raises on purpose is here, grouped by who caused it.

    DeltaicError
    |-- CallerError                 caused by the caller: nothing was changed, the same call fails again
    |   |-- InvalidArgument         an argument that no object accepts: an empty id, a negative amount, ...
    |   |   |-- TooLarge            more bytes than a setting allows
    |   |   `-- TooMany             more items than a setting allows
    |   |-- WrongType               the key holds an object of another type
    |   |-- CounterOverflow         the value would leave the 64-bit signed range
    |   |-- Unauthenticated         the password is missing or wrong
    |   |-- UnknownNode             the fleet has no node of that name
    |   `-- SettingsError           an unknown setting, or a setting with an unusable value
    |-- PeerError                   caused by a peer or the network: the message is quarantined, the node goes on
    |   |-- Malformed               the bytes are not a valid delta, patch, state or message
    |   |-- ImpossibleClock         the patch covers commits of this replica that this replica never made
    |   `-- PatchTooNew             the patch builds on commits that this replica has not seen yet
    |-- WorldError                  caused by the environment: the same call may succeed later
    |   |-- StoreUnavailable        Redis does not answer, or refuses a command
    |   |-- Overloaded              too many calls are waiting already: nothing was changed
    |   |-- EvictingRedis           Redis may delete keys of the replica by itself
    |   |-- AlreadyRunning          another live process owns the replica
    |   `-- Stopping                the worker is shutting down
    |-- CorruptState                what Redis holds for this replica cannot be read: the worker stops, changes nothing
    |-- DamagedState                what Redis holds for this replica is not what it had confirmed
    |-- Fenced                      another process has taken over this replica: this process ends for good
    |-- Retired                     this replica id has left the fleet: the node has to come back under a new id
    |-- NotAMember                  the fleet does not know this node, or has removed it
    |-- HalfRestored                a restore into this node's Redis was interrupted
    |-- DigestMismatch              two replicas with equal clocks hold different states: an alarm
    `-- InvariantBroken             a dot used twice, a clock that went backwards: never caught, the worker stops

Each class carries what a face needs to report it: `grpc_code` is the name of a gRPC status code, `resp_line`
is the error line of the Redis protocol, `exit_code` is the exit code of the `deltaic` command. The instances carry the
facts as fields.
"""

from __future__ import annotations

import reprlib
from typing import ClassVar

__all__ = [
    "MAY_TAKE_EFFECT",
    "NOTHING_CHANGED",
    "SHUTTING_DOWN",
    "WRONG_TYPE_LINE",
    "AlreadyRunning",
    "CallerError",
    "CorruptState",
    "CounterOverflow",
    "DamagedState",
    "DeltaicError",
    "DigestMismatch",
    "EvictingRedis",
    "Fenced",
    "HalfRestored",
    "ImpossibleClock",
    "InvalidArgument",
    "InvariantBroken",
    "Malformed",
    "NotAMember",
    "Overloaded",
    "PatchTooNew",
    "PeerError",
    "Retired",
    "SettingsError",
    "Stopping",
    "StoreUnavailable",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "UnknownNode",
    "WorldError",
    "WrongType",
    "brief",
]

WRONG_TYPE_LINE = "WRONGTYPE Operation against a key holding the wrong kind of value"
"""What Redis says to a command that meets a key of another type."""

MAY_TAKE_EFFECT = "it may still take effect"
"""What an error says of a write whose fate the node does not know. Clients look for these words and the next two."""

NOTHING_CHANGED = "nothing was changed"
"""What an error says of a write that certainly has no effect."""

SHUTTING_DOWN = "the worker is shutting down"
"""What a worker says to a call that it does not begin any more."""


def brief(value: object) -> str:
    """Return a short representation of `value` for an error text, however long or deeply nested `value` is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python refuses to print an integer of thousands of digits
        return f"this {type(value).__name__}"


class DeltaicError(Exception):
    """Base class of all errors that are raised on purpose. `str()` gives one line for a person to read."""

    grpc_code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1

    @property
    def resp_line(self) -> str:
        """The error line of the Redis protocol. Clients act on its first word."""
        return f"ERR {self}"


class CallerError(DeltaicError):
    """The caller caused the error. Nothing was changed, and the same call fails again."""

    grpc_code = "INVALID_ARGUMENT"
    exit_code = 2


class InvalidArgument(CallerError):
    """Argument `field` has a value that is not acceptable, because of `reason`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TooLarge(InvalidArgument):
    """Argument `field` has `size` bytes, more than the `limit` that `setting` sets."""

    def __init__(self, field: str, size: int, limit: int, setting: str) -> None:
        super().__init__(field, f"{size} bytes, over the limit of {limit} (setting {setting})")
        self.size = size
        self.limit = limit
        self.setting = setting


class TooMany(InvalidArgument):
    """The call would make `count` of `what`, more than the `limit` that `setting` sets."""

    grpc_code = "RESOURCE_EXHAUSTED"

    def __init__(self, field: str, count: int, limit: int, what: str, setting: str) -> None:
        super().__init__(field, f"{count} {what}, over the limit of {limit} (setting {setting})")
        self.count = count
        self.limit = limit
        self.setting = setting


class WrongType(CallerError):
    """The key holds an object of type `held`; the operation needs one of type `wanted`."""

    grpc_code = "FAILED_PRECONDITION"

    def __init__(self, key: str, held: str, wanted: str, hint: str = "") -> None:
        super().__init__(f"{key!r} is of type {held}, not {wanted}" + (f": {hint}" if hint else ""))
        self.key = key
        self.held = held
        self.wanted = wanted
        self.hint = hint

    @property
    def resp_line(self) -> str:
        """The line that Redis has for it, and the hint."""
        return f"{WRONG_TYPE_LINE}: {self.hint}" if self.hint else WRONG_TYPE_LINE


class CounterOverflow(CallerError):
    """The value of `key` would leave the 64-bit signed range."""

    grpc_code = "OUT_OF_RANGE"

    def __init__(self, key: str) -> None:
        super().__init__(f"counter {key!r} would leave the 64-bit signed range")
        self.key = key


class Unauthenticated(CallerError):
    """The call carries no password, or a wrong one."""

    grpc_code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("the password is missing or wrong (setting security.password)")


class UnknownNode(CallerError):
    """The fleet has no node `name`. `known` lists the nodes that it has."""

    grpc_code = "NOT_FOUND"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"unknown node {brief(name)}; this fleet has {', '.join(known)}")
        self.name = name
        self.known = known


class SettingsError(CallerError):
    """Setting `setting` is unknown, or its value cannot be used because of `reason`."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"setting {setting}: {reason}")
        self.setting = setting
        self.reason = reason


class PeerError(DeltaicError):
    """A peer or the network caused the error. The message is quarantined, and the node goes on."""

    grpc_code = "INVALID_ARGUMENT"


class Malformed(PeerError):
    """The bytes are not a valid `what`, because of `reason`."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"malformed {what}: {reason}")
        self.what = what
        self.reason = reason


class ImpossibleClock(PeerError):
    """A patch covers commit number `covered` of `replica`, but `replica` itself has made only `made` commits.

    Joining the patch would let this replica use the dots in between a second time. Either the patch is forged, or this
    replica's own store has lost commits. What peers have published decides which, never a message that anybody can
    send.
    """

    def __init__(self, replica: str, covered: int, made: int) -> None:
        super().__init__(f"its clock covers {replica}:{covered}, which {replica} has not made: it is at {made}")
        self.replica = replica
        self.covered = covered
        self.made = made


class PatchTooNew(PeerError):
    """The patch builds on commits that this replica has not seen: joining it could hide those commits for ever.

    `missing` gives, per replica id, the counter up to which this replica would need to have seen the commits.
    """

    grpc_code = "FAILED_PRECONDITION"

    def __init__(self, missing: dict[str, int]) -> None:
        super().__init__(
            f"the patch builds on commits up to {brief(missing)} that have not arrived here; ask again with this clock"
        )
        self.missing = missing


class WorldError(DeltaicError):
    """The environment caused the error: the same call may succeed later."""

    grpc_code = "UNAVAILABLE"
    exit_code = 3


class StoreUnavailable(WorldError):
    """Redis does not answer, or refuses the command.

    A write that fails with this error may still take effect, unless `unchanged` says that it certainly will not.
    """

    def __init__(self, reason: str, *, unchanged: bool = False) -> None:
        super().__init__(reason)
        self.unchanged = unchanged


class Overloaded(WorldError):
    """`limit` calls are waiting for their turn already; `setting` sets that limit. Nothing was changed."""

    def __init__(self, limit: int, setting: str) -> None:
        super().__init__(f"{limit} calls wait already (setting {setting}); {NOTHING_CHANGED}, try again later")
        self.limit = limit
        self.setting = setting


class AlreadyRunning(WorldError):
    """The live process `owner` owns replica `replica`. `otherwise`: what may be done but for stopping that process."""

    exit_code = 4

    def __init__(self, replica: str, owner: str, otherwise: str = "") -> None:
        super().__init__(f"replica {replica} is already run by {owner}; stop that process first{otherwise}")
        self.replica = replica
        self.owner = owner


class EvictingRedis(WorldError):
    """The Redis of `node` may evict keys, by its `policy`: it would delete parts of the replica, and tell nobody."""

    def __init__(self, node: str, policy: str) -> None:
        super().__init__(
            f"the Redis of {node} may delete keys of the replica by itself (maxmemory-policy {policy}); "
            "`redis-cli CONFIG SET maxmemory-policy noeviction` prevents that, and set it in its configuration, too"
        )
        self.node = node
        self.policy = policy


class Stopping(WorldError):
    """The worker is shutting down and accepts no more work."""


class CorruptState(DeltaicError):
    """The value at `where` (a Redis key and its field) is not the state of a replica. A person must look at it."""

    exit_code = 7

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where} cannot be read: {reason}; {NOTHING_CHANGED} there")
        self.where = where
        self.reason = reason


class DamagedState(DeltaicError):
    """The Redis of `node` does not hold the state that it had confirmed: `reason` names the difference.

    A node whose peers run comes back with their state. Otherwise it does not run, and a person has to decide.
    """

    grpc_code = "DATA_LOSS"
    exit_code = 7

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(
            f"{node} cannot run: its Redis does not hold the state that it had confirmed: {reason}; restore a backup "
            f"(`deltaic restore FILE --node {node} --force`), or go on without what is lost "
            f"(`deltaic replica {node} --accept-damage`)"
        )
        self.node = node
        self.reason = reason


class Fenced(DeltaicError):
    """Another process has taken over replica `replica`: the fencing token in Redis is no longer this process's."""

    grpc_code = "UNAVAILABLE"
    exit_code = 5

    def __init__(self, replica: str) -> None:
        super().__init__(f"replica {replica} was taken over by another process; this one stops")
        self.replica = replica


class Retired(DeltaicError):
    """The members have recorded that replica id `replica` leaves, for `reason`. The id must never write again."""

    grpc_code = "UNAVAILABLE"
    exit_code = 5

    def __init__(self, replica: str, reason: str) -> None:
        super().__init__(f"replica {replica} has left the fleet ({reason})")
        self.replica = replica
        self.reason = reason


class NotAMember(DeltaicError):
    """Node `node` is not a member, because of `reason`; the command `remedy` makes it one."""

    grpc_code = "FAILED_PRECONDITION"
    exit_code = 8

    def __init__(self, node: str, reason: str, remedy: str) -> None:
        super().__init__(f"{node} cannot run: {reason}; `{remedy}` makes it a member")
        self.node = node
        self.reason = reason


class HalfRestored(DeltaicError):
    """The Redis of `node` holds only the first part of a backup image, not a whole replica."""

    grpc_code = "FAILED_PRECONDITION"
    exit_code = 7

    def __init__(self, node: str) -> None:
        super().__init__(f"{node} cannot run: a restore into its Redis was not finished; run `deltaic restore` again")
        self.node = node


class DigestMismatch(DeltaicError):
    """Replicas `peers` and replica `node` have seen the same commits but hold different states."""

    exit_code = 6

    def __init__(self, node: str, peers: list[str]) -> None:
        super().__init__(f"{node} and {', '.join(peers)} have equal clocks and different digests")
        self.node = node
        self.peers = peers


class InvariantBroken(DeltaicError):
    """Something that must always hold does not hold.

    Nothing catches this error: the worker stops before it spreads the damage.
    """

    exit_code = 6
