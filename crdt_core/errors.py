"""The one error tree, and whose fault each error is.

    DeltaicError
    |-- CallerError                 the caller's fault: nothing was changed, repeating it as it is fails again
    |   |-- InvalidArgument         an empty id, a negative amount, bytes that are no text
    |   |   |-- TooLarge            longer than a limit that is a setting
    |   |   `-- TooMany             more than a limit that is a setting
    |   |-- WrongType               the key holds an object of another type
    |   |-- CounterOverflow         the value would leave the 64-bit signed range
    |   |-- Unauthenticated         the password is missing or wrong
    |   |-- UnknownNode             no node of that name in the fleet
    |   `-- SettingsError           a fleet file or environment variable that cannot be used
    |-- PeerError                   the peer's fault (or that of the line): the message is set aside, the node goes on
    |   |-- Malformed               bytes that are no delta, patch, state or message
    |   |-- ClaimRefused            a patch that claims commits of this very replica that it has not made
    |   `-- PatchTooNew             a patch for someone who knew more than this replica does
    |-- WorldError                  the world's fault: worth another try
    |   |-- StoreUnavailable        Redis is away or refuses; it says whether a write may still take effect
    |   |-- Overloaded              too many calls wait already: nothing was changed
    |   |-- AlreadyRunning          another live process owns the replica
    |   `-- Stopping                the worker is shutting down
    |-- CorruptState                what Redis holds of the replica makes no sense: the worker stops, nothing is changed
    |-- Fenced                      another process has taken this replica over: this one must end, and not come back
    |-- Retired                     the fleet goes on without this replica id: the node has to come back under another
    |-- NotAMember                  the fleet does not know this node, or has removed it
    |-- HalfRestored                a restore into this node's Redis was not finished
    |-- DigestMismatch              two replicas with equal clocks differ: an alarm
    `-- InvariantBroken             a dot spent twice, a clock that ran backwards: never caught, the worker stops

Every class says what a face needs: `grpc_code` (the name of a gRPC status code), `resp_line` (the error line of the
Redis protocol) and `exit_code` (of the command line).
"""

from __future__ import annotations

import reprlib
from typing import ClassVar

__all__ = [
    "WRONG_TYPE_LINE",
    "AlreadyRunning",
    "CallerError",
    "ClaimRefused",
    "CorruptState",
    "CounterOverflow",
    "DeltaicError",
    "DigestMismatch",
    "Fenced",
    "HalfRestored",
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


def brief(value: object) -> str:
    """`value` for an error's sentence: short, however long or deeply nested it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python spells out
        return f"this {type(value).__name__}"


class DeltaicError(Exception):
    """Base of all errors raised on purpose. `str()` is one line fit for a person."""

    grpc_code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1

    @property
    def resp_line(self) -> str:
        """The error line of the Redis protocol. Clients act on its first word."""
        return f"ERR {self}"


class CallerError(DeltaicError):
    """The caller's fault; nothing was changed."""

    grpc_code = "INVALID_ARGUMENT"
    exit_code = 2


class InvalidArgument(CallerError):
    """`field` had a `value` that no object accepts."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TooLarge(InvalidArgument):
    """`size` is over `limit`, both in bytes; `setting` names the limit."""

    def __init__(self, field: str, size: int, limit: int, setting: str) -> None:
        super().__init__(field, f"{size} bytes, over the limit of {limit} (setting {setting})")
        self.size = size
        self.limit = limit
        self.setting = setting


class TooMany(InvalidArgument):
    """There would be `count` of `what`, over `limit`; `setting` names the limit."""

    grpc_code = "RESOURCE_EXHAUSTED"

    def __init__(self, field: str, count: int, limit: int, what: str, setting: str) -> None:
        super().__init__(field, f"{count} {what}, over the limit of {limit} (setting {setting})")
        self.count = count
        self.limit = limit
        self.setting = setting


class WrongType(CallerError):
    """`key` holds an object of type `held`; the operation is for `wanted`."""

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
    """The call did not show the password."""

    grpc_code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("the password is missing or wrong (setting security.password)")


class UnknownNode(CallerError):
    """The fleet has no node `name`."""

    grpc_code = "NOT_FOUND"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"unknown node {brief(name)}; this fleet has {', '.join(known)}")
        self.name = name
        self.known = known


class SettingsError(CallerError):
    """A setting that is unknown or has a value that cannot be used."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"setting {setting}: {reason}")
        self.setting = setting
        self.reason = reason


class PeerError(DeltaicError):
    """The peer's fault, or that of the line between; the message is set aside and the node goes on."""

    grpc_code = "INVALID_ARGUMENT"


class Malformed(PeerError):
    """Bytes that are no valid `what`."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"malformed {what}: {reason}")
        self.what = what
        self.reason = reason


class ClaimRefused(PeerError):
    """A patch claims `claimed` commits of `replica`, which itself has made `made`.

    To believe it would spend the dots between twice. It is forged, or the replica's own store has lost them: that is
    found out from what peers have published, not from a message that anybody can send.
    """

    def __init__(self, replica: str, claimed: int, made: int) -> None:
        super().__init__(f"it claims {replica}:{claimed}, which {replica} has not made: it is at {made} itself")
        self.replica = replica
        self.claimed = claimed
        self.made = made


class PatchTooNew(PeerError):
    """A patch made for a replica that knew more than this one: joining it could hide what lies between."""

    grpc_code = "FAILED_PRECONDITION"

    def __init__(self, missing: dict[str, int]) -> None:
        super().__init__(
            f"the patch builds on deltas that are not here yet, up to {brief(missing)}: ask for one since this clock"
        )
        self.missing = missing


class WorldError(DeltaicError):
    """The world's fault; the same call may succeed later."""

    grpc_code = "UNAVAILABLE"
    exit_code = 3


class StoreUnavailable(WorldError):
    """Redis is away or refuses. A write that fails so may still take effect, unless it is known to be `unchanged`."""

    def __init__(self, reason: str, *, unchanged: bool = False) -> None:
        super().__init__(reason)
        self.unchanged = unchanged


class Overloaded(WorldError):
    """`limit` calls wait for their turn already; `setting` names the limit. Nothing was changed."""

    def __init__(self, limit: int, setting: str) -> None:
        super().__init__(f"{limit} calls wait already (setting {setting}); nothing was changed, try again later")
        self.limit = limit
        self.setting = setting


class AlreadyRunning(WorldError):
    """Another live process owns replica `replica`."""

    exit_code = 4

    def __init__(self, replica: str, owner: str) -> None:
        super().__init__(f"replica {replica} is already run by {owner}; stop that process first, or pass --takeover")
        self.replica = replica
        self.owner = owner


class Stopping(WorldError):
    """The worker is shutting down and takes no more work."""


class CorruptState(DeltaicError):
    """What stands at `where` (a Redis key, and a field of it) is no state of a replica; a person must look at it."""

    exit_code = 7

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where} cannot be read: {reason}; nothing was changed there")
        self.where = where
        self.reason = reason


class Fenced(DeltaicError):
    """Another process has taken replica `replica` over."""

    grpc_code = "UNAVAILABLE"
    exit_code = 5

    def __init__(self, replica: str) -> None:
        super().__init__(f"replica {replica} was taken over by another process; this one stops")
        self.replica = replica


class Retired(DeltaicError):
    """The fleet has written down that replica id `replica` leaves, for `reason`; it must not write any more."""

    grpc_code = "UNAVAILABLE"
    exit_code = 5

    def __init__(self, replica: str, reason: str) -> None:
        super().__init__(f"replica {replica} has left the fleet ({reason})")
        self.replica = replica
        self.reason = reason


class NotAMember(DeltaicError):
    """Node `node` does not take part, because of `reason`; `remedy` is the command that changes that."""

    grpc_code = "FAILED_PRECONDITION"
    exit_code = 8

    def __init__(self, node: str, reason: str, remedy: str) -> None:
        super().__init__(f"{node} cannot run: {reason}; `{remedy}` makes it a member")
        self.node = node
        self.reason = reason
        self.remedy = remedy


class HalfRestored(DeltaicError):
    """What the Redis of `node` holds is the beginning of a backup, and no replica."""

    grpc_code = "FAILED_PRECONDITION"
    exit_code = 7

    def __init__(self, node: str) -> None:
        super().__init__(f"{node} cannot run: a restore into its Redis was not finished; run `deltaic restore` again")
        self.node = node


class DigestMismatch(DeltaicError):
    """Replicas `peers` have seen exactly what `node` has, but hold another state."""

    exit_code = 6

    def __init__(self, node: str, peers: list[str]) -> None:
        super().__init__(f"{node} and {', '.join(peers)} have equal clocks and different digests")
        self.node = node
        self.peers = peers


class InvariantBroken(DeltaicError):
    """What must hold does not. Never caught: the worker stops rather than spread it."""

    exit_code = 6
