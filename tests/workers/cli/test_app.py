"""The root of the command: every subcommand is there, and an error is one line with an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from workers.cli.app import COMMANDS, main, root

if TYPE_CHECKING:
    from pathlib import Path


def test_every_subcommand_can_be_imported_and_says_what_it_does() -> None:
    context = click.Context(root)
    names = root.list_commands(context)
    assert len(names) > 20
    for name in names:
        command = root.get_command(context, name)
        assert command is not None
        assert command.help, name
        assert command.get_short_help_str(200) == COMMANDS[name][1]
    assert root.get_command(context, "no-such-command") is None


def test_on_80_columns_the_help_of_each_command_is_one_line() -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(root, ["--help"], terminal_width=80).output
    lines = shown.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert [line.split(maxsplit=1)[1] for line in lines] == [short_help for _, short_help in COMMANDS.values()]


@pytest.mark.parametrize("name", COMMANDS)
def test_on_80_columns_no_line_of_a_help_text_is_too_long(name: str) -> None:
    """The exit codes of `deltaic status` broke in the middle of a word."""
    shown = CliRunner().invoke(root, [name, "--help"], terminal_width=80).output
    assert [line for line in shown.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    "environment", [{}, {"_DELTAIC_COMPLETE": "bash_complete", "COMP_WORDS": "deltaic re", "COMP_CWORD": "1"}]
)
def test_help_and_completion_import_no_command(environment: dict[str, str]) -> None:
    """They imported all of them: half a second for each press of Tab."""
    program = """
import atexit, sys
atexit.register(lambda: print(*sorted(name for name in sys.modules if name.startswith("workers.")), file=sys.stderr))
sys.argv = ["deltaic", "--help"]
from workers.cli import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert "restore" in ended.stdout
    assert ended.stderr.split() == ["workers.cli", "workers.cli.app"]


_LOADED = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=open({log!r}, 'w'))); "


def loaded_by(line: str, fleet_file: Path, tmp_path: Path) -> list[str]:
    """Return the modules that a command loads until it ends, as no node answers (exit code 3)."""
    log = tmp_path / "loaded"
    arguments = ["deltaic", "-f", str(fleet_file), *line.split()]
    program = _LOADED.format(log=str(log)) + f"sys.argv = {arguments!r}; from workers.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert ended.returncode == 3, ended.stderr
    return log.read_text().split()


@pytest.mark.parametrize("line", ["get k", "get k --json", "incr k", "set k v", "add k x", "health n1"])
def test_a_short_command_imports_no_tables_no_log_and_no_sources_of_settings(
    nobody: Path, tmp_path: Path, line: str
) -> None:
    """`deltaic get` took a second, nearly all of it for imports."""
    loaded = loaded_by(line, nobody, tmp_path)
    assert "grpc" in loaded
    heavy = {"redis", "structlog", "rq", "uvloop", "crdt_core.commands", "crdt_core.replica", "crdt_core.library"}
    assert (heavy | {"rich", "pydantic_settings", "dotenv"}).isdisjoint(loaded)
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith(("workers.", "crdt_core."))}
    of_the_core = {"crdt_core.errors", "crdt_core.lattice", "crdt_core.types"}
    assert rooms == {"workers.cli", "workers.config", "workers.rpc", "workers.system", *of_the_core}


def test_the_status_imports_no_log_and_no_progress_bar(nobody: Path, tmp_path: Path) -> None:
    """They were a tenth of its time; the log prints tracebacks in colour, and so loads the lexers of all languages."""
    loaded = loaded_by("status", nobody, tmp_path)
    assert {"redis", "rich.table"} <= set(loaded)
    heavy = {"structlog", "pygments", "rich.progress", "rq", "uvloop", "crdt_core.commands", "crdt_core.replica"}
    assert (heavy | {"crdt_core.node", "pydantic_settings", "dotenv"}).isdisjoint(loaded)


@pytest.mark.parametrize(("line", "collects"), [("get k", True), ("--help", False)])
def test_garbage_is_collected_only_while_a_command_runs(nobody: Path, line: str, *, collects: bool) -> None:
    """A quarter of the time of `deltaic get` went into looking for garbage among what had just been imported."""
    program = f"""
import atexit, gc, sys
def collections():
    return sum(generation["collections"] for generation in gc.get_stats())
atexit.register(lambda: print(gc.isenabled(), collections() - began, gc.get_freeze_count() > 0, file=sys.stderr))
sys.argv = {["deltaic", "-f", str(nobody), *line.split()]!r}
from workers.cli import main
began = collections()
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    enabled, collections, frozen = ended.stderr.splitlines()[-1].split()
    assert (enabled, frozen) == (str(collects), "True")
    assert collects or collections == "0"


def test_an_error_is_one_line_and_its_exit_code(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["deltaic", "-f", str(nobody), "partition", "n1", "n9"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "deltaic: unknown node 'n9'; this fleet has n1, n2, n3\n"


@pytest.mark.parametrize(
    "line",
    [
        "get k", "get k --node n1", "diff k", "incr k", "decr k", "add k x", "remove k x", "set k v", "delete k",
        "sync", "sync n1", "health n1", "backup file", "demo --fast", "status", "partition n1", "heal", "node list",
        "node add n1", "node remove n1", "node add n4 --grpc 127.0.0.1:1 --redis redis://127.0.0.1:1",
    ],
)  # fmt: skip
def test_every_command_says_how_to_start_a_fleet_that_is_down(
    nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["deltaic", "-f", str(nobody), *line.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    said = capsys.readouterr()
    assert "start the fleet with `deltaic fleet`" in " ".join((said.out + said.err).split())
