"""`deltaic maelstrom WORKLOAD`: one node of the Maelstrom test bench, or of the exercises, on stdin and stdout."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from workers.maelstrom.process import MaelstromOptions, run_maelstrom
from workers.maelstrom.workloads import WORKLOADS

__all__ = ["maelstrom"]

_DEFAULT = MaelstromOptions()


@click.command()
@click.argument("workload", type=click.Choice(list(WORKLOADS)))
@click.option(
    "--interval-ms",
    default=_DEFAULT.interval_ms,
    show_default=True,
    type=click.IntRange(1),
    help="Time between two rounds with random peers; less: lost messages are repaired sooner, with more messages.",
)
@click.option(
    "--fanout",
    default=_DEFAULT.fanout,
    show_default=True,
    type=click.IntRange(1),
    help="Random peers that a round exchanges with.",
)
@click.option(
    "--batch-ms",
    default=_DEFAULT.batch_ms,
    show_default=True,
    type=click.IntRange(0),
    help="Least time between two batches of changes to one peer; more: fewer messages, which arrive later.",
)
@click.option("--redis", metavar="URL", help="Keep the state in this Redis and resume from it; default: in memory.")
def maelstrom(workload: str, interval_ms: int, fanout: int, batch_ms: int, redis: str | None) -> None:
    """Run one node that speaks the Maelstrom protocol.

    It reads one request per line on stdin, and writes replies to stdout.

    The bench's workloads are echo, broadcast, g-set, g-counter and pn-counter; the exercises are course-g-set, or-set,
    gossip and counter. The end of the input ends the node; diagnostics go to stderr.
    """
    if redis is not None:
        _configure_logging()  # what reads and writes the Redis logs, too
    options = MaelstromOptions(interval_ms=interval_ms, fanout=fanout, batch_ms=batch_ms, redis=redis)
    asyncio.run(run_maelstrom(workload, options, _warn))


def _warn(event: str, **fields: Any) -> None:
    """Log a warning. Only the first one imports the log: a node that has nothing to say answers sooner."""
    _configure_logging()
    import structlog  # noqa: PLC0415

    structlog.get_logger().warning(event, **fields)


def _configure_logging() -> None:
    from workers.cli.logs import configure_logging  # noqa: PLC0415  see `_warn`

    configure_logging("warning")
