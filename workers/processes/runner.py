"""Runs the processes of a Procfile together, shows what they write, and ends them in order.

honcho gives the processes, the colours and the printed lines. Its manager's policy, that one process that ends ends
all, is not wanted here, so what happens at an end is decided by this runner:

- A process that died is started again after a growing pause. Usually its `deltaic keep` has done so already; this is
  for the keeper that was itself killed.
- A process that ended with an exit code that another try cannot mend ends the fleet, with that code.
- When the fleet ends, jobs end first, then replicas, then the server that both need: each finds what it needs for an
  orderly end. Whoever is too slow is killed.
- When the lines change while it runs, new ones are started and those that are gone are ended; jobs and cron begin
  again, so that they know whom they work for.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any

from honcho.colour import get_colours
from honcho.printer import Message, Printer
from honcho.process import Process

from crdt_core.errors import SettingsError
from workers.processes.procfile import replica_of, runs_valkey
from workers.processes.supervision import GRACE_S, HOPELESS, Backoff, outcome
from workers.system.ports import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FleetRunner"]

KILL_AFTER_S = GRACE_S + 2  # a keeper kills its child itself; this is for a keeper that does not
GIVE_UP_AFTER_S = KILL_AFTER_S + 2
IMPATIENT_S = 1.0
PATIENCE_S = 10.0  # between complaints about what does not come up
CHANGES_S = 1.0
OWN_NAME = "fleet"


class Then(Enum):
    """What is to happen when a line that was asked to end has ended."""

    AGAIN = 0
    GONE = 1


@dataclass
class _Line:
    """One line of the Procfile and the process that runs it now."""

    name: str
    process: Any
    rank: int
    backoff: Backoff = field(default_factory=Backoff)
    alive: bool = False
    pid: int | None = None
    started_s: float = 0.0
    due_s: float | None = None
    asked_s: float | None = None
    killed: bool = False
    then: Then | None = None


class FleetRunner:
    """Runs `commands` (by name) with the environment `env` until asked to end by SIGINT, SIGTERM or SIGHUP.

    `show_up` is called once, when every address of `awaited` (host and port, by name) has accepted a connection.
    `changed` is called each second, and yields other commands to run, or `None`; raises `SettingsError`.
    """

    def __init__(
        self,
        commands: Mapping[str, str],
        env: Mapping[str, str],
        awaited: Mapping[str, tuple[str, int]],
        show_up: Callable[[], None],
        changed: Callable[[], Mapping[str, str] | None] = lambda: None,
    ) -> None:
        self._env = dict(env)
        self._colours = get_colours()
        self._changed = changed
        self._ending = threading.Event()
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._printer = Printer(sys.stdout, width=max(map(len, [*commands, OWN_NAME])))
        self._lines = {name: self._line(name, command) for name, command in commands.items()}
        self._awaited = awaited
        self._show_up = show_up
        self._exit_code = 0
        self._ended_s = 0.0

    def _line(self, name: str, command: str) -> _Line:
        process = Process(_direct(command), name=name, colour=next(self._colours), env=self._env)
        return _Line(name, process, _rank(command))

    def run(self) -> int:
        """The exit code: 0 after an end that was asked for. Leaves no process behind."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish holds
                signal.signal(number, self._signalled)
        for line in self._lines.values():
            self._start(line)
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._follow_changes, daemon=True).start()
        while not self._all_ended() or not self._events.empty():
            with contextlib.suppress(queue.Empty):
                self._take(self._events.get(timeout=0.1))
            if self._ending.is_set():
                self._end_next()
            else:
                self._start_due()
        return self._exit_code

    def _say(self, text: str) -> None:
        """Shows a line of the fleet's own; may be called from any thread."""
        self._events.put(Message("line", text, datetime.now(), OWN_NAME, None))

    def _end(self, exit_code: int) -> None:
        """Begins the end, unless it has begun."""
        if not self._ending.is_set():
            self._exit_code = exit_code
            self._ended_s = monotonic()
            self._ending.set()

    def _signalled(self, number: int, _frame: object) -> None:
        """The handler only takes note: `SimpleQueue.put` may be called in the middle of anything."""
        self._events.put(Message("signal", number, None, OWN_NAME, None))

    def _asked_to_end(self, number: int) -> None:
        if not self._ending.is_set():
            self._say(f"{signal.Signals(number).name}: ending {len(self._lines)} processes")
            self._end(0)
        elif monotonic() - self._ended_s > IMPATIENT_S:
            for line in self._lines.values():  # a keeper that is asked again kills its child
                self._ask(line)

    # What the processes report ------------------------------------------------------------------------------------

    def _take(self, event: Any) -> None:
        if event.type == "line":
            self._show(lambda: self._printer.write(event))
        elif event.type == "signal":
            self._asked_to_end(event.data)
        elif event.type == "up":
            self._show(self._show_up)
        elif event.type == "lines":
            self._adopt(event.data)
        elif event.type == "start":
            self._started(self._lines[event.name], event.data["pid"])
        elif event.type == "stop":
            self._stopped(self._lines[event.name], event.data["returncode"])

    def _started(self, line: _Line, pid: int) -> None:
        line.pid = pid
        if line.then is not None:
            self._ask(line)

    def _show(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError:  # the terminal or pipe is gone: there is nobody left to run for
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._end(0)

    def _stopped(self, line: _Line, returncode: int) -> None:
        line.alive, line.pid = False, None
        if self._ending.is_set():
            return
        if line.then is Then.GONE:
            self._say(f"{line.name} {outcome(returncode)}; it is not wanted any more")
            del self._lines[line.name]
        elif line.then is Then.AGAIN:
            line.then, line.asked_s, line.due_s = None, None, monotonic()
        elif returncode in HOPELESS:
            self._say(f"{line.name} {outcome(returncode)}, which another try cannot mend: ending the fleet")
            self._end(returncode)
        elif returncode == 0:
            self._say(f"{line.name} {outcome(returncode)}")
        else:
            pause_s = line.backoff.after_s(monotonic() - line.started_s)
            line.due_s = monotonic() + pause_s
            self._say(f"{line.name} {outcome(returncode)}; starting it again in {pause_s:.1f} s")

    def _watch(self) -> None:
        missing = dict(self._awaited)
        complain_s = monotonic() + PATIENCE_S
        while not self._ending.wait(0.1):
            missing = {name: address for name, address in missing.items() if not answers(*address)}
            if not missing:
                self._events.put(Message("up", None, None, OWN_NAME, None))
                return
            if monotonic() >= complain_s:
                complain_s = monotonic() + PATIENCE_S
                self._say(f"still waiting for {', '.join(missing)} to answer")

    # What changes ---------------------------------------------------------------------------------------------------

    def _follow_changes(self) -> None:
        while not self._ending.wait(CHANGES_S):
            try:
                commands = self._changed()
            except SettingsError as error:
                self._say(f"{error}; going on with what runs")
                continue
            if commands is not None:
                self._events.put(Message("lines", commands, None, OWN_NAME, None))

    def _adopt(self, commands: Mapping[str, str]) -> None:
        """Makes the lines those of `commands`; a name stands for the same command at all times."""
        wanted = {name for name, line in self._lines.items() if line.then is not Then.GONE}
        if commands.keys() == wanted or self._ending.is_set():
            return
        self._printer.width = max(map(len, [*commands, OWN_NAME]))
        for name, line in list(self._lines.items()):
            if name not in commands:
                self._let_end(line, Then.GONE)
            elif line.rank == 0 or line.then is Then.GONE:
                self._let_end(line, Then.AGAIN)
        for name in commands.keys() - self._lines.keys():
            self._say(f"{name} is new in the fleet file: starting it")
            self._lines[name] = self._line(name, commands[name])
            self._start(self._lines[name])

    def _let_end(self, line: _Line, then: Then) -> None:
        """Asks a line to end; one that has ended is forgotten, or begins again as it was to."""
        if line.alive:
            line.then = then
            self._ask(line)
        elif then is Then.GONE:
            del self._lines[line.name]

    # Starting and ending ------------------------------------------------------------------------------------------

    def _start(self, line: _Line) -> None:
        line.alive, line.due_s, line.started_s = True, None, monotonic()
        threading.Thread(target=self._follow, args=(line,), daemon=True).start()

    def _follow(self, line: _Line) -> None:
        try:
            line.process.run(self._events)
        except OSError as error:  # no memory or no process numbers left
            self._say(f"{line.name} could not be started: {error.strerror}")
            self._events.put(Message("stop", {"returncode": 1}, None, line.name, None))

    def _start_due(self) -> None:
        for line in self._lines.values():
            if line.due_s is not None and monotonic() >= line.due_s:
                self._start(line)

    def _all_ended(self) -> bool:
        to_come = [line for line in self._lines.values() if line.due_s is not None and not self._ending.is_set()]
        return not to_come and not any(line.alive for line in self._lines.values())

    def _end_next(self) -> None:
        """Asks the first rank that still runs to end, and kills who was asked long ago."""
        alive = [line for line in self._lines.values() if line.alive]
        for line in alive:
            if line.pid is None or line.rank > min(other.rank for other in alive):
                continue
            if line.asked_s is None:
                self._ask(line)
            elif monotonic() - line.asked_s > KILL_AFTER_S and not line.killed:
                self._say(f"{line.name} does not end; killing it")
                line.killed, line.asked_s = True, monotonic() - KILL_AFTER_S
                _signal_group(line.pid, signal.SIGKILL)
            elif monotonic() - line.asked_s > GIVE_UP_AFTER_S:
                self._say(f"{line.name} has left a process behind that still holds its output")
                line.alive = False

    def _ask(self, line: _Line) -> None:
        if line.alive and line.pid is not None:
            line.asked_s = line.asked_s or monotonic()
            _signal_group(line.pid, signal.SIGTERM)


def _rank(command: str) -> int:
    """When a command ends, relative to the others: what needs the most comes first."""
    if runs_valkey(command):
        return 2
    return 1 if replica_of(command) else 0


def _direct(command: str) -> str:
    """`command` so that the shell that reads it becomes it, where it is a single one.

    With no shell in between, a keeper is this process's own child, and sees when this process is killed.
    """
    return command if set(command) & set(";&|()<>`$\n") else f"exec {command}"


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
