"""Real node processes, each with its stdin and stdout, the network between them, and clients who ask them.

async with Cluster("g-set", 3, directory) as cluster:
    await cluster.ask("n0", {"type": "add", "element": 1})
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from tests.support import plain_environment
from tests.workers.maelstrom.checks import shape_problem
from tests.workers.maelstrom.network import Faults, Network

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMAND", "Cluster", "Refused", "environment"]

COMMAND = [sys.executable, "-m", "workers.cli", "maelstrom"]
ROOT = Path(__file__).parents[3]
LINE_BYTES_MAX = 1 << 26
START_TIMEOUT_S = 60.0


class Refused(Exception):
    """A request that was answered with an error, or was not answered because its node was killed (`code` 0)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"error {code}: {text}")


def environment() -> dict[str, str]:
    """What a node's process finds: this source tree, whatever else is installed."""
    return {**plain_environment(), "PYTHONPATH": str(ROOT)}


class Cluster:
    """`nodes` processes `n0`, `n1`, ...; `options` are those of the command. Diagnostics go to a file per node."""

    def __init__(
        self,
        workload: str,
        nodes: int,
        directory: Path,
        *,
        faults: Faults | None = None,
        options: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.nodes = [f"n{number}" for number in range(nodes)]
        self.network = Network(faults or Faults(), self._deliver, seed)
        self.problems: list[str] = []
        self._workload = workload
        self._directory = directory
        self._options = options
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[int, tuple[str, str, asyncio.Future[dict[str, Any]]]] = {}
        self._msg_id = 0

    async def __aenter__(self) -> Self:
        await asyncio.gather(*map(self.start, self.nodes))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(*map(self._end, self.live))

    @property
    def live(self) -> list[str]:
        """The nodes that run."""
        return [node for node in self.nodes if node in self._processes]

    async def start(self, node: str) -> None:
        """Starts `node` and returns once it has taken its `init`."""
        with (self._directory / f"{node}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                self._workload,
                *self._options,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES_MAX,
                env=environment(),
            )
        self._processes[node] = process
        self._readers[node] = asyncio.create_task(self._read(node, process))
        init = {"type": "init", "node_id": node, "node_ids": self.nodes}
        await asyncio.wait_for(self.ask(node, init), START_TIMEOUT_S)

    async def kill(self, node: str) -> None:
        """SIGKILL; whoever waits for its reply is told."""
        process = self._processes.pop(node)
        process.kill()
        await process.wait()
        await self._readers.pop(node)
        for asked, _, future in list(self._asked.values()):
            if asked == node and not future.done():
                future.set_exception(Refused(0, f"{node} was killed"))

    async def ask(self, node: str, body: dict[str, Any]) -> dict[str, Any]:
        """The body of the reply; raises `Refused`. Set a deadline from outside."""
        self._msg_id += 1
        msg_id = self._msg_id
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[msg_id] = (node, body["type"], future)
        self._deliver(node, orjson.dumps({"src": "c1", "dest": node, "body": {**body, "msg_id": msg_id}}) + b"\n")
        try:
            return await future
        finally:
            del self._asked[msg_id]

    def last_words(self) -> dict[str, str]:
        """What each node said on stderr."""
        logs = {node: self._directory / f"{node}.log" for node in self.nodes}
        return {node: log.read_text(errors="replace")[-2000:] for node, log in logs.items() if log.stat().st_size}

    def _deliver(self, dest: str, line: bytes) -> None:
        process = self._processes.get(dest)
        if process is not None and process.stdin is not None:
            process.stdin.write(line)

    async def _read(self, node: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                message = orjson.loads(line)
                if message.keys() != {"src", "dest", "body"} or message["src"] != node:
                    raise ValueError("no message of this node")  # noqa: TRY301
            except (ValueError, AttributeError, TypeError) as error:
                self.problems.append(f"{node} said {line[:200]!r}: {error}")
                continue
            if message["dest"] in self.nodes:
                self.network.send(node, message["dest"], line)
            else:
                self._take_reply(node, message["body"])

    def _take_reply(self, node: str, body: dict[str, Any]) -> None:
        asked = self._asked.get(body.get("in_reply_to", -1))
        if asked is None:
            return  # its deadline has passed
        to, type_, future = asked
        problem = f"asked was {to}" if to != node else shape_problem(self._workload, type_, body)
        if problem:
            self.problems.append(f"{node} answered {type_} with {str(body)[:200]}: {problem}")
        if future.done():
            return
        if body["type"] == "error":
            future.set_exception(Refused(body["code"], body["text"]))
        else:
            future.set_result(body)

    async def _end(self, node: str) -> None:
        """Ends a node as the bench does, by the end of its input; one that does not end is killed, and reported."""
        process = self._processes.pop(node)
        assert process.stdin is not None
        process.stdin.close()
        with suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.wait_closed()
        try:
            code = await asyncio.wait_for(process.wait(), 20)
            if code:
                self.problems.append(f"{node} ended with exit code {code}")
        except TimeoutError:
            self.problems.append(f"{node} did not end")
            process.kill()
            await process.wait()
        await self._readers.pop(node)
