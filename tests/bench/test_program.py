"""A command as a program: its exit code is what it returns, or says how it failed."""

from __future__ import annotations

import click
import pytest

from bench.errors import MeasurementFailed
from bench.program import run_command


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (1, 1)])
def test_the_exit_code_is_what_the_command_returns(returned: int | None, code: int):
    assert run_command(click.Command("try", callback=lambda: returned), "try", []) == code


@pytest.mark.parametrize(
    ("error", "code"), [(MeasurementFailed("no figure"), 3), (click.UsageError("no"), 2), (KeyboardInterrupt(), 130)]
)
def test_errors_are_told_by_the_exit_code(error: BaseException, code: int):
    def fail() -> None:
        raise error

    assert run_command(click.Command("try", callback=fail), "try", []) == code
