"""The servers and workers that are measured: each in a process group of its own, all ended by id when the case ends.

A worker is a real `deltaic replica`, run by this very Python, on a Valkey of its own on the loopback address. Ctrl-C
in a terminal reaches only the program itself, which ends the others; their files go with them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from redis import Redis
from redis.exceptions import RedisError

from bench import baseline
from bench.errors import ProcessFailed
from bench.program import held_back
from workers.config.embedded_server import HOST
from workers.config.protection import ValkeySettings
from workers.processes.embedded import server_arguments, server_binary
from workers.system.ports import reserve_port

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["HOST", "Process", "Server", "Site", "Worker", "wait_until"]

ROOT = Path(__file__).parents[1]
READY_S = 60.0
ENDING_S = 20.0
LOOK_EVERY_S = 0.005


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `condition` came true in time; it is asked every few milliseconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


class Process:
    """A program that answers the Redis protocol on `port`, and writes what it says to `log`.

    `code`: where Python finds its modules, if it is a Python program.
    """

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path, *, code: Path = ROOT) -> None:
        self.name = name
        self.port = port
        self._code = code
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts it; it leads a process group of its own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}
        with held_back(), self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self._code,
                process_group=0,
            )
        return self

    def wait_until_ready(self, ready: Callable[[], bool] | None = None) -> Self:
        """Returns once `ready` (by default: it answers a PING); raises `ProcessFailed`."""
        if not wait_until(partial(self._ready_or_over, ready or self.answers), READY_S):
            raise ProcessFailed(self.name, f"was not ready after {READY_S:g} s", self.last_words())
        self.check()
        return self

    def check(self) -> None:
        """Raises `ProcessFailed` if it has ended."""
        if self._over():
            raise ProcessFailed(self.name, f"ended with {self._running().returncode}", self.last_words())

    def _ready_or_over(self, ready: Callable[[], bool]) -> bool:
        return self._over() or ready()

    def answers(self) -> bool:
        """Whether it answers a PING."""
        with self.client() as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    def client(self) -> Redis:
        """A client with connections of its own, to be closed."""
        return Redis(host=HOST, port=self.port)

    def stop(self) -> None:
        """Ends it and whatever it started, and waits; nothing happens if it is not there."""
        if self._process is None or self._over():
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        os.killpg(self._running().pid, number)

    def _over(self) -> bool:
        return self._running().poll() is not None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def resident_bytes(self) -> int:
        """Its memory, as the kernel counts it."""
        for line in Path(f"/proc/{self._running().pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessFailed(self.name, "has no memory", self.last_words())

    def last_words(self, lines: int = 20) -> str:
        """The end of its log."""
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Server(Process):
    """A Valkey without peers."""

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"


class Worker(Process):
    """The worker of node `name`, whose Redis is `server`; it serves gRPC at the address `grpc`."""

    server: Server
    grpc: str
    fleet_file: Path


class Site:
    """The processes of one case, on this machine; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._directory = Path()

    def __enter__(self) -> Self:
        self._directory = Path(self._cleanup.enter_context(TemporaryDirectory(prefix="deltaic-bench-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)

    def server(self, name: str = "raw", appendfsync: str | None = None) -> Server:
        """A running Valkey; it persists nothing unless `appendfsync` says how."""
        port, directory = self._port(), self._directory / f"valkey-{name}"
        directory.mkdir()
        settings = ValkeySettings(port=port, directory=directory, appendfsync=appendfsync or "no")
        persistence = () if appendfsync else ("--appendonly", "no")
        command = [server_binary(), *server_arguments(settings), *persistence]
        server = Server(f"Valkey of {name}", command, port, directory / "log")
        self._begin(server)
        return server

    def fleet(self, nodes: int = 1, appendfsync: str | None = None) -> list[Worker]:
        """The running workers of a fleet, each on a Valkey of its own."""
        return self._fleet("n", ROOT, nodes, appendfsync)

    def baseline_fleet(self, nodes: int = 1, appendfsync: str | None = None) -> list[Worker]:
        """The same of the baseline (`bench.baseline`). Raises `BaselineMissing`."""
        code = baseline.unpack(self._directory / f"deltaic-{baseline.VERSION}")
        return self._fleet("old", code, nodes, appendfsync)

    def _fleet(self, prefix: str, code: Path, nodes: int, appendfsync: str | None) -> list[Worker]:
        """Return the workers of a fleet that run `code`; their nodes are called `prefix` and a number."""
        names = [f"{prefix}{number}" for number in range(1, nodes + 1)]
        servers = {name: self.server(name, appendfsync) for name in names}
        ports = {name: self._port() for name in servers}
        addresses = {name: f"{HOST}:{self._port()}" for name in servers}
        tables = [
            f'[nodes.{name}]\ngrpc = "{addresses[name]}"\nresp = "{HOST}:{ports[name]}"\nredis = "{server.url}"\n'
            for name, server in servers.items()
        ]
        file = self._directory / f"fleet-of-{names[0]}.toml"
        file.write_text("\n".join([*tables, "[valkey]\nembedded = false\n"]), "utf-8")
        workers = []
        for name, server in servers.items():
            what = ("--file", str(file), "replica", name, "--log-level", "warning")
            command = [sys.executable, "-m", "workers.cli", *what]
            worker = Worker(name, command, ports[name], self._directory / f"{name}.log", code=code)
            worker.server, worker.grpc, worker.fleet_file = server, addresses[name], file
            workers.append(worker)
        for worker in workers:
            self._cleanup.callback(worker.stop)
            worker.start()
        return [worker.wait_until_ready() for worker in workers]

    def _begin(self, process: Process) -> None:
        self._cleanup.callback(process.stop)
        process.start().wait_until_ready()

    def _port(self) -> int:
        """A free port. The socket that holds it never listens, and keeps the kernel from giving it to anybody else."""
        held: socket.socket = reserve_port(HOST, 0, wanted_by="the benchmark", setting="its ports")
        self._cleanup.callback(held.close)
        port: int = held.getsockname()[1]
        return port
