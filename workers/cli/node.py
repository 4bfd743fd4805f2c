"""`deltaic node`: lists the members of the fleet, and adds and removes them while it runs.

One running member writes a change down, and it reaches the others like any write. What a command then waits for (the
new node to be up, the removed worker to have stopped) happens without the command: interrupting it undoes nothing.
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
from crdt_core.membership.evidence import NodeEvidence, combined_members
from crdt_core.types.members import Standing
from workers.cli.display import plain_table
from workers.cli.fitting import FirstThatFits
from workers.cli.join_progress import watch_joining
from workers.cli.namesakes import namesake_notes
from workers.cli.removal import VIA, remove, serving_member
from workers.cli.words import age
from workers.config.addresses import check_addresses
from workers.config.embedded_server import completed, completed_node
from workers.config.fleet_file import add_section, resp_beside
from workers.config.loading import START_FLEET, checked_node, default_fleet_file, load_settings
from workers.config.redis_url import redacted
from workers.fleet.members import FleetMembers, read_members
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.rpc.client import FleetClient
from workers.system.clock import wall_ms
from workers.wire.keys import Keys
from workers.wire.replies import text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from crdt_core.types.members import Fact
    from workers.config.settings import FleetSettings, NodeSettings

__all__ = ["node"]

_INTERRUPTED = 130
_COLUMNS: tuple[tuple[str, ...], ...] = (
    ("node", "replica", "standing", "since", "worker", "gRPC", "resp", "Redis"),
    ("node", "replica", "standing", "since", "worker", "gRPC"),
    ("node", "replica", "standing", "worker"),
)
"""The columns of the list, the fewer the narrower the terminal is."""


@click.group()
def node() -> None:
    """List, add and remove the members of the running fleet."""


# List -------------------------------------------------------------------------------------------------------------


@node.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per replica id.")
@click.pass_context
def list_(ctx: click.Context, *, as_json: bool) -> None:
    """List every replica id that is or was a member, with its addresses, and whether its worker runs.

    A node that comes back after a loss or an absence has a new id: n1, n1.2, n1.3.

    \b
    Exit code: 0  at least one node's Redis has answered
               3  none has: only what the fleet file says is known
    """
    fleet = asyncio.run(read_members(load_settings(ctx.obj)))
    ids = list(_ids(fleet))
    if as_json:
        click.echo(orjson.dumps(ids, option=orjson.OPT_INDENT_2))
    else:
        _print_table(Console(), ids, namesake_notes(fleet.members, fleet.settings.nodes))
    _check_somebody_answers(fleet)


def _check_somebody_answers(fleet: FleetMembers) -> None:
    """Raise `WorldError` if the Redis of no node answers."""
    if not fleet.somebody_answers:
        raise WorldError(f"the Redis of no node answers, so only the fleet file is known; {START_FLEET}")


def _print_table(console: Console, ids: list[dict[str, Any]], notes: list[str]) -> None:
    console.print(FirstThatFits(*(_table(ids, names) for names in _COLUMNS)))
    for note in notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def _table(ids: list[dict[str, Any]], names: tuple[str, ...]) -> Table:
    table = plain_table(*(Column(name, overflow="fold") for name in names))
    for id_ in ids:
        cells = {
            "node": id_["node"],
            "replica": id_["replica"],
            "standing": _standing(id_),
            "since": f"{age(max(0, wall_ms() - id_['since_ms']))} ago" if id_["since_ms"] else "-",
            "worker": _worker(id_),
            "gRPC": id_["grpc"],
            "resp": id_["resp"] or "-",
            "Redis": id_["redis"],
        }
        table.add_row(*(cells[name] for name in names), style="" if id_["standing"] == "active" else "dim")
    return table


def _ids(fleet: FleetMembers) -> list[dict[str, Any]]:
    """Return the JSON objects of all ids that are known, and of the nodes of the fleet file that have none."""
    members = fleet.members.facts if fleet.somebody_answers else {}
    facts = sorted(members.items(), key=lambda item: (item[1].node, len(item[0]), item[0]))
    known = [_id_json(fleet, replica, fact) for replica, fact in facts]
    listed = {fact.node for fact in members.values()}
    return known + [_no_id_json(fleet, name) for name in fleet.settings.nodes if name not in listed]


def _id_json(fleet: FleetMembers, replica: str, fact: Fact) -> dict[str, Any]:
    """Return what `deltaic node list --json` says of an id; `null` is what cannot be known."""
    settings, evidence = fleet.settings.nodes.get(fact.node), fleet.evidence(fact.node)
    takes_part = fact.standing is Standing.ACTIVE
    is_own = evidence is not None and (evidence.replica == replica or not evidence.replica)
    return {
        "node": fact.node,
        "replica": replica,
        "standing": fact.standing.name.lower(),
        "reason": fact.reason or None,
        "since_ms": fact.at_ms or None,
        "last_commit": fact.final or None,
        "grpc": settings.grpc if settings else fact.grpc,
        "resp": settings.resp if settings else None,
        "redis": redacted(settings.redis if settings else fact.redis),
        "running": None if evidence is None else evidence.running and is_own,
        "joining": takes_part and evidence is not None and (evidence.joining or evidence.replica != replica),
        "waits": fleet.waits.get(fact.node) if takes_part else None,
    }


def _no_id_json(fleet: FleetMembers, name: str) -> dict[str, Any]:
    """Return the same for a node of the fleet file that has no replica id, as far as is known."""
    settings, answers = fleet.settings.nodes[name], fleet.evidence(name) is not None
    standing = "no member" if fleet.somebody_answers else "unknown"
    nothing = dict.fromkeys(("reason", "since_ms", "last_commit", "waits"))
    return {
        "node": name, "replica": "-", **nothing, "standing": standing,
        "grpc": settings.grpc, "resp": settings.resp, "redis": redacted(settings.redis),
        "running": False if answers else None, "joining": False,
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


# Add --------------------------------------------------------------------------------------------------------------


@node.command()
@click.argument("name")
@click.option(
    "--grpc", metavar="HOST:PORT", help="Its gRPC address; required if the fleet file does not name the node."
)
@click.option("--redis", metavar="URL", help="Its Redis, as every node reaches it; required like --grpc.")
@click.option(
    "--resp", metavar="HOST:PORT", help="Its address for Redis clients; default: chosen as the other nodes do."
)
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

    The node fetches the state from a member, in chunks, and serves when it has all of it. If the fleet file does not
    name the node, its section is added there. The other members' files need not name it: its addresses travel with
    the addition. An exception is a Redis URL with a password, which is recorded nowhere. Ctrl-C ends the waiting;
    the node stays added.

    \b
    Exit code: 0  the node is up, or was added with --no-wait
               2  it cannot be added like this
               3  no member answers, or the new node's Redis does not
               4  a worker of another fleet runs there
             130  interrupted while waiting
    """
    settings = load_settings(ctx.obj)
    new = _addresses(settings, name, grpc, redis, resp)
    replica, by = asyncio.run(_add(settings, name, new, via))
    console = Console(soft_wrap=True, markup=False, highlight=False)
    news = f"{by}: {name} is now a member" if by else f"{name} is already a member"
    console.print(f"{news}; its replica id is {replica}")
    file = ctx.obj or default_fleet_file()
    if name not in settings.nodes:
        changed = add_section(file, name, new)
        copied = "" if changed == file else ", a copy of the fleet file that comes with Deltaic"
        console.print(f"wrote its section into {changed}{copied}")
        if new.resp is not None:
            console.print(f"it will speak the Redis protocol at {new.resp}")
    if not new.published_redis:
        hint = "its Redis URL has a password, which is not recorded"
        remedy = f"all members have to be started with [nodes.{name}] in their fleet files"
        console.print(f"{hint}: {remedy}", style="yellow")
    for line in _how_to_start(name, ctx.obj):
        console.print(line, style="dim")
    if no_wait:
        return
    try:
        asyncio.run(watch_joining(name, replica, completed_node(new, settings.valkey)))
    except KeyboardInterrupt:
        console.print(f"\n{name} stays a member; `deltaic status` shows it, `deltaic node remove {name}` undoes it")
        ctx.exit(_INTERRUPTED)


def _addresses(
    settings: FleetSettings, name: str, grpc: str | None, redis: str | None, resp: str | None
) -> NodeSettings:
    """Return the addresses of the new node, from the fleet file or the options. Raises `InvalidArgument`."""
    in_file = settings.nodes.get(name)
    if in_file is None:
        former, _, _ = name.rpartition("-")
        section = settings.nodes.get(former)
        if section is not None and grpc in {None, section.grpc}:
            hint = f"if this is the machine of the section [nodes.{former}], call that [nodes.{name}] first"
            remedy = f"{hint}, else give its own --grpc and --redis"
            raise InvalidArgument(name, f"the fleet file does not name it; {remedy}")
        if grpc is None or redis is None:
            raise InvalidArgument(name, "the fleet file does not name it: --grpc and --redis are needed")
        new = checked_node(name, grpc=grpc, redis=redis, resp=resp)
        return new if resp else checked_node(name, grpc=grpc, redis=redis, resp=_default_resp(settings, new))
    redis = None if redis is None else completed(redis, settings.valkey)
    for option, given, held in (
        ("--grpc", grpc, in_file.grpc), ("--redis", redis, in_file.redis), ("--resp", resp, in_file.resp),
    ):  # fmt: skip
        if given not in {None, held}:
            says = "does not set it" if held is None else f"says {redacted(held)}"
            raise InvalidArgument(option, f"the fleet file {says}; omit the option, or change the file")
    return in_file


def _default_resp(settings: FleetSettings, new: NodeSettings) -> str | None:
    """Return the address for Redis clients, chosen as the other nodes do; `None` if another face has that address."""
    resp = resp_beside(settings.nodes.values(), new.grpc)
    taken = {address for node in settings.nodes.values() for address in node.listens_at.values()}
    return resp if resp not in {*taken, new.grpc} else None


async def _add(settings: FleetSettings, name: str, new: NodeSettings, via: str | None) -> tuple[str, str]:
    """Add the node, and return its replica id and the member that recorded it.

    If the node was added before and is not up yet, no member writes anything, and the second part is empty. Raises
    `InvalidArgument` if it is up, if another machine was added under its name, or if it and the others have removed
    each other, and `SettingsError` if another member has its address.
    """
    wider = settings.model_copy(update={"nodes": settings.nodes | {name: completed_node(new, settings.valkey)}})
    fleet = await read_members(wider)
    _check_somebody_answers(fleet)
    others = {node: known for node, known in fleet.settings.nodes.items() if node != name}
    check_addresses(others | {name: new})
    evidence = _evidence_of_newcomer(fleet, name)
    replica = fleet.members.active.get(name)
    any_replica = any(isinstance(e, NodeEvidence) and e.replica for e in fleet.evidence_by_node.values())
    if replica is not None and any_replica:
        _check_is_same_machine(name, new, replica, fleet.members.facts[replica])
        goes_on = evidence.replica == replica and not fleet.members.abandoned(evidence.clock)
        if goes_on and not evidence.joining:
            raise InvalidArgument(name, f"it is already a member; its replica id is {replica}")
        await _note_addition(fleet, name, replica)
        return replica, ""
    _check_somebody_stays(fleet, name)
    async with FleetClient(fleet.settings) as clients:
        member = await serving_member(clients, fleet, via, but=name)
        _check_knows_given_up(fleet, evidence, member.name)
        replica = await member.add_node(name, new)
    await _note_addition(fleet, name, replica)
    return replica, member.name


def _check_is_same_machine(name: str, new: NodeSettings, replica: str, known: Fact) -> None:
    """Raise `InvalidArgument` if `known`, the fact about `replica`, has other addresses than the new node.

    The machine at those addresses may run under that id, so this one must not. An address that is not published says
    nothing.
    """
    addresses = ((new.grpc, known.grpc), (new.published_redis, known.redis))
    if any(own and published and own != published for own, published in addresses):
        raise InvalidArgument(
            name,
            f"another machine is a member under this name, at {known.grpc}; its replica id is {replica}: "
            f"`deltaic node add ANOTHER-NAME`, or first `deltaic node remove {name}`",
        )


async def _note_addition(fleet: FleetMembers, name: str, replica: str) -> None:
    """Note in the new node's Redis under which id it was added, so that it can tell itself from a namesake.

    Raises `NodeStoreUnavailable`.
    """
    async with FleetRedis(fleet.settings) as redis:
        answer = (await redis.ask({name: [("SADD", Keys(name).added, replica)]}))[name]
    if isinstance(answer, NodeStoreUnavailable):
        raise answer


def _evidence_of_newcomer(fleet: FleetMembers, name: str) -> NodeEvidence:
    """Return what the new node's Redis holds.

    Raises `NodeStoreUnavailable` if it cannot be read, `AlreadyRunning` if a worker of another fleet runs there, and
    `InvalidArgument` if it holds a replica of another fleet.
    """
    evidence = fleet.evidence_by_node[name]
    if isinstance(evidence, NodeStoreUnavailable):
        raise evidence
    if evidence.renamed:
        raise InvalidArgument(
            name, f"its Redis is that of {evidence.renamed}, a machine that was renamed: choose another"
        )
    if name in fleet.members.active:
        return evidence
    if evidence.running:
        raise AlreadyRunning(evidence.replica or name, "a worker that is no member of this fleet")
    was_given_up = fleet.members.abandoned(evidence.clock)
    if evidence.replica and evidence.replica not in fleet.members.facts and not was_given_up:
        where = Keys(name).header
        raise InvalidArgument(
            name, f"its Redis holds a replica of another fleet at {where}: delete that, or choose another"
        )
    return evidence


def _check_somebody_stays(fleet: FleetMembers, name: str) -> None:
    """Raise `InvalidArgument` if no member is left but for what the newcomer's Redis says.

    That is so if two nodes have removed each other while apart. Each would go on alone, so a person has to choose.
    """
    if fleet.members.active.keys() - {name}:
        return
    others = [fleet.evidence(node) for node in fleet.evidence_by_node if node != name]
    if removed := combined_members(others, ()).active.keys() - {name}:
        url, keys = redacted(fleet.settings.nodes[name].redis), Keys(name)
        raise InvalidArgument(
            name,
            f"its Redis says that {', '.join(removed)} was removed, and no other member is left that could record it; "
            f"to give up what only {name} has written, run `redis-cli -u {url} UNLINK '{keys.header}' "
            f"'{text(keys.members)}'`, and repeat the command",
        )


def _check_knows_given_up(fleet: FleetMembers, evidence: NodeEvidence, member: str) -> None:
    """Raise `WorldError` if the newcomer's Redis holds commits that the fleet has abandoned and `member` does not know.

    The member that writes the addition down has to know. Then every node that hears of the addition has also heard
    which commits were abandoned, and takes none of them in.
    """
    own = fleet.evidence(member)
    known = own.members.abandoned(evidence.clock) if own is not None else []
    if unknown := [replica for replica in fleet.members.abandoned(evidence.clock) if replica not in known]:
        raise WorldError(f"{member} has not heard yet where {', '.join(unknown)} ended: try again, or --via another")


def _how_to_start(name: str, fleet_file: Path | None) -> tuple[str, str]:
    where = f"with -f {fleet_file}" if fleet_file else "in this directory"
    by_hand = f"deltaic replica {name}    its jobs: deltaic jobs --node {name}, deltaic cron --node {name}"
    return f"a `deltaic fleet` that runs {where} starts it", f"elsewhere, start it: {by_hand}"


node.add_command(remove)
