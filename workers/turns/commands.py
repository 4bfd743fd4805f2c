"""Runs commands of the core at a mailbox, for faces that await each reply: gRPC and Maelstrom.

The face of the Redis protocol does the same without a task per command, see `workers.resp.connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import CommandOptions, Invocation, Session
from workers.system.clock import wall_ms
from workers.turns.weights import COMMAND_WEIGHT

if TYPE_CHECKING:
    from crdt_core.commands import Command, Reply
    from workers.turns.mailbox import Mailbox

__all__ = ["CommandRunner"]

_DEFAULTS = CommandOptions()


class CommandRunner:
    """Runs commands at `mailbox` under `options`, as of the time of day."""

    def __init__(self, mailbox: Mailbox, options: CommandOptions = _DEFAULTS) -> None:
        self._mailbox = mailbox
        self._options = options

    async def run(self, command: Command[Session], args: list[bytes]) -> Reply:
        """Return the reply: of a read at once, from the last confirmed state; of a write once its commit is durable.

        Raises the `CallerError` that refuses the command, and what `Mailbox.call` raises.
        """
        if command.writes:
            return await self.run_in_turn(command, args)
        reply: Reply = command.run(Session(self._mailbox.state, wall_ms(), 0, self._options), args)
        return reply

    async def run_in_turn(self, command: Command[Session], args: list[bytes]) -> Reply:
        """Return the reply, of a read in a turn as well: it shows everything that has arrived before it.

        Raises what `run` raises.
        """
        invocation = Invocation(command, args, wall_ms(), options=self._options)
        reply: Reply = await self._mailbox.call(invocation, COMMAND_WEIGHT + sum(map(len, args)))
        return reply
