"""`deltaic replica NODE`: one replica worker, in the foreground."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from workers.cli.logs import configure_logging
from workers.settings import load_settings
from workers.worker import run_worker

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replica"]

LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.argument("node")
@click.option("--takeover", is_flag=True, help="Take the replica over from a process that still holds it.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@click.pass_obj
def replica(fleet_file: Path | None, node: str, *, takeover: bool, log_level: str) -> None:
    """Run the replica worker of NODE until SIGTERM or Ctrl-C.

    A second worker for a node that runs already is refused; with --takeover the former one is fenced and stops.
    """
    configure_logging(log_level)
    asyncio.run(run_worker(load_settings(fleet_file), node, takeover=takeover))
