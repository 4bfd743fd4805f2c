"""The errors that a user of the client meets.

    DeltaicError
    |-- CallerError                 your call is wrong: nothing was changed, and the same call fails again
    |   |-- InvalidArgument         a bad URL, option, key, value or token
    |   `-- Refused                 the node refused the command: wrong type, overflow, wrong password, over a limit
    `-- WorldError                  your call is right: it may succeed later
        |-- NoNodeAnswers           no node took the call: nothing was changed
        |-- NodesBehind             the nodes that answer lack commits that this session has seen: nothing was changed
        `-- OutcomeUnknown          a write that may or may not have taken effect; the client has not repeated it

`DeltaicError`, `CallerError`, `WorldError` and `InvalidArgument` are those of `crdt_core.errors`, so one `except`
catches the errors of the client and of the types. `str()` of an error is one line for a person; the fields are for
programs. Nodes are named `host:port`; no error shows a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import CallerError, DeltaicError, InvalidArgument, WorldError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CallerError",
    "DeltaicError",
    "InvalidArgument",
    "NoNodeAnswers",
    "NodesBehind",
    "OutcomeUnknown",
    "Refused",
    "WorldError",
]


class Refused(CallerError):
    """`node` refused `command`; `reply` is its error reply. Nothing was changed."""

    def __init__(self, node: str, command: str, reply: str) -> None:
        super().__init__(f"{node} refused {command}: {reply}")
        self.node = node
        self.command = command
        self.reply = reply


class NoNodeAnswers(WorldError):
    """No node took `command`. `reasons` maps each node that was tried to why it did not. Nothing was changed."""

    def __init__(self, command: str, reasons: Mapping[str, str]) -> None:
        super().__init__(f"no node took {command}; {_listed(reasons)}")
        self.command = command
        self.reasons = dict(reasons)


class NodesBehind(WorldError):
    """No node that answers has all commits that the session has seen, so `command` was not sent to any.

    `reasons` maps each node that was tried to what it lacks, or to why it did not answer. The call succeeds once the
    commits have spread. `forget()` lets the session go on without them.
    """

    def __init__(self, command: str, reasons: Mapping[str, str]) -> None:
        super().__init__(f"no node that answers has all that this session has seen, for {command}; {_listed(reasons)}")
        self.command = command
        self.reasons = dict(reasons)


class OutcomeUnknown(WorldError):
    """`node` may or may not have done the write `command`, for `reason`. The client has not repeated it.

    The caller decides: read and look, repeat it where doing it twice does no harm, or report it.
    """

    def __init__(self, node: str, command: str, reason: str) -> None:
        super().__init__(f"{node} may or may not have done {command}: {reason}; it was not repeated")
        self.node = node
        self.command = command
        self.reason = reason


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{node}: {reason}" for node, reason in reasons.items()) or "all have failed just before"
