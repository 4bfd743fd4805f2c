"""`deltaic keep`: the command and the fleet file are passed on, and its exit code is the command's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.command import Command
from tests.workers.fleet_files import fleet_file

if TYPE_CHECKING:
    from pathlib import Path


def test_the_command_finds_the_fleet_file_and_its_own_options(tmp_path: Path) -> None:
    file = fleet_file(tmp_path)
    kept = Command(file).run("keep", "--", "sh", "-c", 'echo "$DELTAIC_FILE" "$@"; exit 2', "sh", "--help", "-f", "x")
    assert kept.returncode == 2
    assert kept.stdout == f"{file} --help -f x\n"


def test_a_command_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    kept = Command(fleet_file(tmp_path)).run("keep", "--", "no-such-command")
    assert kept.returncode == 2
    assert kept.stderr == "deltaic: COMMAND: no-such-command cannot be run: No such file or directory\n"
    assert Command(fleet_file(tmp_path)).run("keep").returncode == 2
