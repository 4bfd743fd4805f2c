"""Running a command as a program: what it has started ends with it, and its exit code says how it went."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from crdt_core.errors import DeltaicError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["run_command"]


def run_command(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run `command`, which is called `name`, and return its exit code: what it returns, or 0.

    Errors give 1 to 3 as in `crdt_core.errors`, Ctrl-C 130, SIGTERM 143.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)
    try:
        return int(command.main(arguments, prog_name=name, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except DeltaicError as error:
        click.echo(f"{name.rpartition(' ')[2]}: {error}", err=True)
        return error.exit_code


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
