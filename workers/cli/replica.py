"""`deltaic replica NODE`: one replica worker, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import uvloop

from crdt_core.membership.evidence import OperatorOverride
from workers.cli.logs import configure_logging
from workers.config.loading import load_settings
from workers.worker.worker import run_worker

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replica"]

_LOG_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.argument("node")
@click.option("--takeover", is_flag=True, help="Take the replica over from a process that still owns it.")
@click.option(
    "--trust-redis",
    is_flag=True,
    help="Believe that the node's Redis has lost nothing, even though not every other node can be asked. Safe only if "
    "that Redis was shut down in order, or syncs every write to the disk (appendfsync always). Otherwise writes of "
    "this node may be lost silently.",
)
@click.option(
    "--unsponsored",
    is_flag=True,
    help="Come back under a new replica id even though no other member runs that could record it. Safe only if no "
    "other member runs anywhere, not even where this node cannot reach it.",
)
@click.option(
    "--accept-damage",
    is_flag=True,
    help="Go on with what the node's Redis still holds, under a new replica id, although parts of its state are lost "
    "or altered. Safe only if no other member that has more will ever run again.",
)
@click.option("--log-level", default="info", show_default=True, type=click.Choice(_LOG_LEVELS))
@click.pass_obj
def replica(
    fleet_file: Path | None,
    node: str,
    *,
    takeover: bool,
    trust_redis: bool,
    unsponsored: bool,
    accept_damage: bool,
    log_level: str,
) -> None:
    """Run the replica worker of NODE until SIGTERM or Ctrl-C.

    A second worker for a node that already runs is refused. With --takeover, the former worker is fenced and stops
    instead. A node that the fleet does not know, or has removed, does not run: exit code 8.
    """
    configure_logging(log_level)
    override = OperatorOverride(trusting=trust_redis, unsponsored=unsponsored, accepting=accept_damage)
    uvloop.run(run_worker(load_settings(fleet_file), node, takeover=takeover, override=override))
