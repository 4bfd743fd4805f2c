"""Keeps one process running: starts it again when it dies, and ends it, with all it started, when asked to.

Every line of the Procfile runs under a `Keeper`, so that any runner of Procfiles (honcho ends everything when
one process ends) gets the same: a death is mended after a growing pause, an end that was asked for is an end.

What must hold:

- The child never outlives the keeper. It is told when the keeper is asked to end, when the keeper's own parent
  is gone, and, on Linux, by the kernel when the keeper is killed.
- Nothing the child started outlives the child: it leads a process group of its own, which is swept when it ends.
  That group is also why Ctrl-C in a terminal reaches the child once, through the keeper, and not twice.
- Exit codes that another try cannot mend (see `crdt_core.errors`) are not tried again.

It knows nothing of replicas, settings or Redis, and imports little: eight of it run beside a fleet of five.
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

__all__ = ["GRACE_S", "HOPELESS", "Backoff", "Keeper", "outcome"]

GRACE_S = 4.0  # for an orderly end; less than the 5 s after which honcho and foreman kill
SETTLED_S = 10.0  # who lived this long starts again without having to wait for earlier deaths
PARENT_CHECK_S = 1.0
IMPATIENT_S = 1.0  # a second signal within this time is the same wish, delivered twice
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

HOPELESS = frozenset({InvalidArgument.exit_code})
"""Exit codes of usage and settings: the same command line fails again."""

STAY_DOWN = {
    AlreadyRunning.exit_code: "another process runs this replica",
    Fenced.exit_code: "another process runs this replica",
    NotAMember.exit_code: "it is not a member of the fleet",
    InvariantBroken.exit_code: "a person must look at what it found first",
    CorruptState.exit_code: "a person must look at what its Redis holds first",
}
"""Exit codes after which a replica must not start again by itself, and why: it would fight, or spread damage."""


class Backoff:
    """The pause before the next try: 0.2 s, doubling up to 10 s, each with up to 0.2 s of jitter."""

    def __init__(self) -> None:
        self._failures = 0

    def after_s(self, lived_s: float) -> float:
        """Seconds to wait after a try that lasted `lived_s` seconds; a long life forgives what was before."""
        # Imported on the first failure only: most keepers never need it.
        from tenacity import RetryCallState, Retrying, wait_exponential, wait_random  # noqa: PLC0415

        self._failures = 1 if lived_s >= SETTLED_S else self._failures + 1
        state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
        state.attempt_number = self._failures
        return (wait_exponential(multiplier=0.2, max=10) + wait_random(0, 0.2))(state)


class Keeper:
    """Runs `command` until it ends well or for good, or is asked to end; `say` is given one line per event."""

    def __init__(self, command: Sequence[str], say: Callable[[str], None], grace_s: float = GRACE_S) -> None:
        self._command = list(command)
        self._name = _short(shlex.join(command))
        self._say = say
        self._grace_s = grace_s
        self._backoff = Backoff()
        self._wishes = _Wishes()

    def run(self) -> int:
        """The exit code to end with: the child's own; raises `InvalidArgument` if there is no such command.

        To be called from the main thread of a process that does nothing else: it takes over the signals.
        """
        code: int | None = None
        while code is None:
            started = monotonic()
            ended = self._one_life()
            code = self._verdict(ended, monotonic() - started)
        return code

    def _verdict(self, ended: int, lived_s: float) -> int | None:
        """The exit code to end with, or `None` when the child is to start again, after the pause made here."""
        code = ended if ended >= 0 else 128 - ended
        if self._wishes.first is not None or code == 0 or code in HOPELESS:
            return code
        if code in STAY_DOWN:
            self._say(f"{self._name} {outcome(ended)}: {STAY_DOWN[code]}; not starting it again")
            self._pause(None)
            return code
        pause_s = self._backoff.after_s(lived_s)
        self._say(f"{self._name} {outcome(ended)}; starting it again in {pause_s:.1f} s")
        return code if self._pause(pause_s) else None

    def _one_life(self) -> int:
        """Starts the child and waits for its end; its return code as `subprocess` has it, `-9` for SIGKILL."""
        child = self._start()
        told: float | None = None
        while child.poll() is None:
            wish = self._wishes.wait(PARENT_CHECK_S if told is None else 0.1)
            now = monotonic()
            if wish is not None and told is None:
                told = now
                child.send_signal(wish)
            elif told is not None and (now - told > self._grace_s or (wish and now - told > IMPATIENT_S)):
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
                preexec_fn=_ends_with_its_parent(),  # noqa: PLW1509  there are no threads here
            )
        except OSError as error:
            raise InvalidArgument("COMMAND", f"{self._command[0]} cannot be run: {error.strerror}") from error

    def _pause(self, seconds: float | None) -> bool:
        """Whether a wish to end came within `seconds`; for ever if `None`."""
        until = None if seconds is None else monotonic() + seconds
        while until is None or monotonic() < until:
            left = PARENT_CHECK_S if until is None else min(PARENT_CHECK_S, max(0.0, until - monotonic()))
            if self._wishes.wait(left) is not None:
                return True
        return False


class _Wishes:
    """What asks for an end, as something to wait for: signals (handlers do nothing), and the parent's end."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self._parent = os.getppid()
        self._pipe, write = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(write, False)
        for number in (*ENDING, signal.SIGCHLD):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish holds
                signal.signal(number, _wake_only)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def wait(self, timeout_s: float) -> signal.Signals | None:
        """The signal that asked for an end within `timeout_s`; `None` also when a child's end woke us up."""
        wish = self._signalled(timeout_s)
        if wish is None and self.first is None and os.getppid() != self._parent:
            wish = signal.SIGTERM
        self.first = self.first or wish
        return wish

    def _signalled(self, timeout_s: float) -> signal.Signals | None:
        if not select.select([self._pipe], [], [], timeout_s)[0]:
            return None
        received = os.read(self._pipe, 64)
        return next((wish for wish in ENDING if wish in received), None)


def outcome(returncode: int) -> str:
    """How a process ended, for people: `ended with code 3`, `ended with signal SIGKILL`."""
    if returncode >= 0:
        return f"ended with code {returncode}"
    with contextlib.suppress(ValueError):
        return f"ended with signal {signal.Signals(-returncode).name}"
    return f"ended with signal {-returncode}"


def _wake_only(_number: int, _frame: object) -> None:
    """A handler has to be there for the signal to reach the wake-up pipe; its reader does the work."""


def _ends_with_its_parent() -> Callable[[], None] | None:
    """What the child does before it becomes the command: asks the kernel for SIGTERM when this process dies.

    SIGTERM, because the child may have children of its own to end. Only Linux has this; elsewhere a keeper that
    is itself killed leaves its child behind.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # noqa: PLC0415  not everywhere

    libc = ctypes.CDLL(None)
    keeper = os.getpid()

    def arm() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != keeper:  # it died before the kernel knew
            os._exit(128 + signal.SIGTERM)

    return arm


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(leader, signal.SIGKILL)


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
