"""`deltaic node`: who belongs to the fleet, and changing that while it runs.

A change is written down by one running member and reaches the others like any write. What a command then waits for (the
newcomer to be up, the removed worker to have stopped) comes about without it: interrupting it undoes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console
from rich.table import Column
from rich.text import Text

from crdt_core.errors import AlreadyRunning, InvalidArgument, WorldError
from crdt_core.membership.evidence import NodeEvidence
from crdt_core.types.members import Standing
from workers.cli.arrival import watch_arrival
from workers.cli.display import age, plain_table
from workers.cli.removal import VIA, remove, serving_member
from workers.config.fleet_file import add_section, resp_beside
from workers.config.redis_url import publishable, shown
from workers.config.settings import checked_node, default_fleet_file, load_settings
from workers.fleet.members import Census, take_census
from workers.fleet.stores import NodeStoreUnavailable
from workers.rpc.client import FleetClient
from workers.system.clock import wall_ms
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from crdt_core.types.members import Fact
    from workers.config.settings import FleetSettings, NodeSettings

__all__ = ["node"]

INTERRUPTED = 130
WIDE = 100


@click.group()
def node() -> None:
    """List the members of the fleet, add and remove them while it runs."""


# List


@node.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per replica id.")
@click.pass_obj
def list_(fleet_file: Path | None, *, as_json: bool) -> None:
    """List every replica id that is or was a member: since when it is not, its addresses, whether its worker runs.

    A node that comes back after a loss or an absence does so under a new id: n1, n1.2, n1.3.
    """
    census = asyncio.run(take_census(load_settings(fleet_file)))
    ids = list(_ids(census))
    if as_json:
        click.echo(orjson.dumps(ids, option=orjson.OPT_INDENT_2))
        return
    console = Console()
    wide = console.width >= WIDE
    names = ["node", "replica", "standing", "since", "worker", "gRPC", *(["resp", "Redis"] if wide else [])]
    table = plain_table(*(Column(name, overflow="fold") for name in names))
    for id_ in ids:
        since = f"{age(max(0, wall_ms() - id_['since_ms']))} ago" if id_["since_ms"] else "-"
        style = "" if id_["standing"] == "active" else "dim"
        where = [id_["grpc"], *([id_["resp"] or "-", id_["redis"]] if wide else [])]
        table.add_row(id_["node"], id_["replica"], _standing(id_), since, _worker(id_), *where, style=style)
    console.print(table)


def _ids(census: Census) -> list[dict[str, Any]]:
    facts = sorted(census.members.facts.items(), key=lambda item: (item[1].node, len(item[0]), item[0]))
    known = [_id_json(census, replica, fact) for replica, fact in facts]
    strangers = [name for name in census.settings.nodes if not census.members.ids_of(name)]
    return known + [_stranger_json(census.settings.nodes[name], name) for name in strangers]


def _id_json(census: Census, replica: str, fact: Fact) -> dict[str, Any]:
    """What `deltaic node list --json` says of an id; `null` is what cannot be known."""
    named, record = census.settings.nodes.get(fact.node), census.record(fact.node)
    takes_part = fact.standing is Standing.ACTIVE
    return {
        "node": fact.node,
        "replica": replica,
        "standing": fact.standing.name.lower(),
        "reason": fact.reason or None,
        "since_ms": fact.at_ms or None,
        "last_commit": fact.final or None,
        "grpc": named.grpc if named else fact.grpc,
        "resp": named.resp if named else None,
        "redis": shown(named.redis if named else fact.redis),
        "running": None if record is None else record.running and (record.replica == replica or not record.replica),
        "joining": takes_part and record is not None and (record.joining or record.replica != replica),
        "waits": census.waits.get(fact.node) if takes_part else None,
    }


def _stranger_json(named: NodeSettings, name: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("replica", "reason", "since_ms", "last_commit"))
    return {
        "node": name, **nothing, "standing": "no member", "grpc": named.grpc, "resp": named.resp,
        "redis": shown(named.redis), "running": False, "joining": False, "waits": None, "replica": "-",
    }  # fmt: skip


def _standing(id_: dict[str, Any]) -> str:
    return f"{id_['standing']} ({id_['reason']})" if id_["reason"] else id_["standing"]


def _worker(id_: dict[str, Any]) -> Text:
    if id_["running"] is None:
        return Text("no Redis", style="bold red")
    if id_["waits"]:
        return Text("waits", style="bold yellow")
    if id_["joining"]:
        return Text("joins" if id_["running"] else "not started", style="yellow")
    if id_["running"]:
        return Text("runs", style="green")
    return Text("down", style="bold red") if id_["standing"] == "active" else Text("-")


# Add


@node.command()
@click.argument("name")
@click.option("--grpc", metavar="HOST:PORT", help="Where its worker is dialled; needed where the fleet file is silent.")
@click.option("--redis", metavar="URL", help="Its Redis, as everybody reaches it; needed like --grpc.")
@click.option("--resp", metavar="HOST:PORT", help="Where clients of Redis reach it; by default as at the other nodes.")
@VIA
@click.option("--no-wait", is_flag=True, help="Do not wait until the node is up.")
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    *,
    grpc: str | None,
    redis: str | None,
    resp: str | None,
    via: str | None,
    no_wait: bool,
) -> None:
    """Add the node NAME to the running fleet, and wait until it is up.

    The node fetches the state from a member, in chunks, and serves once it has all of it. If the fleet file does not
    name the node, its section is added there. The other members' files may name it or not: the addresses travel with
    the addition, unless its Redis URL has a password, which is written down nowhere. Ctrl-C ends the waiting; the
    node stays added.

    \b
    Exit code: 0  the node is up, or was added with --no-wait
               2  it cannot be added as it is
               3  no member or not the new node's Redis can be reached
               4  a worker of another fleet runs there
             130  interrupted while waiting
    """
    settings = load_settings(ctx.obj)
    new = _addresses(settings, name, grpc, redis, resp)
    replica, by = asyncio.run(_add(settings, name, new, via))
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(f"{by}: {name} is a member now, as {replica}" if by else f"{name} is a member already, as {replica}")
    file = ctx.obj or default_fleet_file()
    if name not in settings.nodes:
        written = add_section(file, name, new)
        copied = "" if written == file else ", a copy of the fleet file that comes with Deltaic"
        console.print(f"wrote its section into {written}{copied}")
        if new.resp is not None:
            console.print(f"it will speak the Redis protocol at {new.resp}")
    if not publishable(new.redis):
        hint = "its Redis URL has a password, which is not written down"
        remedy = f"all members have to be started with [nodes.{name}] in their fleet files"
        console.print(f"{hint}: {remedy}", style="yellow")
    console.print(_how_to_start(name), style="dim")
    if no_wait:
        return
    try:
        asyncio.run(watch_arrival(name, replica, new))
    except KeyboardInterrupt:
        console.print(f"\n{name} stays a member; `deltaic status` shows it, `deltaic node remove {name}` undoes it")
        ctx.exit(INTERRUPTED)


def _addresses(
    settings: FleetSettings, name: str, grpc: str | None, redis: str | None, resp: str | None
) -> NodeSettings:
    named = settings.nodes.get(name)
    if named is None:
        if grpc is None or redis is None:
            raise InvalidArgument(name, "the fleet file does not name it: --grpc and --redis are needed")
        new = checked_node(name, grpc=grpc, redis=redis, resp=resp)
        return new if resp else checked_node(name, grpc=grpc, redis=redis, resp=_resp_of(settings, new))
    for option, given, held in (
        ("--grpc", grpc, named.grpc), ("--redis", redis, named.redis), ("--resp", resp, named.resp),
    ):  # fmt: skip
        if given not in {None, held}:
            says = "nothing of it" if held is None else shown(held)
            raise InvalidArgument(option, f"the fleet file says {says}; leave it out, or change the file")
    return named


def _resp_of(settings: FleetSettings, new: NodeSettings) -> str | None:
    """Where it speaks the Redis protocol unless it is told; nowhere if another face would be in its way."""
    resp = resp_beside(settings.nodes.values(), new.grpc)
    taken = {address for node in settings.nodes.values() for address in node.listens_at.values()}
    return resp if resp not in {*taken, new.grpc} else None


async def _add(settings: FleetSettings, name: str, new: NodeSettings, via: str | None) -> tuple[str, str]:
    """The id of the new member, and who wrote it down: nobody if it is written down already, and not up yet."""
    wider = settings.model_copy(update={"nodes": settings.nodes | {name: new}})
    census = await take_census(wider)
    record = _record_of_newcomer(census, name)
    replica = census.members.active.get(name)
    if replica is not None and any(isinstance(r, NodeEvidence) and r.replica for r in census.records.values()):
        goes_on = record.replica == replica and not census.members.abandoned(record.clock)
        if goes_on and not record.joining:
            raise InvalidArgument(name, f"it is a member already, as {replica}")
        return replica, ""
    async with FleetClient(census.settings) as clients:
        member = await serving_member(clients, census, via, but=name)
        _check_knows_the_end(census, record, member.name)
        return await member.add_node(name, new), member.name


def _record_of_newcomer(census: Census, name: str) -> NodeEvidence:
    """What its Redis holds; raises where that speaks against an addition."""
    record = census.records[name]
    if isinstance(record, NodeStoreUnavailable):
        raise record
    if name in census.members.active:
        return record
    if record.running:
        raise AlreadyRunning(record.replica or name, "a worker that is no member of this fleet")
    left_behind = census.members.abandoned(record.clock)
    if record.replica and record.replica not in census.members.facts and not left_behind:
        where = Keys(name).header
        raise InvalidArgument(
            name, f"its Redis holds a replica of another fleet at {where}: delete that, or choose another"
        )
    return record


def _check_knows_the_end(census: Census, record: NodeEvidence, member: str) -> None:
    """Raises where `member` has not heard that what the newcomer's Redis holds was given up.

    Whoever hears of the addition has then heard of that, too, and takes nothing of it in.
    """
    own = census.record(member)
    known = own.members.abandoned(record.clock) if own is not None else []
    if unheard := [replica for replica in census.members.abandoned(record.clock) if replica not in known]:
        raise WorldError(f"{member} has not heard yet where {', '.join(unheard)} ended: try again, or --via another")


def _how_to_start(name: str) -> str:
    return f"start it: deltaic replica {name}    its jobs: deltaic jobs --node {name}, deltaic cron --node {name}"


node.add_command(remove)
