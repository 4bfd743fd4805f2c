"""`deltaic demo`: the story of a partition, played live on the running fleet and explained as it goes.

It writes only under keys of its own and pauses only links between the nodes; both are undone however it ends. It waits
for what it announces (that all nodes agree), never for a time; pauses are for the reader alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from itertools import cycle, product
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Column
from rich.text import Text

from crdt_core.errors import DeltaicError, WorldError
from workers.cli.display import plain_table, value_text
from workers.cli.links import matrix_table
from workers.config.settings import load_settings
from workers.fleet.partitions import set_links
from workers.fleet.status import look
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.rpc.client import FleetClient, KeyView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from workers.config.settings import FleetSettings
    from workers.fleet.partitions import Cut
    from workers.fleet.view import FleetView
    from workers.rpc.client import NodeClient

__all__ = ["demo"]

NODES_MIN = 3
AGREE_TIMEOUT_S = 30.0
_POLL_S = 0.03
_READ_S = 3.5
_STOPPED = 128
_PANEL_WIDTH = 78
_FRUIT = ("fig", "kiwi", "lime", "pear", "plum")

Views = dict[str, dict[str, KeyView]]
"""Per node and key."""


@click.command()
@click.option("--fast", is_flag=True, help="Without the pauses for reading.")
@click.pass_obj
def demo(fleet_file: Path | None, *, fast: bool) -> None:
    """Watch nodes write at once, part, write on, and agree again; takes twenty seconds.

    It needs a fleet of at least three nodes with no link paused. It uses keys of its own and deletes them, and heals
    the links that it pauses, also on Ctrl-C.
    """
    asyncio.run(_play(load_settings(fleet_file), fast=fast))


async def _play(settings: FleetSettings, *, fast: bool) -> None:
    """Plays the story; being told to stop (SIGTERM, the terminal closed) ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    told: list[int] = []

    def stop(number: int) -> None:
        told.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        async with FleetRedis(settings) as redis, FleetClient(settings) as clients:
            names = _players(await look(settings, redis, clients))
            await Story(settings, redis, clients, names, fast=fast).tell()
    except asyncio.CancelledError:
        if told:
            raise SystemExit(_STOPPED + told[0]) from None
        raise


def _players(view: FleetView) -> list[str]:
    """The nodes that serve; raises `WorldError` where the story cannot be told."""
    names = [node.name for node in view.nodes.values() if node.serving and node.problem is None]
    if len(names) < NODES_MIN:
        raise WorldError(f"the demo needs {NODES_MIN} nodes, {len(names)} answer; start the fleet with `make fleet`")
    if view.paused:
        listener, speaker = view.paused[0]
        raise WorldError(
            f"the fleet is cut already ({listener} does not hear {speaker}, {len(view.paused)} links in all); "
            "`deltaic heal` opens them"
        )
    return names


class Story:
    """The demo with nodes `names`: the first two are one side of the partition, all others the other."""

    def __init__(
        self, settings: FleetSettings, redis: FleetRedis, clients: FleetClient, names: list[str], *, fast: bool
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._nodes = {name: clients.nodes[name] for name in names}
        self._left, self._right = names[:2], names[2:]
        self._fast = fast
        self._console = Console(highlight=False)
        self._cuts: set[Cut] = set()
        prefix = f"demo:{secrets.token_hex(3)}:"
        self._visits, self._basket, self._drink = (prefix + name for name in ("visits", "basket", "drink"))

    async def tell(self) -> None:
        """The whole story, and the end of its traces."""
        whole = False
        try:
            await self._all_write()
            await self._part()
            await self._write_apart()
            await self._meet()
            await self._settle()
            whole = True
        finally:
            await self._clean_up(whole=whole)

    # Acts

    async def _all_write(self) -> None:
        every = list(self._nodes)
        self._title(
            "1", "Every node writes at once", "Each adds to one counter and one set, locally, asking nobody first."
        )
        first = self._nodes[every[0]]
        await asyncio.gather(
            first.add(self._basket, "apple"),
            first.set_register(self._drink, "water"),
            *(node.adjust(self._visits, 1 + place) for place, node in enumerate(self._nodes.values())),
            *(node.add(self._basket, fruit) for node, fruit in zip(self._nodes.values(), cycle(_FRUIT), strict=False)),
        )
        amounts = " + ".join(str(1 + place) for place in range(len(every)))
        await self._agree(f"All {len(every)} nodes agree after {{ms}} ms: visits is {amounts}.")
        await self._read()

    async def _part(self) -> None:
        self._title("2", "The network parts", f"{_and(self._left)} on one side, {_and(self._right)} on the other.")
        everyone = set(self._settings.nodes)
        right = everyone - set(self._left)
        self._cuts = set(product(self._left, right)) | set(product(right, self._left))
        matrix = await set_links(self._redis, self._settings, self._cuts, paused=True)
        if any(isinstance(matrix[name], NodeStoreUnavailable) for name in self._nodes):
            raise WorldError("a node's Redis does not answer any more; the demo cannot part the nodes")
        self._console.print(matrix_table(matrix), "")
        await self._read()

    async def _write_apart(self) -> None:
        left, right = self._nodes[self._left[0]], self._nodes[self._right[0]]
        self._title("3", "Both sides go on writing", "No write waits for the other side, none is refused.")
        table = plain_table(Column("", style="dim"), left.name, right.name)
        table.add_row("visits", "+10", "+100")
        table.add_row("basket", "removes apple", "adds apple again")
        table.add_row("drink", "writes tea", "writes coffee")
        self._console.print(table, "")
        await asyncio.gather(
            left.adjust(self._visits, 10),
            left.remove(self._basket, "apple"),
            left.set_register(self._drink, "tea"),
            right.adjust(self._visits, 100),
            right.add(self._basket, "apple"),
            right.set_register(self._drink, "coffee"),
        )
        await self._until(lambda views: _agree_within(views, self._left) and _agree_within(views, self._right))
        self._show(await self._views())
        self._say("Each side agrees within itself; between the sides the views have parted.", "yellow")
        await self._read()

    async def _meet(self) -> None:
        self._title("4", "The network heals", "Each side sends what the other has missed. Nobody decides anything.")
        await self._heal()
        await self._agree("All nodes agree again, {ms} ms after healing, and no write is lost:")
        total = sum(range(1, len(self._nodes) + 1))
        rules = plain_table(Column("", style="dim"), Column("rule", style="bold"), "so here")
        rules.add_row("visits", "every increment counts once", f"{total} + 10 + 100 = {total + 110}")
        rules.add_row("basket", "add wins", "the remove took away only the apple that it had seen, not the new one")
        rules.add_row("drink", "concurrent values are kept", "tea and coffee both stay until somebody chooses")
        self._console.print(rules, "")
        await self._read(2)

    async def _settle(self) -> None:
        last = list(self._nodes.values())[-1]
        self._title("5", "Somebody chooses", f"{last.name} has seen both drinks and writes tea, which replaces both.")
        await last.set_register(self._drink, "tea")
        await self._agree("All nodes agree after {ms} ms.")
        await self._read()

    # What acts are made of

    def _title(self, number: str, title: str, text: str) -> None:
        self._console.print(
            Panel(text, title=f"[bold]{number}. {title}[/]", title_align="left", width=78, style="cyan")
        )

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), "", sep="\n")

    async def _read(self, times: float = 1) -> None:
        """Leaves the reader time."""
        if not self._fast:
            await asyncio.sleep(_READ_S * times)

    async def _agree(self, text: str) -> None:
        """Shows the views once all nodes agree, and says so; `{ms}` in `text` is how long that took."""
        begun = time.monotonic()
        views = await self._until(lambda views: _agree_within(views, self._nodes))
        ms = (time.monotonic() - begun) * 1000
        self._show(views)
        self._say(text.format(ms=round(ms)), "green")

    async def _until(self, holds: Callable[[Views], bool]) -> Views:
        """The nodes' views as soon as `holds` is true of them; raises `WorldError`."""
        deadline = time.monotonic() + AGREE_TIMEOUT_S
        while not holds(views := await self._views()):
            if time.monotonic() > deadline:
                raise WorldError(f"the nodes do not agree after {AGREE_TIMEOUT_S:g} s; see `deltaic status`")
            await asyncio.sleep(_POLL_S)
        return views

    async def _views(self) -> Views:
        async def of(node: NodeClient) -> dict[str, KeyView]:
            keys = (self._visits, self._basket, self._drink)
            return dict(zip(keys, await asyncio.gather(*map(node.inspect, keys)), strict=True))

        return dict(zip(self._nodes, await asyncio.gather(*map(of, self._nodes.values())), strict=True))

    def _show(self, views: Views) -> None:
        apart = not _agree_within(views, self._nodes)
        table = plain_table("node", Column("visits", justify="right"), "basket", "drink")
        baskets = [seen[self._basket] for seen in views.values()]
        for name, seen in views.items():
            table.add_row(
                name,
                value_text(seen[self._visits]),
                value_text(seen[self._basket], baskets),
                value_text(seen[self._drink]),
                end_section=apart and name == self._left[-1],
            )
        self._console.print(table, "")

    # The end

    async def _heal(self) -> None:
        if not self._cuts:
            return
        matrix = await set_links(self._redis, self._settings, self._cuts, paused=False)
        if any(isinstance(matrix[listener], NodeStoreUnavailable) for listener, _ in self._cuts):
            self._say("Some links could not be opened: run `deltaic heal` when Redis answers again.", "bold red")
        self._cuts = set()

    async def _clean_up(self, *, whole: bool) -> None:
        """Opens the links that are still paused and deletes the keys, as far as the nodes answer.

        A node deletes what it has seen. If the story was cut short they may not have seen the same: so each of them
        deletes, once they agree or do not within a moment.
        """
        await self._heal()
        if not whole:
            self._say("Stopping: no link is paused any more; deleting the demo's keys.", "yellow")
        with contextlib.suppress(DeltaicError, TimeoutError):
            async with asyncio.timeout(2):
                await self._until(lambda views: _agree_within(views, self._nodes))
        keys = (self._visits, self._basket, self._drink)
        results = await asyncio.gather(
            *(node.delete(key) for node in self._nodes.values() for key in keys), return_exceptions=True
        )
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            self._say(f"Some of the demo's keys may be left, see demo:* ({failed[0]})", "yellow")
        elif whole:
            self._say("The demo's keys are deleted. Now you: deltaic partition, incr, diff, heal.", "dim")


def _agree_within(views: Views, names: list[str] | Mapping[str, object]) -> bool:
    first, *others = ({key: view.shown for key, view in views[name].items()} for name in names)
    return all(other == first for other in others)


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
