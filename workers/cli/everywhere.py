"""The commands that ask all nodes at once, and show a table of what they say: `diff` and `sync`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Column
from rich.text import Text

from workers.cli.display import plain_table, views_table
from workers.cli.words import view_json, word
from workers.config.loading import load_settings
from workers.rpc.client import FleetClient, KeyView, NodeUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from workers.rpc.client import NodeClient

__all__ = ["diff", "sync"]

T = TypeVar("T")

UNREACHABLE = 3


@click.command()
@click.argument("key")
@click.option("--dots", is_flag=True, help="Show the writes behind the value, each with its dot (replica:commit).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def diff(ctx: click.Context, key: str, *, dots: bool, as_json: bool) -> None:
    """Show KEY as every node sees it. In a set, elements that the node lacks are red, those that others lack are green.

    \b
    Exit code: 0  all nodes see the same
               1  they do not
               3  some node cannot be reached, and the others see the same
    """
    views = _each(ctx.obj, None, lambda client: client.inspect(key))
    seen = [view for view in views.values() if isinstance(view, KeyView)]
    agree = all(view.shown == seen[0].shown for view in seen)
    if as_json:
        nodes = {name: view_json(view) if isinstance(view, KeyView) else None for name, view in views.items()}
        click.echo(orjson.dumps({"key": key, "agree": agree, "nodes": nodes}, option=orjson.OPT_INDENT_2))
    else:
        console = Console()
        console.print(views_table(views, dots=dots), "")
        console.print(_verdict(key, agree=agree, seen=len(seen), asked=len(views)))
    ctx.exit(1 if not agree else UNREACHABLE if len(seen) < len(views) else 0)


def _verdict(key: str, *, agree: bool, seen: int, asked: int) -> Text:
    missing = f"; {asked - seen} could not be asked" if seen < asked else ""
    if agree:
        return Text(f"{seen} nodes agree on {word(key)}{missing}", style="yellow" if missing else "green")
    return Text(f"the nodes differ on {word(key)}{missing}", style="bold yellow")


@click.command()
@click.argument("nodes", nargs=-1)
@click.pass_context
def sync(ctx: click.Context, nodes: tuple[str, ...]) -> None:
    """Let nodes and their peers exchange what either side lacks.

    NODES: all that answer, if none is named. Paused links stay paused. Exit code: 0, or 3 if a node or peer did not
    answer.
    """
    with Console(stderr=True).status("exchanging"):
        results = _each(ctx.obj, nodes or None, lambda client: client.sync_all())
    table = plain_table(
        "node", "peers contacted", "failed", Column("messages", justify="right"), Column("new items", justify="right")
    )
    for name, result in results.items():
        if isinstance(result, NodeUnavailable):
            table.add_row(name, Text(result.reason, style="red"), "", "", "")
        else:
            failed = Text(" ".join(result.peers_failed), style="red") if result.peers_failed else Text("-")
            contacted = " ".join(result.peers_contacted) or "-"
            table.add_row(name, contacted, failed, str(result.messages_sent), str(result.new_items))
    Console().print(table)
    ctx.exit(UNREACHABLE if any(isinstance(r, NodeUnavailable) or r.peers_failed for r in results.values()) else 0)


def _each(
    fleet_file: Path | None, names: tuple[str, ...] | None, call: Callable[[NodeClient], Awaitable[T]]
) -> dict[str, T | NodeUnavailable]:
    async def run() -> dict[str, T | NodeUnavailable]:
        async with FleetClient(load_settings(fleet_file)) as fleet:
            return await fleet.each(call, names)

    return asyncio.run(run())
