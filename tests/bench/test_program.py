"""A command as a program: its exit code is what it returns, or says how it failed."""

from __future__ import annotations

import os
import signal

import click
import pytest

from bench.errors import MeasurementFailed
from bench.program import held_back, run_command


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


def test_a_signal_ends_the_program_behind_what_must_not_be_interrupted():
    """A process that was being started when the signal came was left behind."""
    done = []

    def start() -> None:
        with held_back():
            with held_back():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("started")
            done.append("noted")
        done.append("never")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as ended:
            run_command(click.Command("try", callback=start), "try", [])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (done, ended.value.code) == (["started", "noted"], 128 + signal.SIGTERM)
