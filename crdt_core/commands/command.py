"""What a Redis command is here, and how it is run: pure, like the rest of the core.

A command is a function of a session and its arguments. `Execute` runs one command, or all of a MULTI, as one operation:
hence one commit, and atomic at every replica. A command that only reads can also be answered outside of turns (`read`).

Not known here: connections. What needs one (HELLO, MULTI, WATCH, SUBSCRIBE, ...) is the server's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crdt_core.commands.policies import CommandOptions
from crdt_core.commands.replies import ErrorReply
from crdt_core.commands.session import Session
from crdt_core.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Keyspace
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Command", "Execute", "read"]

_DEFAULTS = CommandOptions()


class Command(NamedTuple):
    """One command.

    `name` is in upper case. `arity`, as in Redis, counts the name: 2 is exactly two, -2 at least two. `write`: it
    needs a turn. `keys`: the first key, the last (-1: to the end) and the step between, as COMMAND tells them. `run`
    takes the arguments without the name; raises a `CallerError`.
    """

    name: bytes
    arity: int
    write: bool
    keys: tuple[int, int, int]
    run: Callable[[Session, list[bytes]], Reply]


class Execute:
    """Runs commands, in their order, as one unit: an operation. Yields their replies, refusals included.

    `wall_ms` is the time of day, `seed` what random choices come from, `options` what the settings say.
    """

    __slots__ = ("commands", "options", "seed", "wall_ms")

    def __init__(
        self,
        commands: list[tuple[Command, list[bytes]]],
        wall_ms: int,
        seed: int,
        options: CommandOptions = _DEFAULTS,
    ) -> None:
        self.commands = commands
        self.wall_ms = wall_ms
        self.seed = seed
        self.options = options

    def run(self, replica: Replica, now: Stamp) -> list[Reply]:
        """The replies, one per command."""
        session = Session(replica, self.wall_ms, self.seed, self.options)
        session.replica, session.now = replica, now
        replies: list[Reply] = []
        for command, args in self.commands:
            try:
                replies.append(command.run(session, args))
            except CallerError as error:
                replies.append(ErrorReply(error.resp_line))
        return replies


def read(
    state: Keyspace,
    command: Command,
    args: list[bytes],
    wall_ms: int,
    seed: int,
    *,
    options: CommandOptions = _DEFAULTS,
) -> Reply:
    """The reply to a command that only reads."""
    try:
        return command.run(Session(state, wall_ms, seed, options), args)
    except CallerError as error:
        return ErrorReply(error.resp_line)
