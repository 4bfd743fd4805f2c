"""The README does what it says: every block is run, from top to bottom, on a fleet that was just started."""

from __future__ import annotations

import ast
import contextlib
import os
import pty
import re
import signal
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from tests.readme.page import README, Block, Step, blocks, masked
from tests.support import DELTAIC, LINUX, free_ports_above, plain_environment, program, wait_until
from tests.workers.processes.programs import Started
from workers.config.loading import PACKAGED_FILE, checked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPOSITORY = README.parent
PORTS = (0, *range(101, 107), *range(201, 207))
"""The ports of the page, above 7000: those of Valkey, and of the two faces of n1 to n6."""
READS = re.compile(
    r"deltaic (status|diff|get|node list|.* --dry-run)|redis-cli .*\b(GET|SMEMBERS|HGET|HGETALL|HMGET|XREVRANGE)\b"
)
"""Commands that may be repeated until they show what the page shows: a round, an audit or a fold takes its time."""
COVERED = {
    "make fleet ": "tests/tools/test_makefile.py",
    "n3 has been away": "tests/workers/cli/test_status_notes.py",
    "docker compose up": "tests/containers/test_deployment.py",
    "deltaic backup": "tests/scenarios/test_backup.py",
    "printf": "tests/workers/maelstrom/test_process.py",
    "python -m tests.workers.maelstrom.bench": "tests/workers/maelstrom/test_bench.py",
}
"""How the blocks begin that cannot run here, and the tests that show what they do."""


class Reader:
    """Somebody who follows the page in the directory of a checkout, on other ports than the page has."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names: dict[str, Any] = {}
        self.first = free_ports_above(*PORTS)
        (directory / "Procfile").write_text((REPOSITORY / "Procfile").read_text())
        self.environment = plain_environment() | self._settings() | {"COLUMNS": "120", "TERM": "dumb"}
        self.environment["PATH"] = f"{DELTAIC.parent}{os.pathsep}{self.environment['PATH']}"

    def _settings(self) -> dict[str, str]:
        """The addresses of the packaged fleet file, on the ports of this reader."""
        variables = {"DELTAIC_VALKEY__PORT": self.here("7000"), "DELTAIC_JOBS__COMPACTION_INTERVAL_S": "1"}
        for name, node in tomllib.loads(PACKAGED_FILE.read_text())["nodes"].items():
            for setting, address in node.items():
                variables[f"DELTAIC_NODES__{name}__{setting}".upper()] = self.here(address)
        return variables

    def here(self, text: str) -> str:
        """The text with the ports of this reader."""
        return re.sub(r"\b7([012]\d\d)\b", lambda match: str(self.first + int(match[1])), text)

    def follow(self, step: Step) -> None:
        """Runs a command, and compares what it shows, if the page shows anything."""
        expected = masked(step.command, [self.here(line) for line in step.shown])
        run = self._in_terminal if step.command.startswith("redis-cli") else self._in_pipe

        def shown() -> list[str]:
            return masked(step.command, run(self.here(step.command)).splitlines())

        if READS.search(step.command):
            wait_until(lambda: _equal(shown(), expected), 40, f"`{step.command}` to show {expected}")
        else:
            assert shown() == expected, step.command

    def _in_pipe(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60,
        ).stdout  # fmt: skip

    def _in_terminal(self, command: str) -> str:
        """As people see it: `redis-cli` says `(integer) 1` to a terminal only."""
        own, its = pty.openpty()
        done = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=its, stderr=its,
        )  # fmt: skip
        os.close(its)
        said = b""
        try:
            while chunk := os.read(own, 1 << 16):
                said += chunk
        except OSError:  # Linux says so at the end of a terminal.
            pass
        os.close(own)
        assert done.wait(20) == 0, said
        return said.decode()

    def run_python(self, block: Block) -> int:
        """Runs the statements in the namespace of the page; returns how many values it has compared."""
        source, compared = self.here(block.text), 0
        lines = source.splitlines()
        for statement in ast.parse(source).body:
            text = ast.get_source_segment(source, statement) or ""
            comment = lines[(statement.end_lineno or 1) - 1].partition("  # ")[2]
            if isinstance(statement, ast.Expr) and comment.startswith("{"):
                assert eval(text, self.names) == ast.literal_eval(comment), text  # noqa: S307  our own page
                compared += 1
            else:
                exec(compile(text, README, "exec"), self.names)  # noqa: S102  our own page
        return compared


def _equal(shown: list[str], expected: list[str]) -> bool:
    assert shown == expected
    return True


def _is_covered(block: Block) -> bool:
    tests = [test for words, test in COVERED.items() if block.text.startswith(words)]
    assert all((REPOSITORY / test).exists() for test in tests)
    return bool(tests)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    program("redis-cli", "redis-tools")
    return Reader(tmp_path)


@pytest.fixture
def fleet(reader: Reader) -> Iterator[Started]:
    """What `make fleet` starts."""
    fleet = Started(reader.directory / "output", [DELTAIC, "fleet"], cwd=reader.directory, env=reader.environment)
    yield fleet
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(fleet.process.pid, signal.SIGKILL)
    fleet.process.wait()


@LINUX
def test_every_block_of_the_page_shows_what_a_fresh_fleet_gives_in_order(reader: Reader, fleet: Started) -> None:
    """Its batch met a key of another type, its policies were no whole file, its counts differed from the top down."""
    fleet.shows("5 replicas are up", "end all of it; the data stays", timeout=90)
    compared = 0
    for block in blocks():
        if block.steps:
            for step in block.steps:
                reader.follow(step)
                compared += 1
        elif block.language == "python":
            compared += reader.run_python(block)
        elif block.language == "toml":
            _is_part_of_a_fleet_file(block)
        elif block.text.startswith("╭"):
            # With the environment activated, the command is on the PATH.
            banner = masked("", reader.here(block.text).replace(".venv/bin/", "").splitlines())
            assert set(banner) <= set(masked("", fleet.text.splitlines())), fleet.text
        else:
            assert _is_covered(block), f"nobody runs this block: {block.text}"
    assert compared >= 40, "blocks were taken for something else"
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.ends(30) == 0
    assert "Traceback" not in fleet.text


def _is_part_of_a_fleet_file(block: Block) -> None:
    packaged = tomllib.loads(PACKAGED_FILE.read_text())
    settings = checked(packaged | tomllib.loads(block.text))
    for section, values in tomllib.loads(block.text).items():
        assert values, section
        assert getattr(settings, section), section
