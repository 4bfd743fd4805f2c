"""`deltaic replica NODE`: one replica worker, in the foreground."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

import click
import structlog

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


def configure_logging(level: str) -> None:
    """Events with their fields, a line each, on stderr: for people on a terminal, logfmt elsewhere."""
    terminal = sys.stderr.isatty()
    logfmt = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else logfmt,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
