"""One process of a fleet: the command from the Procfile, the process that runs it now, and what is to happen to it."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any

from honcho.process import Process

from workers.processes.procfile import replica_of, runs_valkey
from workers.processes.supervision import Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AfterEnd", "FleetProcess", "Rank"]


class Rank(Enum):
    """When a process ends, relative to the others: a process that needs others ends before them."""

    JOBS = 0
    REPLICA = 1
    SERVER = 2


class AfterEnd(Enum):
    """What is to happen when a process that was asked to end has ended."""

    RESTART = 0
    REMOVE = 1


@dataclass
class FleetProcess:
    """A named command of the fleet. All times are monotonic seconds.

    `running`: its process was started and has not ended. `pid`: of that process, as soon as it is known. `due_s`: when
    it is to be started again. `asked_s`: when it was first asked to end. `killed_s`: when it was killed.
    """

    name: str
    process: Any
    rank: Rank
    backoff: Backoff = field(default_factory=Backoff)
    running: bool = False
    pid: int | None = None
    started_s: float = 0.0
    due_s: float | None = None
    asked_s: float | None = None
    killed_s: float | None = None
    after_end: AfterEnd | None = None

    @classmethod
    def of(cls, name: str, command: str, colour: str, env: Mapping[str, str]) -> FleetProcess:
        """Return a process that runs `command` in the environment `env`; it is not started yet.

        Its output is shown with its name in the terminal colour `colour`.
        """
        process = Process(_exec(command), name=name, colour=colour, env=dict(env))
        return cls(name, process, _rank(command))

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process group, if the process runs and its pid is known."""
        if self.running and self.pid is not None:
            self.asked_s = self.asked_s or monotonic()
            _signal_group(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process group."""
        assert self.pid is not None
        self.killed_s = monotonic()
        _signal_group(self.pid, signal.SIGKILL)


def _rank(command: str) -> Rank:
    if runs_valkey(command):
        return Rank.SERVER
    return Rank.REPLICA if replica_of(command) else Rank.JOBS


def _exec(command: str) -> str:
    """Return `command` with `exec` before it, if it is a single command, so that the shell becomes that command.

    With no shell between them, a keeper is this process's own child, and notices when this process is killed.
    """
    return command if set(command) & set(";&|()<>`$\n") else f"exec {command}"


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
