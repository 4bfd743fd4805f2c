"""`deltaic maelstrom`: one node on standard input and output; what it does there is tested in its own room."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.support import DELTAIC
from workers.cli.maelstrom import maelstrom
from workers.maelstrom.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_node_in_memory_answers_without_redis_or_a_log_or_the_metadata_of_packages(tmp_path: Path) -> None:
    """The redis package alone was a third of the time to a node's first answer; the log was another third."""
    loaded = tmp_path / "loaded"
    program = f"""
import atexit, sys
before = {{*sys.modules}}
atexit.register(lambda: print(*sys.modules.keys() - before, file=open({str(loaded)!r}, "w")))
sys.argv = ["deltaic", "maelstrom", "echo"]
from workers.cli import main
main()
"""
    init = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1"]}
    line = json.dumps({"src": "c1", "dest": "n1", "body": init}) + "\n"
    done = subprocess.run([sys.executable, "-c", program], input=line, capture_output=True, text=True, check=True)
    assert "init_ok" in done.stdout
    found = loaded.read_text().split()
    assert "importlib.metadata" not in found
    packages = {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"__main__"}
    assert packages == {"click", "orjson", "xxhash", "crdt_core", "workers"}
    rooms = {name.split(".")[1] for name in found if name.startswith("workers.")}
    assert rooms == {"cli", "maelstrom", "system", "turns"}


def test_a_line_that_is_no_message_is_told_on_stderr_in_one_line_of_fields() -> None:
    done = subprocess.run(
        [DELTAIC, "maelstrom", "echo"], input="nonsense\n7\n", capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    said = done.stderr.splitlines()
    assert len(said) == 2
    assert all("level=warning event=line_refused" in line for line in said)


def test_every_workload_is_named_in_its_help() -> None:
    shown = CliRunner().invoke(maelstrom, ["--help"]).output
    assert all(workload in shown for workload in WORKLOADS)
