"""Load, made and timed by `redis-benchmark` or `valkey-benchmark`, as they are."""

from __future__ import annotations

import csv
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bench.errors import MeasurementFailed, ProcessFailed, ToolMissing
from bench.processes import HOST
from bench.program import held_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Process

__all__ = ["ELEMENT", "RANDOM", "Load", "Run", "add_members", "run", "running", "tool", "tool_version"]

TOOLS = ("valkey-benchmark", "redis-benchmark")
REMEDY = "install Debian's redis-tools (apt-get install redis-tools), or Valkey's valkey-tools"
RANDOM = "__rand_int__"
"""In an argument: twelve digits, other ones in every request."""
ELEMENT = f"element:{RANDOM}"
BATCH = 1000

LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """`command`, sent over and over by `clients`, each with `pipeline` requests under way; `spread` random numbers."""

    command: tuple[str, ...]
    pipeline: int = 1
    clients: int = 50
    spread: int | None = 10_000

    def arguments(self, port: int, requests: int) -> list[str]:
        spread = () if self.spread is None else ("-r", str(self.spread))
        return [
            *("-h", HOST, "-p", str(port), "-c", str(self.clients), "-P", str(self.pipeline), "-n", str(requests)),
            *(*spread, "--csv", *self.command),
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run showed: requests a second, and the 99th percentile of their latency."""

    rate: float
    p99_ms: float


@cache
def tool() -> str:
    """The program; raises `ToolMissing`. The package that brings the server has none."""
    for name in TOOLS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise ToolMissing(TOOLS, REMEDY)


@cache
def tool_version() -> str:
    """As the program says it."""
    return subprocess.run([tool(), "--version"], capture_output=True, text=True, check=True).stdout.strip()


def run(process: Process, load: Load, requests: int) -> Run:
    """One run of `requests` against `process`; raises `ProcessFailed`."""
    command = [tool(), *load.arguments(process.port, requests)]
    with ExitStack() as stack:
        with held_back():
            pipe = subprocess.PIPE
            program = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, process_group=0)
            stack.enter_context(program)
            stack.callback(program.kill)
        out, error = _output(program, process)
    rows = list(csv.DictReader(out.splitlines()))
    if program.returncode or len(rows) != 1:
        said = (error or out).strip()[-500:]
        raise ProcessFailed(process.name, f"is not measured: `{' '.join(command)}` says {said}", process.last_words())
    return Run(float(rows[0]["rps"]), float(rows[0]["p99_latency_ms"]))


def _output(program: subprocess.Popen[str], process: Process) -> tuple[str, str]:
    """What the program has written when it ends, which it never does once `process` is gone."""
    while True:
        try:
            return program.communicate(timeout=LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            process.check()


@contextmanager
def running(process: Process, load: Load) -> Iterator[None]:
    """Load that goes on until the block ends."""
    command = [tool(), *load.arguments(process.port, 10**9)]
    with ExitStack() as stack:
        with held_back():
            nowhere = subprocess.DEVNULL
            program = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, process_group=0)
            stack.enter_context(program)
            stack.callback(program.kill)
        yield
        if program.poll() is not None:
            raise MeasurementFailed(f"{tool()} against {process.name} ended with {program.returncode} too early")


def add_members(process: Process, key: str, count: int, first: int = 0) -> None:
    """Makes members that `ELEMENT` names with `first` and the numbers behind it, a thousand in a command."""
    with process.client() as client:
        for start in range(first, first + count, BATCH):
            names = [f"element:{number:012d}" for number in range(start, min(start + BATCH, first + count))]
            client.sadd(key, *names)
