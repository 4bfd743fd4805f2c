"""`deltaic keep`: runs a command, and restarts it when it dies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from workers.processes.supervision import Keeper

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keep"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def keep(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Run COMMAND, and restart it whenever it dies.

    The pause before each restart grows.

    SIGTERM, SIGINT and SIGHUP are passed on and end both; so does the end of the process that started this one. There
    is no other try after an exit code that another try cannot change: 2 (usage, settings) ends this command too;
    after 4 and 5 (another process runs the replica), 6 (an invariant is broken), 7 (its state in Redis cannot be
    read) and 8 (the fleet has no such member) this command waits, so that a runner of Procfiles does not end the
    other processes.
    """
    fleet_file: Path | None = ctx.obj
    if fleet_file is not None:
        os.environ["DELTAIC_FILE"] = str(fleet_file.absolute())
    ctx.exit(Keeper(command, say=lambda line: click.echo(line, err=True)).run())
