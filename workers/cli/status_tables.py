"""The headline and the two tables of `deltaic status`: one about the nodes, one about their clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Column
from rich.text import Text

from workers.cli.display import plain_table
from workers.cli.fitting import FirstThatFits
from workers.cli.words import age
from workers.fleet.agreement import AGREE, BEHIND, MISMATCH
from workers.system.ports import split_address
from workers.wire.keys import PAUSED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from workers.fleet.fleet_status import FleetStatus
    from workers.fleet.node_status import NodeStatus

__all__ = ["clocks_table", "headline", "nodes_table"]

_DIGITS = 8
_ROUND_WIDTH = len("1.1s ago: n5 n4")
_OMITTED: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"digest"}),
    frozenset({"digest", "log", "inbox"}),
    frozenset({"digest", "log", "inbox", "redis-cli"}),
    frozenset({"digest", "log", "inbox", "redis-cli", "last round"}),
)
"""The columns that are left out, the more the narrower the terminal is."""


def headline(fleet: FleetStatus) -> Text:
    """Return one line: how many nodes are up, who cannot read, write or keep records, and whether the states agree."""
    members = fleet.taking_part
    up = sum(node.up and not node.waits for node in members)
    count = Text(f"{up} of {len(members)} nodes up", style="bold green" if up == len(members) else "bold red")
    unread = " ".join(node.name for node in fleet.nodes.values() if node.problem is not None)
    stuck = " ".join(node.name for node in members if node.trouble is not None and node.problem is None)
    losing = " ".join(node.name for node in members if node.loses)
    gaps = [
        f"; no Redis of {unread}" if unread else "",
        f"; {stuck} cannot write" if stuck else "",
        f"; {losing} may lose records" if losing else "",
    ]
    return Text.assemble(count, ("".join(gaps), "bold red"), "; ", _agreement_text(fleet))


def _agreement_text(fleet: FleetStatus) -> Text:
    """Return how many different views there are, and which nodes have each."""
    if fleet.agreement is None:
        return Text("nothing can be compared", style="bold red")
    if fleet.agreement == MISMATCH:
        sides = " | ".join(
            " / ".join(" ".join(names) for names in group.digests.values()) for group in fleet.groups if group.mismatch
        )
        return Text(f"DIGEST MISMATCH: {sides} have seen the same and hold different states", style="bold red")
    if fleet.agreement == AGREE:
        known = len(fleet.groups[0].nodes)
        all_known = known == len(fleet.taking_part)
        return Text("all agree" if all_known else f"the other {known} agree", style="bold green")
    sides = " | ".join(" ".join(group.nodes) for group in fleet.groups)
    return Text(f"{len(fleet.groups)} views: {sides}", style="bold yellow")


def nodes_table(fleet: FleetStatus) -> RenderableType:
    """Return a table with a row per node: its state, its digest, its streams, its last gossip round.

    A narrow terminal gets fewer columns. Before columns are left out, long rounds are folded.
    """
    shows_resp = any(node.settings.resp for node in fleet.nodes.values())
    usual = frozenset() if shows_resp else frozenset({"redis-cli"})
    widths = (None, _ROUND_WIDTH)
    return FirstThatFits(*(_nodes_table(fleet, usual | omitted, width) for omitted in _OMITTED for width in widths))


def _nodes_table(fleet: FleetStatus, omitted: frozenset[str], round_width: int | None) -> RenderableType:
    columns = [
        Column("node", no_wrap=True),
        Column("state"),
        Column("digest", no_wrap=True),
        Column("agreement", no_wrap=True),
        Column("log", justify="right"),
        Column("inbox", justify="right"),
        Column("redis-cli", no_wrap=True),
        Column("last round", max_width=round_width),
    ]
    table = plain_table(*(column for column in columns if column.header not in omitted))
    for node in fleet.nodes.values():
        cells: dict[str, RenderableType] = {
            "node": _name(node),
            "state": _state(node),
            "digest": (node.digest or "-")[:_DIGITS],
            "agreement": _agreement(node),
            "log": _number(node.log),
            "inbox": _number(node.inbox),
            "redis-cli": _resp(node),
            "last round": _round(node, fleet.at_ms),
        }
        table.add_row(*(cell for name, cell in cells.items() if name not in omitted))
    return table


def _resp(node: NodeStatus) -> str:
    """Return the options with which `redis-cli` reaches the node's Redis face."""
    if node.settings.resp is None:
        return "-"
    host, port = split_address(node.settings.resp)
    return f"-p {port}" if host in {"127.0.0.1", "localhost"} else f"-h {host} -p {port}"


def _name(node: NodeStatus) -> Text:
    """Return the node's name, and its replica id if that is different."""
    has_other_id = node.replica not in {"", node.name}
    return Text.assemble(node.name, (f" as {node.replica}", "dim") if has_other_id else "")


def _state(node: NodeStatus) -> Text:
    if not node.takes_part:
        return Text("no member" if node.standing is None else f"left: {node.left_because}", style="dim")
    if lacks := _lacks(node):
        return Text(f"{'up' if node.up else 'down'}, {lacks}", style="bold red")
    if node.waits:
        return Text("waits", style="bold yellow")
    if node.up and (node.joining or "joins" in node.heartbeat) and not node.serving:
        return Text("joins", style="yellow")
    if node.up:
        return Text("up", style="green")
    since = f" {age(node.beat_age_ms)}" if node.beat_age_ms is not None else ""
    return Text(f"down{since}", style="bold red")


def _lacks(node: NodeStatus) -> str:
    """Return what a member's Redis does not do as it should; empty where it does all."""
    if node.problem is not None:
        return "no Redis"
    if node.trouble is not None:
        return "no writes"
    return "may lose" if node.loses and node.up else ""


def _agreement(node: NodeStatus) -> Text:
    styles = {AGREE: "green", BEHIND: "yellow", MISMATCH: "bold red"}
    if node.agreement is None:
        return Text("?", style="red") if node.takes_part and not node.joining else Text("-", style="dim")
    return Text("MISMATCH" if node.agreement == MISMATCH else node.agreement, style=styles[node.agreement])


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _round(node: NodeStatus, at_ms: int) -> Text:
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


def clocks_table(fleet: FleetStatus) -> RenderableType | None:
    """Return a table with a row per member: its clock, and with each entry how far it is behind that peer.

    Where that is wider than the terminal, it is a sentence for each member. `None` if no clock is known.
    """
    members = fleet.taking_part
    if all(node.clock is None for node in members):
        return None
    table = plain_table(Column("has seen", no_wrap=True), *(Column(f"of {_id(peer)}") for peer in members))
    sentences = []
    for node in members:
        seen = [_seen(node, peer) for peer in members]
        table.add_row(node.name, *seen)
        entries = (Text.assemble(text, f" of {_id(peer)}") for text, peer in zip(seen, members, strict=True))
        sentences.append(Text.assemble(f"{node.name} has seen ", Text(", ").join(entries)))
    return FirstThatFits(table, Group(*sentences))


def _id(node: NodeStatus) -> str:
    return node.replica or node.name


def _seen(node: NodeStatus, peer: NodeStatus) -> Text:
    if node.clock is None:
        return Text("?", style="red")
    text = Text(str(node.clock[_id(peer)]))
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
