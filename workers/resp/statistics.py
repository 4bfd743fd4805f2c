"""What INFO counts since the worker started, or since CONFIG RESETSTAT.

Everything here is a plain number that is raised where it happens: a call for each command would cost about as much as
the command. Calls and times are counted in bulk: those of reads that are answered together, and of a batch of writes
when its commit is confirmed. So the time of a read is what computing it took, and that of a write runs to its commit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from crdt_core.commands import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.commands import Command

__all__ = ["Rate", "Statistics"]

_RATE_S = 1.0


class Rate:
    """How fast a count grows, per second; counting began at `since_s` (monotonic)."""

    def __init__(self, since_s: float) -> None:
        self._at_s = since_s
        self._count = 0
        self._rate = 0

    def at(self, now_s: float, count: int) -> int:
        """Return the rate since this was last asked for, if that is a second ago; else what was returned then."""
        if now_s - self._at_s >= _RATE_S:
            self._rate = max(0, round((count - self._count) / (now_s - self._at_s)))
            self._at_s, self._count = now_s, count
        return self._rate


@dataclass(slots=True)
class Statistics:
    """The counts. `calls`, `usec`, `rejected` and `failed` are by the name of a command, `errors` by their first word.

    `expired_before`: how many keys had expired at the node when counting began.
    """

    commands: int = 0
    connections_received: int = 0
    connections_refused: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    hits: int = 0
    misses: int = 0
    expired_before: int = 0
    calls: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    usec: defaultdict[bytes, float] = field(default_factory=lambda: defaultdict(float))
    rejected: Counter[bytes] = field(default_factory=Counter)
    failed: Counter[bytes] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    operations_rate: Rate = field(default_factory=lambda: Rate(monotonic()))
    input_rate: Rate = field(default_factory=lambda: Rate(monotonic()))
    output_rate: Rate = field(default_factory=lambda: Rate(monotonic()))

    def begin_anew(self, expired: int) -> None:
        """Count from now on; `expired` keys have expired at the node so far."""
        fresh = Statistics(expired_before=expired)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def error(self, reply: ErrorReply) -> None:
        """Count an error that a client is told."""
        self.errors[reply.text.partition(" ")[0]] += 1

    def answered(self, command: Command[Any], count: int, took_s: float) -> None:
        """Count `count` calls of `command`, which took `took_s` together."""
        self.calls[command.name] += count
        self.usec[command.name] += took_s * 1e6

    def failures_in(
        self, commands: Sequence[tuple[Command[Any], list[bytes]]], replies: Sequence[Any], *, told: bool
    ) -> None:
        """Count the errors among the `replies` to `commands`; `told`: each counts as an error when it is told."""
        for (command, _), reply in zip(commands, replies, strict=True):
            if type(reply) is ErrorReply:
                self.failed[command.name] += 1
                if not told:
                    self.error(reply)

    def refused(self, commands: Sequence[tuple[Command[Any], list[bytes]]]) -> None:
        """Count commands that the mailbox has not run, or has given up."""
        self.failed.update(command.name for command, _ in commands)
