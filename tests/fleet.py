"""A fleet of real worker processes on a Valkey of its own, which a test can kill, freeze, partition and inspect.

    with Fleet(directory, nodes=3) as fleet:
        fleet["n1"].increment("hits")
        fleet.agree()
        assert fleet["n3"].counter("hits") == 1

Workers are children of the test's process, started as `deltaic replica`, and ended by pid however the test ends.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import grpc
import orjson

from crdt_core.codec.messages import Round, encode_message
from tests.client import NodeClient, channel_to
from tests.server import ValkeyServer
from tests.support import DELTAIC, free_port, plain_environment, wait_until
from workers.wire.keys import MESSAGE_FIELD, OPEN, PAUSED, Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from redis import Redis

    from crdt_core.codec.messages import Message

__all__ = ["Fleet", "Node", "code_of"]

EXCHANGE_TIMEOUT_MS = 2000


class Node(NodeClient):
    """One node: its worker process, and its faces. `name` is the node's; `title` tells processes of one node apart."""

    def __init__(self, name: str, address: str, file: Path, title: str, *, resp_port: int = 0) -> None:
        self._channel = channel_to(address)
        super().__init__(self._channel)
        self.name = name
        self.address = address
        self.resp_port = resp_port
        self.keys = Keys(name)
        self.log = file.with_name(f"{title}.log")
        self._file = file
        self.program: list[str | Path] = [DELTAIC]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> Self:
        """Starts the worker; see `wait_until_serving`."""
        assert not self.running
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program, "--file", self._file, "replica", self.name, *options],
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def wait_until_serving(self, timeout: float = 30) -> Self:
        """Returns once the node serves; fails at once if the process ends instead."""

        def serves_or_ended() -> bool:
            return self.is_serving() or not self.running

        wait_until(serves_or_ended, timeout, f"{self.name} to serve; its log:\n{self.last_words()}")
        assert self.running, f"{self.name} ended with {self.exit_code()}; its log:\n{self.last_words()}"
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Of its worker, if one was ever started."""
        return self._process.pid if self._process is not None else None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.exit_code()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def suspend(self) -> None:
        """SIGSTOP: the process is frozen in the middle of whatever it does; its connections stay open."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def exit_code(self, timeout: float = 30) -> int:
        """Waits for the process to end."""
        assert self._process is not None
        return self._process.wait(timeout)

    def discard(self) -> None:
        """Ends the process, if there is one, and the connections to it."""
        if self.running:
            self.kill()
        self._channel.close()

    def times_logged(self, event: str) -> int:
        """How often the event stands in the log of the node's processes."""
        return self._log_text().count(f"event={event} ")

    def last_words(self, lines: int = 40) -> str:
        return "\n".join(self._log_text().splitlines()[-lines:])

    def _log_text(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


class Fleet:
    """`nodes` workers, `n1` first, on one Valkey or, with `valkey_each`, on one each. A context manager.

    `limits` and `gossip`: settings of those sections; `settings`: more sections of TOML.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int = 5,
        *,
        appendfsync: str = "everysec",
        valkey_each: bool = False,
        limits: Mapping[str, int] | None = None,
        gossip: Mapping[str, int] | None = None,
        settings: str = "",
    ) -> None:
        self._settings = settings
        self._limits = dict(limits or {})
        names = [f"n{number}" for number in range(1, nodes + 1)]
        self.directory = directory
        self._gossip = {"timeout_ms": EXCHANGE_TIMEOUT_MS, **(gossip or {})}
        servers = [ValkeyServer(directory / f"valkey{i}", appendfsync) for i in range(nodes if valkey_each else 1)]
        self.valkeys = dict(zip(names, servers if valkey_each else servers * nodes, strict=True))
        self._addresses = {name: (f"127.0.0.1:{free_port()}", self.valkeys[name].url) for name in names}
        self._resp_ports: dict[str, int] = {}
        file = self._write_file("fleet.toml", self._addresses)
        self.nodes = {name: self._node(name, address, file, name) for name, (address, _) in self._addresses.items()}
        self._others: list[Node] = []
        self._clients: dict[str, Redis] = {}
        self._cleanup = ExitStack()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            cleanup.callback(self._discard_all)
            for server in dict.fromkeys(self.valkeys.values()):
                cleanup.callback(server.stop)
                server.start()
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                node.wait_until_serving()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        # Workers first: they wait for their Redis as long as it takes.
        self._discard_all()
        self._cleanup.close()

    @property
    def valkey(self) -> ValkeyServer:
        """The only server."""
        (server,) = set(self.valkeys.values())
        return server

    def redis(self, name: str = "n1") -> Redis:
        """A client of the node's Redis."""
        server = self.valkeys[name]
        if server.url not in self._clients:
            self._clients[server.url] = server.client()
        return self._clients[server.url]

    def elsewhere(self, name: str, *, redis: str | None = None) -> Node:
        """Node `name` as another machine would run it: with an address of its own, maybe its own way to Redis."""
        title = f"{name}-elsewhere-{len(self._others) + 1}"
        address = f"127.0.0.1:{free_port()}"
        file = self._write_file(f"{title}.toml", {**self._addresses, name: (address, redis or self.valkeys[name].url)})
        self._others.append(self._node(name, address, file, title))
        return self._others[-1]

    def twin(self, name: str) -> Node:
        """Another process for node `name`, at the same address."""
        title = f"{name}-twin-{len(self._others) + 1}"
        self._others.append(self._node(name, self.nodes[name].address, self.directory / "fleet.toml", title))
        return self._others[-1]

    def newcomer(self, name: str) -> Node:
        """A node with a running Valkey of its own, which nobody knows yet: see `deltaic node add`."""
        server = ValkeyServer(self.directory / f"valkey-{name}")
        self._cleanup.callback(server.stop)
        self.valkeys[name] = server.start()
        self.nodes[name] = Node(name, f"127.0.0.1:{free_port()}", self.directory / "fleet.toml", name)
        return self.nodes[name]

    # Agreement

    def sync_all(self, *names: str) -> None:
        """Every node exchanges with all that it listens to."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(NodeClient.sync, self.members(names)))

    def agree(self, *names: str, timeout: float = 20) -> None:
        """Waits until the named nodes (none: all) hold the same: equal clocks, and so equal digests.

        As a node's clock counts its own commits, equal clocks mean that everyone has all that anyone acknowledged.
        """
        wait_until(lambda: len(set(self.views(names))) == 1, timeout, "all nodes to agree")

    def hear(self) -> None:
        """Waits until every node knows that all others read what this version writes. Until then, it writes less."""

        def all_heard() -> bool:
            ids = {self.redis(name).hget(self[name].keys.header, "replica").decode() for name in self.nodes}
            read = [self.redis(name).hget(self[name].keys.header, "upgraded") for name in self.nodes]
            return all(heard is not None and len(ids & {*orjson.loads(heard)}) == len(ids) - 1 for heard in read)

        wait_until(all_heard, what="all nodes to hear from each other")

    def views(self, names: Iterable[str] = ()) -> list[tuple[tuple[tuple[str, int], ...], str]]:
        """Clock and digest of each node."""
        try:
            statuses = [node.status() for node in self.members(tuple(names))]
        except grpc.RpcError as error:
            raise AssertionError("a node does not tell its status") from error
        return [(tuple(sorted(status.clock.items())), status.digest) for status in statuses]

    def everywhere(self, read: str, key: str) -> list[Any]:
        """What each node reads under `key`: `counter`, `elements` or `register`."""
        return [getattr(node, read)(key) for node in self.nodes.values()]

    def members(self, names: tuple[str, ...] = ()) -> list[Node]:
        return [self.nodes[name] for name in names or self.nodes]

    # Partitions

    def cut(self, one: Iterable[str], other: Iterable[str]) -> None:
        """Nobody of `one` and nobody of `other` listen to each other, by gRPC."""
        one, other = list(one), list(other)
        for here, there in ((one, other), (other, one)):
            for name in here:
                self.nodes[name].partition(*there)

    def set_link(self, name: str, peer: str, state: str) -> None:
        """What `redis-cli HSET` would do."""
        self.redis(name).hset(self.nodes[name].keys.links, peer, state)

    def cut_by_redis(self, one: Iterable[str], other: Iterable[str], state: str = PAUSED) -> None:
        """As `cut`, without a word to the workers."""
        one, other = list(one), list(other)
        for here, there in ((one, other), (other, one)):
            for name in here:
                for peer in there:
                    self.set_link(name, peer, state)

    def heal(self) -> None:
        """Everybody listens to everybody."""
        for name in self.nodes:
            for peer in self.nodes.keys() - {name}:
                self.set_link(name, peer, OPEN)

    # Streams

    def tell(self, name: str, message: Message | bytes) -> str:
        """Puts a message into the node's inbox; its entry id."""
        content = message if isinstance(message, bytes) else encode_message(message)
        entry: bytes = self.redis(name).xadd(self.nodes[name].keys.inbox, {MESSAGE_FIELD: content})
        return entry.decode()

    def round(self, name: str, *peers: str, timeout_s: float = 10) -> dict[str, Any]:
        """One gossip round of `name` with `peers`, as its job would have it; what the job would report."""
        key = self.nodes[name].keys.answer(secrets.token_hex(8))
        self.tell(name, Round(key[-8:], peers, key))
        answer = self.redis(name).blpop([key], timeout=timeout_s)
        assert answer is not None, f"{name} did not finish its round"
        return orjson.loads(answer[1])

    def quarantined(self, name: str) -> list[dict[str, str]]:
        """What the node has set aside, oldest first."""
        entries = self.redis(name).xrange(self.nodes[name].keys.quarantine)
        return [{k.decode(): v.decode("utf-8", "replace") for k, v in fields.items()} for _, fields in entries]

    def own_log(self, name: str) -> list[str]:
        """The entry ids of the node's log."""
        return [entry.decode() for entry, _ in self.redis(name).xrange(self.nodes[name].keys.log)]

    # The end

    def last_words(self) -> dict[str, str]:
        """The last lines of every process's log."""
        logs = {node.log.stem: node.last_words() for node in (*self.nodes.values(), *self._others)}
        for server in dict.fromkeys(self.valkeys.values()):
            log = server.directory / "valkey.log"
            logs[server.directory.name] = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
        return logs

    def _discard_all(self) -> None:
        for node in (*self.nodes.values(), *self._others):
            node.discard()
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _node(self, name: str, address: str, file: Path, title: str) -> Node:
        return Node(name, address, file, title, resp_port=self._resp_ports[address])

    def _write_file(self, name: str, nodes: Mapping[str, tuple[str, str]]) -> Path:
        tables = []
        for node, (address, redis) in nodes.items():
            port = self._resp_ports.setdefault(address, free_port())
            tables.append(f'[nodes.{node}]\ngrpc = "{address}"\nresp = "127.0.0.1:{port}"\nredis = "{redis}"\n')
        gossip = "".join(f"{setting} = {value}\n" for setting, value in self._gossip.items())
        limits = "".join(f"{setting} = {value}\n" for setting, value in self._limits.items())
        settings = f"[gossip]\n{gossip}[valkey]\nembedded = false\n[limits]\n{limits}{self._settings}"
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / name
        file.write_text("\n".join([*tables, settings]), "utf-8")
        return file


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status code that a call ended with."""
    assert isinstance(error, grpc.RpcError)
    assert isinstance(error, grpc.Call)
    return error.code()
