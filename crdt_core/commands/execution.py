"""Running commands: all of a batch or of a MULTI as one operation, or a single read outside of turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.commands.carrying import run_carrying, steps_carrying
from crdt_core.commands.policies import CommandOptions
from crdt_core.commands.replies import ErrorReply
from crdt_core.commands.session import Session
from crdt_core.commands.slicing import parts_changed
from crdt_core.errors import CallerError
from crdt_core.replica.sliceable import Sliceable

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.command import Command
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Keyspace
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Execute", "read"]

_DEFAULTS = CommandOptions()


@dataclass(slots=True, eq=False)
class Execute(Sliceable):
    """An operation: runs commands in their order, as one commit. Yields their replies, refusals included.

    A command that is refused changes nothing and does not stop the others. `wall_ms` is the time of day, `seed` what
    random choices come from, `options` what the settings say. `counter`: once it has run, the counter of the commit
    that holds what it has written, if it has written anything.
    """

    commands: list[tuple[Command[Session], list[bytes]]]
    wall_ms: int
    seed: int
    options: CommandOptions = _DEFAULTS
    counter: int = 0

    def run(self, replica: Replica, now: Stamp) -> list[Reply]:
        """The replies, one per command."""
        self.counter = replica.clock[replica.id] + 1
        session = Session(replica, self.wall_ms, self.seed, self.options)
        session.replica, session.now = replica, now
        replies: list[Reply] = []
        expiring = replica.catalogue.expiring
        for command, args in self.commands:
            try:
                if expiring.size and command.writes:
                    replies.append(run_carrying(session, command, args))
                else:
                    replies.append(command.run(session, args))
            except CallerError as error:
                replies.append(ErrorReply(error.resp_line))
        return replies

    def is_large(self, replica: Replica, parts_max: int) -> bool:
        """Return whether the commands may change more than `parts_max` parts beyond those that they name."""
        commands, wall_ms = self.commands, self.wall_ms
        if replica.catalogue.expiring.size:
            parts = sum(parts_changed(replica, command, args, wall_ms) for command, args in commands)
        else:
            parts = 0
            for command, args in commands:
                if command.sliced is not None:
                    parts += command.sliced.parts(replica, args, wall_ms)
        return parts > parts_max

    def steps(self, replica: Replica, now: Stamp) -> Generator[None, None, list[Reply]]:
        """Do the same as `run`, and yield after each part of a large command and after each other command."""
        self.counter = replica.clock[replica.id] + 1
        session = Session.in_turn(replica, now, self.wall_ms, self.seed, self.options)
        replies: list[Reply] = []
        for command, args in self.commands:
            try:
                replies.append((yield from steps_carrying(session, command, args)))
            except CallerError as error:
                replies.append(ErrorReply(error.resp_line))
            yield
        return replies


def read(
    state: Keyspace,
    command: Command[Session],
    args: list[bytes],
    wall_ms: int,
    seed: int,
    *,
    options: CommandOptions = _DEFAULTS,
) -> Reply:
    """Return the reply to a command that only reads."""
    try:
        reply: Reply = command.run(Session(state, wall_ms, seed, options), args)
    except CallerError as error:
        return ErrorReply(error.resp_line)
    return reply
