"""Node processes as a grader has them: lines in, lines out, and the end of the input."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from tests.workers.maelstrom.cluster import COMMAND, ROOT, environment

if TYPE_CHECKING:
    from contextlib import ExitStack

__all__ = ["INIT", "INIT_OF_3", "INIT_OK", "NO_ROUNDS", "TwoNodes", "bodies", "outputs", "start"]

INIT = '{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}'
INIT_OF_3 = '{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2","n3"]}}'
INIT_OK = '{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}'
NO_ROUNDS = ("--interval-ms", "1000000")


def start(workload: str, *options: str) -> subprocess.Popen[str]:
    """A node's process, to be talked to line by line."""
    return subprocess.Popen(
        [*COMMAND, workload, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


def outputs(workload: str, lines: list[str], *options: str) -> list[str]:
    """What a node says to `lines` and the end of the input, after which it must end well."""
    with start(workload, *NO_ROUNDS, *options) as process:
        out, err = process.communicate("".join(line + "\n" for line in lines), timeout=30)
    assert process.returncode == 0, err
    return out.splitlines()


def bodies(workload: str, requests: list[dict[str, Any]], *options: str, init: str = INIT) -> list[dict[str, Any]]:
    """The bodies of all that a node says after its init, to `requests` numbered from 2."""
    lines = [json.dumps({"src": "c1", "dest": "n1", "body": {"msg_id": 2 + i, **r}}) for i, r in enumerate(requests)]
    return [json.loads(line)["body"] for line in outputs(workload, [init, *lines], *options)[1:]]


class TwoNodes:
    """Nodes n1 and n2, whose messages to each other wait here until the test lets them through."""

    def __init__(self, workload: str, stack: ExitStack) -> None:
        self._processes = {name: stack.enter_context(start(workload, *NO_ROUNDS)) for name in ("n1", "n2")}
        self._held: list[dict[str, Any]] = []
        for name in self._processes:
            self.ask(name, type="init", node_id=name, node_ids=["n1", "n2"])

    def ask(self, node: str, **body: Any) -> dict[str, Any]:
        """The reply to a client's request; what the node says to its peer meanwhile is held."""
        self._write(node, {"src": "c1", "dest": node, "body": {**body, "msg_id": 1}})
        return self._read_until(node, "c1")["body"]

    def exchange(self, *senders: str) -> None:
        """Lets through the deltas of each of the `senders`, waiting for them where they are still to come."""
        for sender in senders:
            while not any(message["src"] == sender for message in self._held):
                self._read_until(sender, "n1" if sender == "n2" else "n2")
        for message in self._held:
            self._write(message["dest"], message)
        self._held = []

    def close(self) -> None:
        """Ends both nodes by the end of their input."""
        for process in self._processes.values():
            process.communicate(timeout=30)
            assert process.returncode == 0

    def _write(self, node: str, message: dict[str, Any]) -> None:
        stdin = self._processes[node].stdin
        assert stdin is not None
        stdin.write(json.dumps(message) + "\n")
        stdin.flush()

    def _read_until(self, node: str, dest: str) -> dict[str, Any]:
        stdout = self._processes[node].stdout
        assert stdout is not None
        while True:
            message = json.loads(stdout.readline())
            if message["dest"] in self._processes:
                self._held.append(message)
            if message["dest"] == dest:
                return message
