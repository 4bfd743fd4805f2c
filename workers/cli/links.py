"""`deltaic partition` and `deltaic heal`: set which nodes hear each other.

They write the links into the Redis of the nodes, so they also work while workers are dead.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Column
from rich.text import Text

from crdt_core.errors import StoreUnavailable
from workers.cli.display import plain_table
from workers.config.loading import START_FLEET, load_settings
from workers.fleet.partitions import healed_links, partition_cuts, set_links
from workers.fleet.stores import REFUSED, FleetRedis, NodeStoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from workers.config.settings import FleetSettings
    from workers.fleet.partitions import Cut, Matrix

__all__ = ["heal", "matrix_table", "partition"]


@click.command()
@click.argument("parts", nargs=-1, required=True)
@click.pass_obj
def partition(fleet_file: Path | None, parts: tuple[str, ...]) -> None:
    """Cut nodes off from each other.

    PARTS are groups of nodes. No group hears another, and the nodes that are in no group form one more group:

    \b
      deltaic partition n3                  n3 is alone
      deltaic partition n1,n2 n3,n4,n5      two sides
      deltaic partition 'n1->n3'            one direction: n3 does not hear n1

    The shell needs the quotes around an arrow. Links that are paused already stay paused; `deltaic heal` opens them.
    """
    settings = load_settings(fleet_file)
    _set_and_show(settings, partition_cuts(parts, list(settings.nodes)), paused=True)


@click.command()
@click.argument("parts", nargs=-1)
@click.pass_obj
def heal(fleet_file: Path | None, parts: tuple[str, ...]) -> None:
    """Let nodes hear each other again.

    \b
      deltaic heal              all links
      deltaic heal n3           all links from and to n3
      deltaic heal 'n1->n3'     one direction: n3 hears n1 again
    """
    settings = load_settings(fleet_file)
    _set_and_show(settings, healed_links(parts, list(settings.nodes)), paused=False)


def matrix_table(matrix: Matrix) -> RenderableType:
    """Return a table with a row per listener and a column per speaker."""
    table = plain_table(Column("hears", no_wrap=True), *(Column(name, justify="center") for name in matrix))
    for listener, row in matrix.items():
        table.add_row(listener, *(_cell(listener, speaker, row) for speaker in matrix))
    return table


def _cell(listener: str, speaker: str, row: dict[str, bool] | NodeStoreUnavailable) -> Text:
    if listener == speaker:
        return Text("-", style="dim")
    if isinstance(row, NodeStoreUnavailable):
        return Text("?", style="red")
    return Text("yes", style="green") if row[speaker] else Text("no", style="bold red")


def _set_and_show(settings: FleetSettings, cuts: set[Cut], *, paused: bool) -> None:
    """Pause or open `cuts`, and print all links. Raises `StoreUnavailable` if some could not be set."""
    matrix = asyncio.run(_set_links(settings, cuts, paused=paused))
    silent = {listener: row for listener, row in matrix.items() if isinstance(row, NodeStoreUnavailable)}
    if len(silent) < len(matrix):
        Console().print(matrix_table(matrix), "", _summary(matrix), sep="\n")
    failed = {listener: silent[listener] for listener in sorted({listener for listener, _ in cuts} & silent.keys())}
    if failed:
        reasons = "; ".join(dict.fromkeys(map(str, failed.values())))
        is_down = all(row.reason == REFUSED for row in failed.values())
        remedy = f"; {START_FLEET}" if is_down and len(failed) == len(matrix) else ""
        raise StoreUnavailable(f"the links of {', '.join(failed)} could not be set: {reasons}{remedy}")


async def _set_links(settings: FleetSettings, cuts: set[Cut], *, paused: bool) -> Matrix:
    async with FleetRedis(settings) as redis:
        return await set_links(redis, settings, cuts, paused=paused)


def _summary(matrix: Matrix) -> Text:
    known = {listener: row for listener, row in matrix.items() if not isinstance(row, NodeStoreUnavailable)}
    paused = sum(not hears for row in known.values() for hears in row.values())
    if paused:
        return Text(
            f"paused links: {paused}; no: the node in this row does not hear the node in this column", style="yellow"
        )
    return Text("everyone hears everyone" if len(known) == len(matrix) else "no known link is paused", style="green")
