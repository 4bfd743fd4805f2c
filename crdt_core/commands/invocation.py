"""One command with its arguments, as an operation of the node: for callers that want the reply or the error itself.

`Execute` is for connections of the Redis protocol: it runs many commands and replies to a refused one with a line. An
invocation runs one command and raises the error that refuses it, with its fields and codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.carrying import run_carrying, steps_carrying
from crdt_core.commands.policies import CommandOptions
from crdt_core.commands.session import Session
from crdt_core.commands.slicing import parts_changed
from crdt_core.replica.sliceable import Sliceable

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.command import Command
    from crdt_core.commands.replies import Reply
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Invocation"]

_DEFAULTS = CommandOptions()


class Invocation(Sliceable):
    """Runs `command` with `args` (its name left out) at time of day `wall_ms`.

    `seed` decides random choices, `options` are the settings of commands.
    """

    __slots__ = ("args", "command", "options", "seed", "wall_ms")

    def __init__(
        self,
        command: Command[Session],
        args: list[bytes],
        wall_ms: int,
        seed: int = 0,
        options: CommandOptions = _DEFAULTS,
    ) -> None:
        self.command = command
        self.args = args
        self.wall_ms = wall_ms
        self.seed = seed
        self.options = options

    def run(self, replica: Replica, now: Stamp) -> Reply:
        """Return the reply. Raises a `CallerError` for a command that is refused; it has changed nothing then."""
        session = Session.in_turn(replica, now, self.wall_ms, self.seed, self.options)
        if self.command.writes:
            return run_carrying(session, self.command, self.args)
        reply: Reply = self.command.run(session, self.args)
        return reply

    def is_large(self, replica: Replica, parts_max: int) -> bool:
        """Return whether the command may change more than `parts_max` parts beyond those that it names."""
        return parts_changed(replica, self.command, self.args, self.wall_ms) > parts_max

    def steps(self, replica: Replica, now: Stamp) -> Generator[None, None, Reply]:
        """Do the same as `run`, and yield after each part that is changed."""
        session = Session.in_turn(replica, now, self.wall_ms, self.seed, self.options)
        return (yield from steps_carrying(session, self.command, self.args))
