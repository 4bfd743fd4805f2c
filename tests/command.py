"""The `deltaic` command as people and scripts run it: as a process."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.support import DELTAIC, plain_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Command"]


class Command:
    """`deltaic -f FILE ...` as a process."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [DELTAIC, "-f", self.file, *arguments],
            env=plain_environment() | {"COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What it printed and how it ended; never a traceback."""
        (result,) = self.run_all(arguments)
        return result

    def run_all(self, *lines: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
        """As `run`, several at the same time."""
        with ExitStack() as running:
            processes = [running.enter_context(self.start(*arguments)) for arguments in lines]
            for process in processes:
                running.callback(process.kill)
            said = [process.communicate(timeout=60) for process in processes]
        assert not [err for _, err in said if "Traceback" in err]
        return [
            subprocess.CompletedProcess(arguments, process.returncode, out, err)
            for arguments, process, (out, err) in zip(lines, processes, said, strict=True)
        ]

    def __call__(self, *arguments: str) -> str:
        """What it printed; it must succeed."""
        result = self.run(*arguments)
        assert result.returncode == 0, f"{arguments}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)
