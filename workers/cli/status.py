"""`deltaic status`: shows which nodes are up, how far they are behind each other, and whether their states agree."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console, Group
from rich.live import Live

from workers.cli.status_notes import status_notes
from workers.cli.status_tables import clocks_table, headline, nodes_table
from workers.config.loading import load_settings
from workers.fleet.agreement import MISMATCH
from workers.fleet.members import with_members
from workers.fleet.status import read_status
from workers.fleet.stores import FleetRedis
from workers.rpc.client import FleetClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.console import RenderableType

    from workers.config.settings import ClockSettings, FleetSettings
    from workers.fleet.fleet_status import FleetStatus

__all__ = ["exit_code", "status"]

_ALL_UP, _SOME_DOWN, _DIFFERENT_STATES = 0, 3, 6
_WATCH_INTERVAL_S = 1.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --watch, one per line each second.")
@click.option("--watch", is_flag=True, help="Show it again each second until Ctrl-C.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool, watch: bool) -> None:
    """Show which nodes are up, how far behind, and whether they agree.

    It reads Redis, so it also shows nodes whose workers are down. A lag is the number of a peer's commits that a node
    has not seen, and the age of the oldest of them.

    \b
    Exit code: 0  all nodes are up
               3  some node is down or cannot write, or its Redis cannot be
                  reached or may lose records
               6  nodes that have seen the same commits hold different states
    """
    settings = load_settings(ctx.obj)
    if watch:
        try:
            asyncio.run(_watch(settings, as_json=as_json))
        except KeyboardInterrupt:
            return
    fleet = asyncio.run(_read_once(settings))
    if as_json:
        click.echo(orjson.dumps(fleet.to_json(), option=orjson.OPT_INDENT_2))
    else:
        Console().print(_for_people(fleet, settings.clock))
    ctx.exit(exit_code(fleet))


def exit_code(fleet: FleetStatus) -> int:
    """Return the exit code of the command for this status."""
    if fleet.agreement == MISMATCH:
        return _DIFFERENT_STATES
    return _ALL_UP if fleet.healthy else _SOME_DOWN


async def _read_once(settings: FleetSettings) -> FleetStatus:
    async with aclosing(_statuses(settings)) as statuses:
        return await anext(statuses)


async def _watch(settings: FleetSettings, *, as_json: bool) -> None:
    with nullcontext() if as_json else Live(console=Console(), auto_refresh=False) as live:
        async for fleet in _statuses(settings):
            if live is None:
                click.echo(orjson.dumps(fleet.to_json()))
            else:
                live.update(_for_people(fleet, settings.clock), refresh=True)
            await asyncio.sleep(_WATCH_INTERVAL_S)


async def _statuses(in_file: FleetSettings) -> AsyncGenerator[FleetStatus, None]:
    """Yield the present status each time it is asked for, with the members that the fleet file does not name."""
    settings = in_file
    while True:
        async with FleetRedis(settings) as redis, FleetClient(settings) as clients:
            fleet = await read_status(settings, redis, clients)
            while (known := with_members(in_file, fleet.members)).nodes.keys() == settings.nodes.keys():
                yield fleet
                fleet = await read_status(settings, redis, clients)
        settings = known


def _for_people(fleet: FleetStatus, clocks: ClockSettings) -> RenderableType:
    tables = [table for table in (nodes_table(fleet), clocks_table(fleet)) if table is not None]
    spaced = (part for table in tables for part in (table, ""))
    return Group(headline(fleet), "", *spaced, *status_notes(fleet, clocks))
