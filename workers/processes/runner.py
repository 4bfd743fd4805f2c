"""Runs all processes of a fleet, shows what they write, and ends them in order.

honcho starts the processes, colours their output and prints it. Its own manager ends all processes when one ends. That
is not wanted here, so this runner decides what happens when a process ends:

- A process that died is restarted after a growing pause. Usually its `deltaic keep` has restarted the process already;
  this is for a keeper that was itself killed.
- A process that ends with an exit code which another try cannot change ends the fleet, with that code.
- When the fleet ends, jobs end first, then replicas, then the server that both need. So each finds what it needs for an
  orderly end. A process that is too slow is killed.
- When the fleet's commands change while it runs, new ones are started, and the processes of removed ones are ended.
  Jobs and cron are restarted, so that they work for the present nodes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from crdt_core.errors import SettingsError
from workers.processes.fleet_process import AfterEnd, FleetProcess, Rank
from workers.processes.supervision import GRACE_S, USAGE_EXIT_CODES, outcome
from workers.system.ports import accepts_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["FleetRunner"]

_KILL_AFTER_S = GRACE_S + 2
"""A keeper kills its own child sooner. This is for a keeper that does not end."""
_GIVE_UP_AFTER_KILL_S = 2.0
_SECOND_SIGNAL_S = 1.0
"""A second signal within this time is the same request, delivered twice."""
_UP_CHECK_S = 0.1
_CHANGES_CHECK_S = 1.0
_OWN_NAME = "fleet"


class FleetRunner:
    """Runs `commands` (by name) with the environment `env` until SIGINT, SIGTERM or SIGHUP.

    `show_up` is called with no names when every address of `awaited` (host and port, by name) has accepted a
    connection. If some have not after a while, it is called once before that, with their names. They may never do so: a
    node that was removed from the fleet may still stand in its file.
    `changed` is called every second, and returns the new commands if they have changed, else `None`. If it raises
    `SettingsError`, the fleet goes on with the commands it has. `up_report_s`: how often it says what it waits for.
    """

    def __init__(
        self,
        commands: Mapping[str, str],
        env: Mapping[str, str],
        awaited: Mapping[str, tuple[str, int]],
        show_up: Callable[[Collection[str]], None],
        changed: Callable[[], Mapping[str, str] | None] = lambda: None,
        *,
        up_report_s: float = 10.0,
    ) -> None:
        self._env = dict(env)
        self._colours = get_colours()
        self._changed = changed
        self._ending = threading.Event()
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._printer = Printer(sys.stdout, width=max(map(len, [*commands, _OWN_NAME])))
        self._processes = {name: self._new_process(name, command) for name, command in commands.items()}
        self._awaited = awaited
        self._show_up = show_up
        self._up_report_s = up_report_s
        self._exit_code = 0
        self._end_began_s = 0.0

    def _new_process(self, name: str, command: str) -> FleetProcess:
        return FleetProcess.of(name, command, next(self._colours), self._env)

    def run(self) -> int:
        """Run the fleet and return the exit code: 0 if a signal asked for the end. Leaves no process behind."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup, SIGHUP is ignored and stays so.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signal_handler)
        for process in self._processes.values():
            self._start(process)
        threading.Thread(target=self._wait_until_up, daemon=True).start()
        threading.Thread(target=self._check_for_changes, daemon=True).start()
        while not self._all_ended() or not self._events.empty():
            with contextlib.suppress(queue.Empty):
                self._handle(self._events.get(timeout=0.1))
            if self._ending.is_set():
                self._end_next()
            else:
                self._start_due()
        return self._exit_code

    def _say(self, text: str) -> None:
        """Show a line of the fleet's own. May be called from any thread."""
        self._events.put(Message("line", text, datetime.now(), _OWN_NAME, None))

    def _begin_end(self, exit_code: int) -> None:
        """Begin to end the fleet; does nothing if that has begun already."""
        if not self._ending.is_set():
            self._exit_code = exit_code
            self._end_began_s = monotonic()
            self._ending.set()

    def _signal_handler(self, number: int, _frame: object) -> None:
        """Queue the signal. `SimpleQueue.put` is safe in a handler, which may interrupt anything."""
        self._events.put(Message("signal", number, None, _OWN_NAME, None))

    # Events -------------------------------------------------------------------------------------------------------

    def _handle(self, event: Any) -> None:
        if event.type == "line":
            self._show(lambda: self._printer.write(event))
        elif event.type == "signal":
            self._on_signal(event.data)
        elif event.type == "up":
            self._show(lambda: self._show_up(event.data))
        elif event.type == "commands":
            self._adopt(event.data)
        elif event.type == "start":
            self._on_start(self._processes[event.name], event.data["pid"])
        elif event.type == "stop":
            self._on_stop(self._processes[event.name], event.data["returncode"])

    def _show(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError:  # The terminal or pipe is gone: nobody reads the output any more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._begin_end(0)

    def _on_signal(self, number: int) -> None:
        if not self._ending.is_set():
            self._say(f"{signal.Signals(number).name}: ending {len(self._processes)} processes")
            self._begin_end(0)
        elif monotonic() - self._end_began_s > _SECOND_SIGNAL_S:
            for process in self._processes.values():  # A keeper that is asked again kills its child.
                process.ask_to_end()

    def _on_start(self, process: FleetProcess, pid: int) -> None:
        process.pid = pid
        if process.after_end is not None:
            process.ask_to_end()

    def _on_stop(self, process: FleetProcess, returncode: int) -> None:
        process.running, process.pid = False, None
        if self._ending.is_set():
            return
        if process.after_end is AfterEnd.REMOVE:
            self._say(f"{process.name} {outcome(returncode)}; it is not wanted any more")
            del self._processes[process.name]
        elif process.after_end is AfterEnd.RESTART:
            process.after_end, process.asked_s, process.due_s = None, None, monotonic()
        elif returncode in USAGE_EXIT_CODES:
            self._say(f"{process.name} {outcome(returncode)}, which another try cannot mend: ending the fleet")
            self._begin_end(returncode)
        elif returncode == 0:
            self._say(f"{process.name} {outcome(returncode)}")
        else:
            pause_s = process.backoff.after_s(monotonic() - process.started_s)
            process.due_s = monotonic() + pause_s
            self._say(f"{process.name} {outcome(returncode)}; starting it again in {pause_s:.1f} s")

    # Threads ------------------------------------------------------------------------------------------------------

    def _wait_until_up(self) -> None:
        missing, reported, shown = dict(self._awaited), dict[str, tuple[str, int]](), False
        report_s = monotonic() + self._up_report_s
        while not self._ending.wait(_UP_CHECK_S):
            missing = {name: address for name, address in missing.items() if not accepts_connections(*address)}
            if not missing:
                self._events.put(Message("up", [], None, _OWN_NAME, None))
                return
            if monotonic() >= report_s and not shown:
                report_s = monotonic() + self._up_report_s
                if reported == missing != self._awaited:
                    self._events.put(Message("up", [*missing], None, _OWN_NAME, None))
                    shown = True
                else:
                    self._say(f"still waiting for {', '.join(missing)} to answer")
                reported = missing

    def _check_for_changes(self) -> None:
        while not self._ending.wait(_CHANGES_CHECK_S):
            try:
                commands = self._changed()
            except SettingsError as error:
                self._say(f"{error}; going on with the present processes")
                continue
            if commands is not None:
                self._events.put(Message("commands", commands, None, _OWN_NAME, None))

    def _follow(self, process: FleetProcess) -> None:
        """Run the process until it ends, and queue what it writes."""
        try:
            process.process.run(self._events)
        except OSError as error:  # There is no memory or no process number left.
            self._say(f"{process.name} could not be started: {error.strerror}")
            self._events.put(Message("stop", {"returncode": 1}, None, process.name, None))

    # Starting and ending ------------------------------------------------------------------------------------------

    def _adopt(self, commands: Mapping[str, str]) -> None:
        """Make the fleet run exactly `commands`. A command never changes without its name."""
        wanted = {name for name, process in self._processes.items() if process.after_end is not AfterEnd.REMOVE}
        if commands.keys() == wanted or self._ending.is_set():
            return
        self._printer.width = max(map(len, [*commands, _OWN_NAME]))
        for name, process in list(self._processes.items()):
            if name not in commands:
                self._end_one(process, AfterEnd.REMOVE)
            elif process.rank is Rank.JOBS or process.after_end is AfterEnd.REMOVE:
                self._end_one(process, AfterEnd.RESTART)
        for name in commands.keys() - self._processes.keys():
            self._say(f"{name} is new in the fleet file: starting it")
            self._processes[name] = self._new_process(name, commands[name])
            self._start(self._processes[name])

    def _end_one(self, process: FleetProcess, after_end: AfterEnd) -> None:
        """Ask a process to end. One that does not run is removed at once, or restarted when it was due anyway."""
        if process.running:
            process.after_end = after_end
            process.ask_to_end()
        elif after_end is AfterEnd.REMOVE:
            del self._processes[process.name]

    def _start(self, process: FleetProcess) -> None:
        process.running, process.due_s, process.started_s = True, None, monotonic()
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()

    def _start_due(self) -> None:
        for process in self._processes.values():
            if process.due_s is not None and monotonic() >= process.due_s:
                self._start(process)

    def _all_ended(self) -> bool:
        processes = self._processes.values()
        due = not self._ending.is_set() and any(process.due_s is not None for process in processes)
        return not due and not any(process.running for process in processes)

    def _end_next(self) -> None:
        """Ask the processes of the first rank that still runs to end, and kill those that were asked long ago."""
        running = [process for process in self._processes.values() if process.running]
        for process in running:
            if process.pid is None or process.rank.value > min(other.rank.value for other in running):
                continue
            if process.asked_s is None:
                process.ask_to_end()
            elif process.killed_s is None and monotonic() - process.asked_s > _KILL_AFTER_S:
                self._say(f"{process.name} does not end; killing it")
                process.kill()
            elif process.killed_s is not None and monotonic() - process.killed_s > _GIVE_UP_AFTER_KILL_S:
                self._say(f"{process.name} has left a process behind that still holds its output")
                process.running = False
