"""Configures the log of the long-running commands.

It is a module of its own so that a node of the Maelstrom test bench starts without importing the workers' faces.
"""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["configure_logging"]


def configure_logging(level: str) -> None:
    """Log events of `level` and above to stderr, one per line with their fields.

    The lines are coloured for people on a terminal, and logfmt elsewhere.
    """
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
