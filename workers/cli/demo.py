"""`deltaic demo`: shows and explains a partition, live on the running fleet.

It writes only under keys of its own, and pauses only links between the nodes. Both are undone however it ends. It waits
for what it announces (that all nodes agree) and never for a time; the pauses are for the reader alone.
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
from workers.config.loading import START_FLEET, load_settings
from workers.fleet.partitions import set_links
from workers.fleet.status import read_status
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.rpc.client import FleetClient, KeyView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from workers.config.settings import FleetSettings
    from workers.fleet.fleet_status import FleetStatus
    from workers.fleet.partitions import Cut
    from workers.rpc.client import NodeClient

__all__ = ["demo"]

_NODES_MIN = 3
_AGREE_TIMEOUT_S = 30.0
_CLEAN_UP_TIMEOUT_S = 2.0
_POLL_S = 0.03
_READING_S = 3.5
_SIGNAL_EXIT_CODE = 128
_PANEL_WIDTH = 78
_FRUIT = ("fig", "kiwi", "lime", "pear", "plum")

Views = dict[str, dict[str, KeyView]]
"""What each node shows of each of the demo's keys, by node and key."""


@click.command()
@click.option("--fast", is_flag=True, help="Without the pauses for reading.")
@click.pass_obj
def demo(fleet_file: Path | None, *, fast: bool) -> None:
    """Watch nodes write at once, part, write on, and agree again.

    It takes twenty seconds, and needs a fleet of at least three nodes with no link paused. It uses keys of its own and
    deletes them, and heals the links that it pauses, also on Ctrl-C.
    """
    asyncio.run(_run(load_settings(fleet_file), fast=fast))


async def _run(settings: FleetSettings, *, fast: bool) -> None:
    """Run the demo. SIGTERM and SIGHUP (the terminal is closed) end it as Ctrl-C does, and clean up."""
    task = asyncio.current_task()
    assert task is not None
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        async with FleetRedis(settings) as redis, FleetClient(settings) as clients:
            names = _usable_nodes(await read_status(settings, redis, clients))
            await Demo(settings, redis, clients, names, fast=fast).run()
    except asyncio.CancelledError:
        if received:
            raise SystemExit(_SIGNAL_EXIT_CODE + received[0]) from None
        raise


def _usable_nodes(status: FleetStatus) -> list[str]:
    """Return the nodes that serve. Raises `WorldError` if the demo cannot run on this fleet."""
    names = [node.name for node in status.nodes.values() if node.serving and node.problem is None]
    if len(names) < _NODES_MIN:
        raise WorldError(f"the demo needs {_NODES_MIN} nodes, {len(names)} answer; {START_FLEET}")
    if status.paused:
        listener, speaker = status.paused[0]
        raise WorldError(
            f"the fleet is cut already ({listener} does not hear {speaker}, {len(status.paused)} links in all); "
            "`deltaic heal` opens them"
        )
    return names


class Demo:
    """The demo on the nodes `names`: the first two are one side of the partition, all others the other side."""

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

    async def run(self) -> None:
        """Run all five steps, and then clean up; clean up also if a step fails or is cancelled."""
        completed = False
        try:
            await self._write_everywhere()
            await self._partition()
            await self._write_on_both_sides()
            await self._heal_and_agree()
            await self._resolve()
            completed = True
        finally:
            await self._clean_up(completed=completed)

    # Steps --------------------------------------------------------------------------------------------------------

    async def _write_everywhere(self) -> None:
        names = list(self._nodes)
        self._title(
            "1", "Every node writes at once", "Each adds to one counter and one set, locally, asking nobody first."
        )
        first = self._nodes[names[0]]
        await asyncio.gather(
            first.add(self._basket, "apple"),
            first.set_register(self._drink, "water"),
            *(node.adjust(self._visits, 1 + place) for place, node in enumerate(self._nodes.values())),
            *(node.add(self._basket, fruit) for node, fruit in zip(self._nodes.values(), cycle(_FRUIT), strict=False)),
        )
        amounts = " + ".join(str(1 + place) for place in range(len(names)))
        await self._show_agreement(f"All {len(names)} nodes agree after {{ms}} ms: visits is {amounts}.")
        await self._pause()

    async def _partition(self) -> None:
        sides = f"{_joined(self._left)} on one side, {_joined(self._right)} on the other."
        self._title("2", "The network parts", sides)
        everyone = set(self._settings.nodes)
        right = everyone - set(self._left)
        self._cuts = set(product(self._left, right)) | set(product(right, self._left))
        matrix = await set_links(self._redis, self._settings, self._cuts, paused=True)
        if any(isinstance(matrix[name], NodeStoreUnavailable) for name in self._nodes):
            raise WorldError("a node's Redis does not answer any more; the demo cannot part the nodes")
        self._console.print(matrix_table(matrix), "")
        await self._pause()

    async def _write_on_both_sides(self) -> None:
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
        await self._wait_until(lambda views: _agree(views, self._left) and _agree(views, self._right))
        self._show(await self._views())
        self._say("Each side agrees within itself; the two sides show different values.", "yellow")
        await self._pause()

    async def _heal_and_agree(self) -> None:
        self._title("4", "The network heals", "Each side sends what the other has missed. Nobody decides anything.")
        await self._heal()
        await self._show_agreement("All nodes agree again, {ms} ms after healing, and no write is lost:")
        total = sum(range(1, len(self._nodes) + 1))
        rules = plain_table(Column("", style="dim"), Column("rule", style="bold"), "so here")
        rules.add_row("visits", "every increment counts once", f"{total} + 10 + 100 = {total + 110}")
        rules.add_row("basket", "add wins", "the remove took away only the apple that it had seen, not the new one")
        rules.add_row("drink", "concurrent values are kept", "tea and coffee both stay until somebody chooses")
        self._console.print(rules, "")
        await self._pause(2)

    async def _resolve(self) -> None:
        last = list(self._nodes.values())[-1]
        self._title("5", "Somebody chooses", f"{last.name} has seen both drinks and writes tea, which replaces both.")
        await last.set_register(self._drink, "tea")
        await self._show_agreement("All nodes agree after {ms} ms.")
        await self._pause()

    # Parts of steps -----------------------------------------------------------------------------------------------

    def _title(self, number: str, title: str, text: str) -> None:
        heading = f"[bold]{number}. {title}[/]"
        self._console.print(Panel(text, title=heading, title_align="left", width=_PANEL_WIDTH, style="cyan"))

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), "", sep="\n")

    async def _pause(self, times: float = 1) -> None:
        """Give the reader time."""
        if not self._fast:
            await asyncio.sleep(_READING_S * times)

    async def _show_agreement(self, text: str) -> None:
        """Wait until all nodes agree, show the values, and print `text`; `{ms}` in it becomes the time it took."""
        begun = time.monotonic()
        views = await self._wait_until(lambda views: _agree(views, self._nodes))
        ms = (time.monotonic() - begun) * 1000
        self._show(views)
        self._say(text.format(ms=round(ms)), "green")

    async def _wait_until(self, holds: Callable[[Views], bool]) -> Views:
        """Return the nodes' views as soon as `holds` is true of them. Raises `WorldError` if that takes too long."""
        deadline = time.monotonic() + _AGREE_TIMEOUT_S
        while not holds(views := await self._views()):
            if time.monotonic() > deadline:
                raise WorldError(f"the nodes do not agree after {_AGREE_TIMEOUT_S:g} s; see `deltaic status`")
            await asyncio.sleep(_POLL_S)
        return views

    async def _views(self) -> Views:
        async def of(node: NodeClient) -> dict[str, KeyView]:
            keys = (self._visits, self._basket, self._drink)
            return dict(zip(keys, await asyncio.gather(*map(node.inspect, keys)), strict=True))

        return dict(zip(self._nodes, await asyncio.gather(*map(of, self._nodes.values())), strict=True))

    def _show(self, views: Views) -> None:
        differ = not _agree(views, self._nodes)
        table = plain_table("node", Column("visits", justify="right"), "basket", "drink")
        baskets = [seen[self._basket] for seen in views.values()]
        for name, seen in views.items():
            table.add_row(
                name,
                value_text(seen[self._visits]),
                value_text(seen[self._basket], baskets),
                value_text(seen[self._drink]),
                end_section=differ and name == self._left[-1],
            )
        self._console.print(table, "")

    async def _heal(self) -> None:
        if not self._cuts:
            return
        matrix = await set_links(self._redis, self._settings, self._cuts, paused=False)
        if any(isinstance(matrix[listener], NodeStoreUnavailable) for listener, _ in self._cuts):
            self._say("Some links could not be opened: run `deltaic heal` when Redis answers again.", "bold red")
        self._cuts = set()

    async def _clean_up(self, *, completed: bool) -> None:
        """Open the links that are still paused and delete the keys, as far as the nodes answer.

        A delete removes only what its node has seen. If the demo was cut short, the nodes may not have seen the same.
        So every node deletes, after they agree or after a moment.
        """
        await self._heal()
        if not completed:
            self._say("Stopping: no link is paused any more; deleting the demo's keys.", "yellow")
        with contextlib.suppress(DeltaicError, TimeoutError):
            async with asyncio.timeout(_CLEAN_UP_TIMEOUT_S):
                await self._wait_until(lambda views: _agree(views, self._nodes))
        keys = (self._visits, self._basket, self._drink)
        results = await asyncio.gather(
            *(node.delete(key) for node in self._nodes.values() for key in keys), return_exceptions=True
        )
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            self._say(f"Some of the demo's keys may be left, see demo:* ({failed[0]})", "yellow")
        elif completed:
            self._say("The demo's keys are deleted. Now you: deltaic partition, incr, diff, heal.", "dim")


def _agree(views: Views, names: list[str] | Mapping[str, object]) -> bool:
    """Return whether the nodes `names` show the same values."""
    first, *others = ({key: view.shown for key, view in views[name].items()} for name in names)
    return all(other == first for other in others)


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
