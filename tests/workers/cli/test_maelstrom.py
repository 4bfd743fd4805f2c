"""`deltaic maelstrom`: one node on standard input and output; what it does there is tested in its own room."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.support import DELTAIC
from workers.cli.maelstrom import maelstrom
from workers.maelstrom.workloads import WORKLOADS


def test_it_answers_requests_until_its_input_ends() -> None:
    init = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1"]}
    requests = [init, {"type": "echo", "msg_id": 2, "echo": "hello"}]
    lines = "".join(json.dumps({"src": "c1", "dest": "n1", "body": body}) + "\n" for body in requests)
    done = subprocess.run([DELTAIC, "maelstrom", "echo"], input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    replies = [json.loads(line)["body"] for line in done.stdout.splitlines()]
    assert [(body["type"], body["in_reply_to"]) for body in replies] == [("init_ok", 1), ("echo_ok", 2)]
    assert replies[1]["echo"] == "hello"


@pytest.mark.parametrize("arguments", [["no-such-workload"], ["echo", "--interval-ms", "0"], ["echo", "--fanout", "x"]])
def test_what_makes_no_sense_is_a_matter_of_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(maelstrom, arguments)
    assert result.exit_code == 2


def test_a_node_in_memory_imports_no_redis() -> None:
    """The redis package alone was a third of the time to a node's first answer."""
    program = "import sys, workers.cli.maelstrom; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"redis", "hiredis", "tenacity", "grpc", "pydantic", "uvloop"}.isdisjoint(loaded)


def test_every_workload_is_named_in_its_help() -> None:
    shown = CliRunner().invoke(maelstrom, ["--help"]).output
    assert all(workload in shown for workload in WORKLOADS)
