"""`deltaic status`: who is up, who is how far behind whom, and whether those that have seen the same hold the same."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.table import Column
from rich.text import Text

from crdt_core.types.members import Standing
from workers.cli.arrival import arrival_of
from workers.cli.display import age, plain_table, printable, size
from workers.config.settings import load_settings
from workers.fleet.agreement import AGREE, BEHIND, MISMATCH
from workers.fleet.members import with_members
from workers.fleet.status import look
from workers.fleet.stores import FleetRedis
from workers.rpc.client import FleetClient
from workers.system.ports import split_address
from workers.wire.keys import PAUSED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.console import RenderableType

    from workers.config.settings import ClockSettings, FleetSettings
    from workers.fleet.node_view import NodeView
    from workers.fleet.view import Away, FleetView

__all__ = ["exit_code", "status"]

ALL_WELL, SOME_DOWN, DIFFERENT_STATES = 0, 3, 6
WATCH_S = 1.0
_DIGITS = 8


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --watch, one a line each second.")
@click.option("--watch", is_flag=True, help="Show it anew each second until Ctrl-C.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool, watch: bool) -> None:
    """Show who is up, how far each node is behind each peer, and whether their states agree.

    It reads Redis, so it also shows nodes whose workers are down. A lag is the number of a peer's commits that a node
    has not seen, and the age of the oldest of them.

    \b
    Exit code: 0  all nodes are up
               3  some node is down, or its Redis cannot be reached
               6  nodes that have seen the same commits hold different states
    """
    settings = load_settings(ctx.obj)
    if watch:
        try:
            asyncio.run(_watch(settings, as_json=as_json))
        except KeyboardInterrupt:
            return
    view = asyncio.run(_look_once(settings))
    if as_json:
        click.echo(orjson.dumps(view.to_json(), option=orjson.OPT_INDENT_2))
    else:
        Console().print(_shown(view, settings.clock))
    ctx.exit(exit_code(view))


def exit_code(view: FleetView) -> int:
    """What the command ends with."""
    if view.agreement == MISMATCH:
        return DIFFERENT_STATES
    return ALL_WELL if view.healthy else SOME_DOWN


async def _look_once(settings: FleetSettings) -> FleetView:
    async with aclosing(_looks(settings)) as looks:
        return await anext(looks)


async def _watch(settings: FleetSettings, *, as_json: bool) -> None:
    with nullcontext() if as_json else Live(console=Console(), auto_refresh=False) as live:
        async for view in _looks(settings):
            if live is None:
                click.echo(orjson.dumps(view.to_json()))
            else:
                live.update(_shown(view, settings.clock), refresh=True)
            await asyncio.sleep(WATCH_S)


async def _looks(named: FleetSettings) -> AsyncGenerator[FleetView, None]:
    """The fleet as it is, again and again; with the members that the fleet file does not name."""
    settings = named
    while True:
        async with FleetRedis(settings) as redis, FleetClient(settings) as clients:
            view = await look(settings, redis, clients)
            while (known := with_members(named, view.members)).nodes.keys() == settings.nodes.keys():
                yield view
                view = await look(settings, redis, clients)
        settings = known


# Tables


def _shown(view: FleetView, clocks: ClockSettings) -> RenderableType:
    return Group(_headline(view), "", _nodes_table(view), "", _clocks_table(view), "", *_notes(view, clocks))


def _headline(view: FleetView) -> Text:
    members = view.taking_part
    up = sum(node.up and not node.waits for node in members)
    count = Text(f"{up} of {len(members)} nodes up", style="bold green" if up == len(members) else "bold red")
    unread = " ".join(node.name for node in view.nodes.values() if node.problem is not None)
    gap = Text(f"; no Redis of {unread}" if unread else "", style="bold red")
    return Text.assemble(count, gap, "; ", _agreement_text(view))


def _agreement_text(view: FleetView) -> Text:
    """How many views there are, and of whom."""
    if view.agreement is None:
        return Text("nothing can be compared", style="bold red")
    if view.agreement == MISMATCH:
        sides = " | ".join(
            " / ".join(" ".join(names) for names in group.digests.values()) for group in view.groups if group.mismatch
        )
        return Text(f"DIGEST MISMATCH: {sides} have seen the same and hold different states", style="bold red")
    if view.agreement == AGREE:
        known = len(view.groups[0].nodes)
        all_known = known == len(view.taking_part)
        return Text("all agree" if all_known else f"the other {known} agree", style="bold green")
    sides = " | ".join(" ".join(group.nodes) for group in view.groups)
    return Text(f"{len(view.groups)} views: {sides}", style="bold yellow")


def _nodes_table(view: FleetView) -> RenderableType:
    shows_resp = any(node.node.resp for node in view.nodes.values())
    table = plain_table(
        Column("node", no_wrap=True),
        Column("state"),
        Column("digest", no_wrap=True),
        Column("agreement", no_wrap=True),
        Column("log", justify="right"),
        Column("inbox", justify="right"),
        *([Column("redis-cli", no_wrap=True)] if shows_resp else []),
        Column("last gossip round"),
    )
    for node in view.nodes.values():
        table.add_row(
            _name(node),
            _state(node),
            (node.digest or "-")[:_DIGITS],
            _agreement(node),
            _number(node.log),
            _number(node.inbox),
            *([_resp(node)] if shows_resp else []),
            _round(node, view.at_ms),
        )
    return table


def _resp(node: NodeView) -> str:
    """How to reach its Redis face with `redis-cli`."""
    if node.node.resp is None:
        return "-"
    host, port = split_address(node.node.resp)
    return f"-p {port}" if host in {"127.0.0.1", "localhost"} else f"-h {host} -p {port}"


def _name(node: NodeView) -> Text:
    """The node's name, and the id under which it takes part where that is another."""
    other_id = node.replica not in {"", node.name}
    return Text.assemble(node.name, (f" as {node.replica}", "dim") if other_id else "")


def _state(node: NodeView) -> Text:
    if not node.takes_part:
        return Text("no member" if node.standing is None else f"left: {node.left_for}", style="dim")
    if node.problem is not None:
        return Text("up, no Redis" if node.up else "down, no Redis", style="bold red")
    if node.waits:
        return Text("waits", style="bold yellow")
    if node.up and (node.joining or "joins" in node.doing) and not node.serving:
        return Text("joins", style="yellow")
    if node.up:
        return Text("up", style="green")
    since = f" {age(node.beat_age_ms)}" if node.beat_age_ms is not None else ""
    return Text(f"down{since}", style="bold red")


def _agreement(node: NodeView) -> Text:
    styles = {AGREE: "green", BEHIND: "yellow", MISMATCH: "bold red"}
    if node.agreement is None:
        return Text("?", style="red") if node.takes_part and not node.joining else Text("-", style="dim")
    return Text("MISMATCH" if node.agreement == MISMATCH else node.agreement, style=styles[node.agreement])


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _round(node: NodeView, at_ms: int) -> Text:
    report = node.round
    if report is None:
        return Text("?" if node.problem else "none yet", style="dim")
    text = Text(f"{age(max(0, at_ms - report.get('at_ms', 0)))} ago: ")
    contacted, failed = report.get("peers_contacted", []), report.get("peers_failed", [])
    text.append(" ".join(contacted) or "nobody")
    if report.get("new_items"):
        text.append(f", {report['new_items']} new", style="cyan")
    if failed:
        text.append(f", failed: {' '.join(failed)}", style="red")
    return text


def _clocks_table(view: FleetView) -> RenderableType:
    """A row per node: its clock, and with each entry how far that is behind the peer of the column."""
    members = view.taking_part
    table = plain_table(
        Column("has seen", no_wrap=True), *(Column(f"of {peer.replica or peer.name}") for peer in members)
    )
    for node in members:
        table.add_row(node.name, *(_seen(node, peer) for peer in members))
    return table


def _seen(node: NodeView, peer: NodeView) -> Text:
    if node.clock is None:
        return Text("?", style="red")
    text = Text(str(node.clock[peer.replica or peer.name]))
    if peer is node:
        return text
    lag = node.lag[peer.name]
    if lag.deltas is None:
        text.append(" ?", style="red")
    elif lag.deltas:
        text.append(f" -{lag.deltas} {'?' if lag.ms is None else age(lag.ms)}", style="yellow")
    if (node.links or {}).get(peer.name) == PAUSED:
        text.append(" cut", style="bold red")
    return text


# What the tables do not say


def _clock_notes(view: FleetView, clocks: ClockSettings) -> list[Text]:
    """The nodes whose clock is so wrong that it is worth a word, and what that means."""
    notes = []
    for node in view.nodes.values():
        skew_ms = node.clock_skew_ms or 0
        if abs(skew_ms) <= clocks.skew_warn_ms:
            continue
        where = "ahead of" if skew_ms > 0 else "behind"
        text = f"the clock of {node.name} is {age(abs(skew_ms))} {where} the others"
        if abs(skew_ms) > clocks.skew_refuse_ms:
            refusing = "its stamps are not taken over" if skew_ms > 0 else "it takes nobody's stamps over"
            text += f": {refusing} (setting clock.skew_refuse_ms)"
        notes.append(Text(text, style="bold yellow"))
    return notes


def _notes(view: FleetView, clocks: ClockSettings) -> list[Text]:
    notes = []
    if view.paused or any(lag.deltas for node in view.nodes.values() for lag in node.lag.values()):
        legend = "7 -3 1.2s: has seen 7, lacks 3, the oldest of them 1.2 s old; cut: link paused"
        notes.append(Text(legend, style="dim"))
    for problem in dict.fromkeys(node.problem for node in view.nodes.values() if node.problem is not None):
        names = " ".join(node.name for node in view.nodes.values() if node.problem == problem)
        notes.append(Text(f"Redis of {names}: {printable(problem)}", style="red"))
    for node in view.nodes.values():
        if node.quarantine:
            where = f"XRANGE deltaic:{{{node.name}}}:quarantine - +"
            notes.append(Text(f"{node.name}: {node.quarantine} messages in quarantine: {where}", style="yellow"))
    notes += _membership_notes(view)
    notes += _clock_notes(view, clocks)
    notes += _marker_note(view)
    notes += _audit_notes(view)
    return notes


def _membership_notes(view: FleetView) -> list[Text]:
    """Who comes, who is away, who leaves."""
    arriving = {"waits", "joins"}
    coming = [node for node in view.taking_part if node.up and not node.serving and node.doing.keys() & arriving]
    notes = [Text(f"{node.name} {arrival_of(node.doing).words}", style="yellow") for node in coming]
    notes += [_away_note(name, away) for name, away in view.away.items()]
    for replica, fact in view.leaving.items():
        since = age(max(0, view.at_ms - fact.at_ms))
        left = f"{replica} has left ({fact.reason}, {since} ago)"
        missing = [] if fact.standing > Standing.LEAVING else _still_to_close(view, replica)
        then = f"{' '.join(missing)} to hear of it" if missing else "the next compactions"
        notes.append(Text(f"{left}; its id goes from the clocks after {then}", style="dim"))
    return notes


def _away_note(name: str, away: Away) -> Text:
    held = f"; {away.tombstones} removal markers wait for it, about {size(away.bytes)}" if away.tombstones else ""
    if away.fence_in_ms is None:
        then = "too few members are there to go on without it"
    elif away.fence_in_ms:
        then = f"the others go on without it in {age(away.fence_in_ms)}"
    else:
        then = "the others go on without it from the next compaction"
    return Text(f"{name} has been away for {age(away.ms)}{held}; {then}", style="yellow")


def _still_to_close(view: FleetView, replica: str) -> list[str]:
    """The members that have not heard yet that `replica` leaves."""
    closers = view.members.closings.get(replica, ())
    return [node for node, id_ in view.members.active.items() if id_ not in closers]


def _marker_note(view: FleetView) -> list[Text]:
    waiting = max((node.tombstones or 0 for node in view.nodes.values()), default=0)
    if not waiting or any(away.tombstones for away in view.away.values()):
        return []
    away = [node.name for node in view.taking_part if not node.up or node.problem is not None]
    reason = f"{' '.join(away)} to come back" if away else "paused links" if view.paused else "the next compaction"
    return [Text(f"removal markers that wait for {reason}: {waiting}", style="dim")]


def _audit_notes(view: FleetView) -> list[Text]:
    reports = {name: node.audit for name, node in view.nodes.items() if node.audit is not None}
    if not reports:
        return []
    alarms = {name: report["mismatch"] for name, report in reports.items() if report.get("mismatch")}
    if alarms:
        found = "; ".join(f"{name} and {', '.join(peers)}" for name, peers in alarms.items())
        return [Text(f"last audit: equal clocks, different digests: {found}", style="bold red")]
    latest_ms = max(report.get("at_ms", 0) for report in reports.values())
    compared = sum(len(report.get("agree", [])) for report in reports.values())
    return [
        Text(f"last audit {age(max(0, view.at_ms - latest_ms))} ago: {compared} comparisons, all agree", style="dim")
    ]
