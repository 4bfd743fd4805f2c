"""Running a command as a program: what it has started ends with it, and its exit code says how it went.

A signal ends the program by an exception, but never while a process is being started: nobody would end that one.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from crdt_core.errors import DeltaicError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

__all__ = ["held_back", "run_command"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_held: list[int] = []
"""The signals that have come in the block under way."""
_blocks = 0


def run_command(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run `command`, which is called `name`, and return its exit code: what it returns, or 0.

    Errors give 1 to 3 as in `crdt_core.errors`, Ctrl-C 130, SIGTERM 143.
    """
    for number in _SIGNALS:
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


@contextmanager
def held_back() -> Iterator[None]:
    """Let a signal end the program at the end of the block, and not in it."""
    global _blocks  # noqa: PLW0603  signals come to the program as a whole
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        if _held and not _blocks:
            raise SystemExit(128 + _held.pop(0))


def _end(number: int, _frame: FrameType | None) -> None:
    if _blocks:
        _held.append(number)
    else:
        raise SystemExit(128 + number)
