"""The bound on what the reads of one transaction reply together.

A transaction runs in one turn, and its replies are held until its commit is confirmed. Each reply has a bound, but a
transaction may hold many thousands of them. So a read that does not fit any more is refused, as are all reads behind
it. Writes go on: a transaction is not undone because somebody wants to know too much.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from crdt_core.commands import Map, Pairs, SetOf
from crdt_core.commands.command import Sliced
from crdt_core.errors import TooLarge
from workers.resp.encoding import Encoded

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from crdt_core.commands import Command, Session
    from workers.config.settings import LimitSettings

__all__ = ["within_budget"]

_FRAME_BYTES = 16
"""What a reply takes beside its content, about."""


def within_budget(
    commands: Sequence[tuple[Command[Session], list[bytes]]], limits: LimitSettings
) -> list[tuple[Command[Session], list[bytes]]]:
    """Return `commands` so that their reads share the bound `limits.output_bytes_max`.

    A few reads of single values always fit, so they are not even measured.
    """
    reads = sum(not command.writes and not command.connected for command, _ in commands)
    several = any(command.heavy or command.keys[0] != command.keys[1] for command, _ in commands)
    if not several and reads * (limits.value_bytes_max + _FRAME_BYTES) <= limits.output_bytes_max:
        return list(commands)
    budget = _Budget(limits.output_bytes_max)
    measured = {
        command: replace(
            command,
            run=partial(budget.run, command),
            sliced=command.sliced and Sliced(partial(budget.steps, command.sliced), command.sliced.parts),
        )
        for command in {command for command, _ in commands}
        if not command.writes and not command.connected
    }
    return [(measured.get(command, command), args) for command, args in commands]


class _Budget:
    """How many bytes the reads of a transaction may reply still."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = self._left = bytes_max

    def run(self, command: Command[Session], session: Session, args: list[bytes]) -> Any:
        """Return the reply to a read; raises `TooLarge` if it does not fit, and then for all others."""
        self._check()
        return self._spend(command.run(session, args))

    def steps(self, sliced: Sliced[Session], session: Session, args: list[bytes]) -> Generator[None, None, Any]:
        """Do the same for a read that runs by part."""
        self._check()
        return self._spend((yield from sliced.steps(session, args)))

    def _spend(self, reply: Any) -> Any:
        self._left -= _size(reply)
        self._check()
        return reply

    def _check(self) -> None:
        if self._left < 0:
            size = self._bytes_max - self._left
            raise TooLarge("reply of EXEC", size, self._bytes_max, "limits.output_bytes_max")


def _size(reply: Any) -> int:
    """Return about how many bytes a reply takes."""
    match reply:
        case bytes():
            return len(reply) + _FRAME_BYTES
        case Encoded():
            return sum(map(len, reply.pieces))
        case SetOf() | Map() | Pairs():
            return _size(reply.items)
        case list() | tuple():
            return _FRAME_BYTES + sum(map(_size, reply))
    return _FRAME_BYTES
