"""Keeps one process running: restarts it when it dies, and ends it with everything it started when asked to.

Every command of the Procfile runs under a `Keeper`, so all runners of Procfiles behave alike. (honcho, for example,
ends everything when one process ends.) A process that dies is restarted after a growing pause; a process that was asked
to end stays down.

Invariants:

- The child never outlives the keeper. It is told to end when the keeper is told to, when the keeper's parent is gone,
  and, on Linux, by the kernel when the keeper is killed.
- No process that the child started outlives the child. The child leads a process group of its own, which is killed when
  the child ends. Because of this group, Ctrl-C in a terminal reaches the child only once, through the keeper.
- After an exit code that another try cannot change (see `crdt_core.errors`), there is no other try.

This module knows nothing about replicas, settings or Redis, and imports little: beside a fleet of five, eight keepers
run.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
from time import monotonic
from typing import TYPE_CHECKING

from crdt_core.errors import AlreadyRunning, CorruptState, Fenced, InvalidArgument, InvariantBroken, NotAMember

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["GRACE_S", "STAY_DOWN", "USAGE_EXIT_CODES", "Backoff", "Keeper", "outcome"]

GRACE_S = 4.0
"""How long a child may take to end; less than the 5 s after which honcho and foreman kill."""
_SETTLED_S = 10.0
"""After a life of this length, earlier deaths do not lengthen the pause any more."""
_PARENT_CHECK_S = 1.0
_SECOND_SIGNAL_S = 1.0
"""A second signal within this time is the same request, delivered twice."""
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1

USAGE_EXIT_CODES = frozenset({InvalidArgument.exit_code})
"""Exit codes for wrong usage or settings: the same command line would fail again."""

STAY_DOWN = {
    AlreadyRunning.exit_code: "another process runs this replica",
    Fenced.exit_code: "another process runs this replica",
    NotAMember.exit_code: "it is not a member of the fleet",
    InvariantBroken.exit_code: "a person must look at what it found first",
    CorruptState.exit_code: "a person must look at what its Redis holds first",
}
"""Exit codes after which a replica must not restart by itself, and why. It would fight another process, or spread
damage."""


class Backoff:
    """The pause before the next try: 0.2 s, doubled each time up to 10 s, plus up to 0.2 s of jitter."""

    def __init__(self) -> None:
        self._failures = 0

    def after_s(self, lived_s: float) -> float:
        """Return how many seconds to wait after a try that lasted `lived_s` seconds.

        After a try that lasted long enough, the pauses are short again.
        """
        # Imported on the first failure only: most keepers never need it.
        from tenacity import RetryCallState, Retrying, wait_exponential, wait_random  # noqa: PLC0415

        self._failures = 1 if lived_s >= _SETTLED_S else self._failures + 1
        state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
        state.attempt_number = self._failures
        return (wait_exponential(multiplier=0.2, max=10) + wait_random(0, 0.2))(state)


class Keeper:
    """Runs `command` until it ends well, must not run again, or is asked to end.

    `say` is called with one line of text per event. `grace_s`: how long the child may take to end before it is killed.
    """

    def __init__(self, command: Sequence[str], say: Callable[[str], None], grace_s: float = GRACE_S) -> None:
        self._command = list(command)
        self._name = _short(shlex.join(command))
        self._say = say
        self._grace_s = grace_s
        self._backoff = Backoff()
        self._end_requests = _EndRequests()

    def run(self) -> int:
        """Run the command and return the exit code to end with, which is the child's own.

        Raises `InvalidArgument` if there is no such command. Call it from the main thread of a process that does
        nothing else: it takes the signals over.
        """
        code: int | None = None
        while code is None:
            started = monotonic()
            returncode = self._run_child()
            code = self._exit_code(returncode, monotonic() - started)
        return code

    def _exit_code(self, returncode: int, lived_s: float) -> int | None:
        """Return the exit code to end with, or `None`, after a pause, if the child is to be restarted."""
        code = returncode if returncode >= 0 else 128 - returncode
        if self._end_requests.first is not None or code == 0 or code in USAGE_EXIT_CODES:
            return code
        if code in STAY_DOWN:
            self._say(f"{self._name} {outcome(returncode)}: {STAY_DOWN[code]}; not starting it again")
            self._pause(None)
            return code
        pause_s = self._backoff.after_s(lived_s)
        self._say(f"{self._name} {outcome(returncode)}; starting it again in {pause_s:.1f} s")
        return code if self._pause(pause_s) else None

    def _run_child(self) -> int:
        """Start the child, wait for its end, and return its return code as `subprocess` has it (-9 for SIGKILL)."""
        child = self._start()
        asked: float | None = None
        while child.poll() is None:
            request = self._end_requests.wait(_PARENT_CHECK_S if asked is None else 0.1)
            now = monotonic()
            if request is not None and asked is None:
                asked = now
                child.send_signal(request)
            elif asked is not None and (now - asked > self._grace_s or (request and now - asked > _SECOND_SIGNAL_S)):
                self._say(f"{self._name} does not end; killing it")
                _kill_group(child.pid)
                child.wait()
        _kill_group(child.pid)
        return child.returncode

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603  the command line is what this program is for
                self._command,
                stdin=subprocess.DEVNULL,
                process_group=0,
                preexec_fn=_end_with_parent(),  # noqa: PLW1509  there are no threads here
            )
        except OSError as error:
            raise InvalidArgument("COMMAND", f"{self._command[0]} cannot be run: {error.strerror}") from error

    def _pause(self, seconds: float | None) -> bool:
        """Wait for `seconds` (`None`: for ever); return whether a request to end came meanwhile."""
        until = None if seconds is None else monotonic() + seconds
        while until is None or monotonic() < until:
            left = _PARENT_CHECK_S if until is None else min(_PARENT_CHECK_S, max(0.0, until - monotonic()))
            if self._end_requests.wait(left) is not None:
                return True
        return False


class _EndRequests:
    """Requests to end, as something to wait for: signals, and the end of the parent process.

    A signal reaches `wait` through a wake-up pipe. The signal handlers themselves do nothing.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self._parent = os.getppid()
        self._pipe, write = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(write, False)
        for number in (*_END_SIGNALS, signal.SIGCHLD):
            # Under nohup, SIGHUP is ignored and stays so.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _wake_only)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def wait(self, timeout_s: float) -> signal.Signals | None:
        """Wait for a request; return its signal, or `None` after `timeout_s`, or earlier when a child ends."""
        request = self._next_signal(timeout_s)
        if request is None and self.first is None and os.getppid() != self._parent:
            request = signal.SIGTERM
        self.first = self.first or request
        return request

    def _next_signal(self, timeout_s: float) -> signal.Signals | None:
        if not select.select([self._pipe], [], [], timeout_s)[0]:
            return None
        received = os.read(self._pipe, 64)
        return next((number for number in _END_SIGNALS if number in received), None)


def outcome(returncode: int) -> str:
    """Return how a process ended, for people.

    >>> outcome(3), outcome(-9)
    ('ended with code 3', 'ended with signal SIGKILL')
    """
    if returncode >= 0:
        return f"ended with code {returncode}"
    with contextlib.suppress(ValueError):
        return f"ended with signal {signal.Signals(-returncode).name}"
    return f"ended with signal {-returncode}"


def _wake_only(_number: int, _frame: object) -> None:
    """Do nothing. Without a handler, the signal would not reach the wake-up pipe, whose reader does the work."""


def _end_with_parent() -> Callable[[], None] | None:
    """Return the function that a child calls before it becomes the command: the kernel then ends it with its parent.

    The kernel sends SIGTERM, because the child may have children of its own to end. Only Linux can do this. Elsewhere,
    a keeper that is killed leaves its child behind.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # noqa: PLC0415  not on every platform

    libc = ctypes.CDLL(None)
    keeper = os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != keeper:  # The keeper died before the kernel was told.
            os._exit(128 + signal.SIGTERM)

    return arm


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies.
        os.killpg(leader, signal.SIGKILL)


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
