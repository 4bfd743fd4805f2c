"""The `deltaic` command in the test's own process, where it starts no other and changes nothing of this one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from workers.cli.app import root

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

__all__ = ["invoke", "invoke_json"]


def invoke(file: Path, *arguments: str, standard_input: bytes | None = None, columns: int = 120) -> Result:
    """What `deltaic -f FILE ARGUMENT...` printed and how it ended; its error, if it raised one, is not yet a line."""
    runner = CliRunner(env={"COLUMNS": str(columns)})
    return runner.invoke(root, ["-f", str(file), *arguments], input=standard_input)


def invoke_json(file: Path, *arguments: str) -> Any:
    """What it printed with `--json`; it must not have raised an error."""
    result = invoke(file, *arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)
