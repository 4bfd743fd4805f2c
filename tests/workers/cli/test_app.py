"""The root of the command: every subcommand is there, and an error is one line with an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import pytest

from workers.cli.app import main, root

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
    assert root.get_command(context, "no-such-command") is None


def test_an_error_is_one_line_and_its_exit_code(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["deltaic", "-f", str(nobody), "partition", "n1", "n9"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "deltaic: unknown node 'n9'; this fleet has n1, n2, n3\n"
