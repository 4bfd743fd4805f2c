"""A fleet of real processes for a test: a private Valkey (or one per node) and replica workers, ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
import orjson

from tests.client import NodeClient, connected
from tests.server import ValkeyServer
from tests.support import free_port, wait_until
from workers.keys import Keys
from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from redis import Redis

__all__ = ["Fleet"]

T = TypeVar("T")

DELTAIC = Path(sys.executable).with_name("deltaic")
END_TIMEOUT_S = 15


class Fleet:
    """`nodes` workers over one Valkey; a context manager. `settings`: further lines of the fleet file."""

    def __init__(self, directory: Path, nodes: int = 5, appendfsync: str = "everysec", settings: str = "") -> None:
        self.directory = directory
        self.valkey = ValkeyServer(directory / "valkey", appendfsync)
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        self.file = directory / "deltaic.toml"
        sections = [
            f'[nodes.{name}]\ngrpc = "{address}"\nredis = "{self.valkey.url}"\n'
            for name, address in self.addresses.items()
        ]
        self.file.write_text("\n".join([*sections, f"[valkey]\nport = {self.valkey.port}\n", settings]), "utf-8")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._exits = ExitStack()
        self._clients: dict[str, NodeClient] = {}

    def __enter__(self) -> Self:
        try:
            self._exits.callback(self._end_all)
            self.valkey.start()
            self.redis: Redis = self._exits.enter_context(self.valkey.client())
            for name, address in self.addresses.items():
                self._clients[name] = self._exits.enter_context(connected(address))
            self.start(*self.names)
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def __getitem__(self, name: str) -> NodeClient:
        return self._clients[name]

    # Processes

    def start(self, *names: str) -> None:
        """Starts the workers of `names`, and returns when all serve."""
        for name in names:
            self.processes[name] = self.spawn(name)
        for name in names:
            self.wait_until_serving(name)

    def spawn(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """One more worker process for node `name`; the caller ends it, unless it is put into `processes`."""
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [DELTAIC, "--file", self.file, "replica", name, *options],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def environment(self) -> dict[str, str]:
        """The environment without settings that a person has set."""
        return {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}

    def wait_until_serving(self, name: str) -> None:
        """Returns when node `name` serves; fails at once if its process has ended."""

        def serving() -> bool:
            process = self.processes[name]
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)}")
            return self[name].is_serving()

        wait_until(serving, 30, f"{name} to serve")

    def kill(self, *names: str) -> None:
        """SIGKILL, all at once."""
        for name in names:
            self.processes[name].kill()
        for name in names:
            self.processes[name].wait()

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        self.processes[name].terminate()
        return self.processes[name].wait(END_TIMEOUT_S)

    def suspend(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def log(self, name: str) -> str:
        """What the workers of node `name` have logged."""
        return (self.directory / f"{name}.log").read_text("utf-8")

    def _end_all(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.valkey.stop()

    # What the nodes show

    def at_once(self, *calls: Callable[[], T]) -> list[T]:
        """The results of `calls`, made concurrently."""
        with ThreadPoolExecutor(len(calls)) as pool:
            return [future.result() for future in [pool.submit(call) for call in calls]]

    def everywhere(self, view: Callable[[NodeClient], T], names: Iterable[str] | None = None) -> list[T]:
        """`view` of every node (or of `names`), in order."""
        return [view(self[name]) for name in names or self.names]

    def sync(self, *names: str) -> list[pb.SyncAllResponse]:
        """SyncAll at every node (or at `names`), one after the other."""
        return [self[name].replication.SyncAll(pb.SyncAllRequest(), timeout=15) for name in names or self.names]

    def wait_until_agreed(self, names: Iterable[str] | None = None, timeout: float = 30) -> str:
        """Returns the common digest, once all nodes (or `names`) have equal clocks; their digests must be equal then."""
        names = list(names or self.names)

        def agreed() -> str | None:
            states = [self[name].control.Status(pb.StatusRequest(), timeout=5) for name in names]
            if any(dict(state.clock) != dict(states[0].clock) for state in states):
                return None
            digests = {state.digest for state in states}
            if len(digests) != 1:
                raise RuntimeError(f"equal clocks, different digests: {states}")
            return digests.pop()

        return wait_until(agreed, timeout, "all nodes to agree")

    # Links

    def pause(self, node: str, *peers: str) -> None:
        """`node` stops listening to `peers`, by gRPC."""
        self[node].control.Partition(pb.PartitionRequest(peers=peers), timeout=5)

    def cut(self, *groups: Iterable[str]) -> None:
        """No group hears another."""
        for group in groups:
            others = [name for other in groups if other is not group for name in other]
            for name in group:
                self.pause(name, *others)

    def heal(self) -> None:
        """Every node listens to all."""
        for name in self.names:
            self[name].control.Heal(pb.HealRequest(), timeout=5)

    # Redis

    def header(self, name: str) -> dict[str, Any]:
        """The persisted header of a node: JSON fields parsed, others as text."""
        fields = self.redis.hgetall(Keys(name).header)
        return {field.decode(): _parsed(value) for field, value in fields.items()}

    def quarantine(self, name: str) -> list[dict[str, str]]:
        """What node `name` has set aside."""
        entries = self.redis.xrange(Keys(name).quarantine)
        return [{k.decode(): v.decode("utf-8", "replace") for k, v in fields.items()} for _, fields in entries]


def _parsed(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value.decode()


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    """The status code with which `call` is refused."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
