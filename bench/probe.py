"""How long the slowest answer takes while a node does something large: `python -m bench.probe --keys 1000000`.

Two nodes, each on a Valkey of its own. One client of each node asks for a key, again and again, while many keys are

    joined       n2 was cut off while they were written at n1, and is healed
    given back   the Redis of n2 is emptied under its worker
    restored     n2 is stopped, a backup image of n1 is put into its Redis, and n2 comes back with it
    flushed      FLUSHALL at n1, which n2 hears of

Nobody else may use the machine, or the slowest answer says more about others than about the nodes.

Exit codes: 0 no answer took longer than the limit, 1 one did, 2 to 3 as of the errors in `crdt_core.errors`,
130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console

from bench.errors import MeasurementFailed
from bench.line import Line, meet
from bench.processes import Site, wait_until
from bench.program import run_command
from crdt_core.codec.header import decode_header
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from bench.processes import Worker

__all__ = ["LARGE_WORK", "Probe", "main"]

KEY = b"bench:probe"
BATCH = 500
REST_S = 0.002
PATIENCE_S = 600.0


class Probe:
    """A client of `worker` that asks for a key until the block ends; `slowest_ms` is that of its slowest answer."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.answers = 0
        self.slowest_ms = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name=f"probe of {worker.name}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._is_over.wait(REST_S):
            with contextlib.suppress(MeasurementFailed, OSError):  # the worker is stopped: it comes back
                self._ask_while_it_answers()

    def _ask_while_it_answers(self) -> None:
        with Line(self.worker, PATIENCE_S) as line:
            while not self._is_over.wait(REST_S):
                begun = time.perf_counter()
                line.ask(b"GET", KEY)
                self.slowest_ms = max(self.slowest_ms, (time.perf_counter() - begun) * 1000)
                self.answers += 1


def _joined(n1: Worker, n2: Worker, keys: int) -> Iterator[str]:
    with Line(n1) as here, Line(n2) as there:
        for line in (here, there):
            line.ask(b"DELTAIC.PARTITION")
        for first in range(0, keys, BATCH):
            yield f"{first:,} of {keys:,} keys written"
            words = (b"%b:%d" % (name, number) for number in range(first, min(first + BATCH, keys)) for name in NAMES)
            here.ask(b"MSET", *words)
        for line in (there, here):
            line.ask(b"DELTAIC.HEAL")
    yield ""
    _agree(n1, n2)


def _given_back(_n1: Worker, n2: Worker, keys: int) -> Iterator[str]:
    del keys
    header = Keys(n2.name).header
    yield ""
    with n2.server.client() as client:
        clock = decode_header(client.hgetall(header)).clock
        client.flushall()

        def is_back() -> bool:
            found = client.hgetall(header)
            return b"clock" in found and b"staged" not in found and clock <= decode_header(found).clock

        if not wait_until(is_back, PATIENCE_S):
            raise MeasurementFailed(f"{n2.name} has not given its Redis everything back")


def _restored(n1: Worker, n2: Worker, keys: int) -> Iterator[str]:
    del keys
    image = n1.fleet_file.with_name("image")
    yield ""
    _deltaic(n1, "backup", str(image), "--node", n1.name)
    n2.stop()
    _deltaic(n1, "restore", str(image), "--node", n2.name, "--force")
    n2.start().wait_until_ready()
    _agree(n1, n2)


def _flushed(n1: Worker, n2: Worker, keys: int) -> Iterator[str]:
    del keys
    yield ""
    with Line(n1, PATIENCE_S) as here:
        here.ask(b"FLUSHALL")
    _agree(n1, n2)


NAMES = (b"key", b"value")
LARGE_WORK: dict[str, Callable[[Worker, Worker, int], Iterator[str]]] = {
    "joined": _joined,
    "given back": _given_back,
    "restored": _restored,
    "flushed": _flushed,
}
"""What the probes watch. Each says how far its preparation has come, then nothing; what follows is watched."""


def _agree(n1: Worker, n2: Worker) -> None:
    """Return once `n2` has all that `n1` has."""
    with Line(n1, PATIENCE_S) as here, Line(n2, PATIENCE_S) as there:
        there.ask(b"DELTAIC.AWAIT", here.ask(b"DELTAIC.TOKEN"), b"0")


def _deltaic(worker: Worker, *arguments: str) -> None:
    command = [sys.executable, "-m", "workers.cli", "--file", str(worker.fleet_file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasurementFailed(f"`deltaic {' '.join(arguments)}` ends with {done.returncode}: {done.stderr.strip()}")


def _watch(title: str, workers: Sequence[Worker], keys: int, say: Console) -> list[Probe]:
    """Have `title` done to many keys, and return the probes of both nodes."""
    n1, n2 = workers
    with say.status(title) as status, contextlib.ExitStack() as stack:
        work, probes = LARGE_WORK[title](n1, n2, keys), [Probe(worker) for worker in workers]
        for done in work:
            if not done:
                break
            status.update(f"{title}: {done}")
        status.update(f"{title}: {keys:,} keys")
        for probe in probes:
            stack.enter_context(probe)
        next(work, None)
    return probes


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--keys", type=click.IntRange(1), default=1_000_000, show_default=True, help="How many keys there are.")
@click.option("--limit", type=click.FloatRange(0), default=100.0, show_default=True, help="In milliseconds.")
def probe(*, keys: int, limit: float) -> int:
    """Print the slowest answer of a client while many keys are joined, given back, restored and flushed."""
    say, slowest_ms = Console(stderr=True, highlight=False), 0.0
    with Site() as site:
        workers = site.fleet(2)
        meet(*workers)
        for title in LARGE_WORK:
            begun_s = time.monotonic()
            for found in _watch(title, workers, keys, say):
                click.echo(f"{title:<11} {found.worker.name}  {found.slowest_ms:8.1f} ms  of {found.answers} answers")
                slowest_ms = max(slowest_ms, found.slowest_ms)
            say.print(f"{title}: {time.monotonic() - begun_s:.0f} s")
    click.echo(f"slowest answer with {keys:,} keys: {slowest_ms:.1f} ms (limit {limit:g} ms)")
    return int(slowest_ms > limit)


main = partial(run_command, probe, "python -m bench.probe")

if __name__ == "__main__":
    sys.exit(main())
