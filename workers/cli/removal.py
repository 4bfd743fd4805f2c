"""`deltaic node remove`: removes a member from the fleet, and says beforehand what that would lose.

Headers tell which commits have reached no other member: the node's own entry in its own clock, compared with the
highest entry for it in the clock of any other member. A node that runs sends those commits to the others before it is
removed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console

from crdt_core.errors import InvalidArgument, UnknownNode, WorldError
from crdt_core.membership.evidence import NodeEvidence
from workers.cli.words import age, printable
from workers.config.loading import START_FLEET, default_fleet_file, load_settings
from workers.fleet.members import FleetMembers, read_members
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.rpc.client import FleetClient, NodeUnavailable, NoNodeServes
from workers.system.clock import wall_ms
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from workers.config.settings import FleetSettings
    from workers.rpc.client import NodeClient

__all__ = ["VIA", "remove", "serving_member"]

_STOP_TIMEOUT_S = 30.0
_CHECK_INTERVAL_S = 0.2

VIA = click.option("--via", help="The member that writes the change down; default: the first that serves.")


async def serving_member(clients: FleetClient, fleet: FleetMembers, via: str | None, *, but: str) -> NodeClient:
    """Return the member that is to write a change down: `via`, or the first that serves, but never the node `but`.

    Raises `UnknownNode` if `via` is no such member, `NoNodeWrites` if members run and none can write, and `WorldError`
    if none answers.
    """
    members = [name for name in fleet.members.active if name != but and name in clients.nodes]
    if via is not None and via not in members:
        raise UnknownNode(via, members)
    asked = [via] if via is not None else members
    try:
        return await clients.first_of(asked)
    except NoNodeServes:
        raise WorldError(f"no member answers that could record it; asked {', '.join(asked)}; {START_FLEET}") from None


@click.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option(
    "--force", is_flag=True, help="Remove it even if it has commits that no other member has, or cannot be asked."
)
@VIA
@click.pass_obj
def remove(fleet_file: Path | None, name: str, *, dry_run: bool, force: bool, via: str | None) -> None:
    """Remove the node NAME from the running fleet. What it wrote stays; its worker stops by itself.

    If it runs and has commits that no other member has, it first exchanges with all others. If it still has such
    commits then, or its Redis cannot be read, --force is needed. Its replica id leaves all clocks when every member
    has heard of the removal. `deltaic node add` makes it a member again, under a new id.

    \b
    Exit code: 0  it is removed, and its worker has stopped
               2  it is no member, or only --force would remove it
               3  no member can be reached, or the worker has not stopped in time
    """
    settings = load_settings(fleet_file)
    asyncio.run(_remove(settings, name, dry_run=dry_run, force=force, via=via, file=fleet_file or default_fleet_file()))


async def _remove(
    settings: FleetSettings, name: str, *, dry_run: bool, force: bool, via: str | None, file: Path
) -> None:
    console = Console(soft_wrap=True, markup=False, highlight=False)
    fleet = await read_members(settings)
    replica = _replica_to_remove(fleet, name)
    if dry_run:
        for line in [*_findings(fleet, name), *await _held_back(fleet, name)]:
            console.print(line)
        return
    async with FleetClient(fleet.settings) as clients:
        member = await serving_member(clients, fleet, via, but=name)
        if fleet.unseen_commits(name) and _runs(fleet, name):
            await _send_to_others(clients.nodes[name], console)
            fleet = await read_members(settings)
        unseen = fleet.unseen_commits(name)
        if unseen != 0 and not force:
            raise InvalidArgument(name, f"{_unseen_words(unseen)}; --force removes it all the same")
        await member.remove_node(name)
    console.print(f"{member.name}: {name} is no member any more")
    if unseen is None:
        text = f"{name}: its Redis does not answer; commits that reached no other member are lost to the others"
        console.print(text, style="yellow")
    else:
        await _wait_until_stopped(fleet.settings, name)
        if _runs(fleet, name):
            console.print("its worker has stopped")
        unseen = await _unseen_after_removal(fleet.settings, name, replica)
    if unseen:
        text = f"{_commits(unseen)} of its own reached no other member and will stay only in its Redis"
        console.print(f"{name}: {text}", style="yellow")
    console.print(f"its id {replica} leaves the clocks when all members have heard of the removal", style="dim")
    if name in settings.nodes:
        console.print(f"take [nodes.{name}] out of {file}", style="dim")


def _replica_to_remove(fleet: FleetMembers, name: str) -> str:
    """Return the replica id of the member `name`. Raises `UnknownNode`, or `InvalidArgument` for a former member."""
    if name in fleet.members.active:
        return fleet.members.active[name]
    latest = fleet.latest(name)
    if latest is None:
        raise UnknownNode(name, list(fleet.members.active))
    _, fact = latest
    raise InvalidArgument(name, f"it is no member any more ({fact.reason}, {age(max(0, wall_ms() - fact.at_ms))} ago)")


def _runs(fleet: FleetMembers, name: str) -> bool:
    evidence = fleet.evidence(name)
    return evidence is not None and evidence.running


def _unseen_words(count: int | None) -> str:
    if count is None:
        return "its Redis does not answer, so commits that reached no other member cannot be counted"
    return f"{_commits(count)} of its own reached no other member"


def _commits(count: int) -> str:
    """Return a number of commits in words.

    >>> _commits(1), _commits(2)
    ('1 commit', '2 commits')
    """
    return f"{count} commit" + ("" if count == 1 else "s")


def _findings(fleet: FleetMembers, name: str) -> list[str]:
    """Return what a removal would find and do, a line each."""
    replica, unseen = fleet.members.active[name], fleet.unseen_commits(name)
    evidence = fleet.evidence_by_node.get(name)
    if isinstance(evidence, NodeEvidence):
        state = "it runs; it would stop by itself" if evidence.running else "its worker does not run"
        commits = f"what it wrote stays: {_commits(evidence.clock[replica])}"
    else:
        reason = "its address is unknown" if evidence is None else printable(str(evidence))
        state, commits = f"its Redis does not answer: {reason}", "what it wrote stays, as far as others have it"
    if unseen == 0:
        others = "other members have all of them"
    elif unseen is None or not _runs(fleet, name):
        others = f"{_unseen_words(unseen)}: only --force would remove it"
    else:
        others = f"{_unseen_words(unseen)}: it would exchange with all others first"
    return [f"{name} is a member; its replica id is {replica}", state, commits, others]


async def _held_back(fleet: FleetMembers, name: str) -> list[str]:
    """Return a line about the tombstones that wait for the node, from the others' last compactions; else no line."""
    others = [node for node in fleet.members.active if node != name and node in fleet.settings.nodes]
    async with FleetRedis(fleet.settings) as redis:
        answers = await redis.ask({other: [("HGET", Keys(other).header, "waiting")] for other in others})
    held = 0
    for answer in answers.values():
        if not isinstance(answer, NodeStoreUnavailable) and answer[0]:
            with contextlib.suppress(orjson.JSONDecodeError, AttributeError, TypeError):
                held = max(held, orjson.loads(answer[0]).get("held_by", {}).get(name, 0))
    return [f"{held} tombstones wait for it; the others would drop them"] if held else []


async def _send_to_others(client: NodeClient, console: Console) -> None:
    """Make the node exchange with all others before it is removed."""
    try:
        result = await client.sync_all()
    except NodeUnavailable as error:
        console.print(f"{client.name} did not send its commits to the others: {error.reason}", style="yellow")
        return
    contacted = " ".join(result.peers_contacted) or "nobody"
    console.print(f"{client.name} has sent its commits to {contacted}")


async def _wait_until_stopped(settings: FleetSettings, name: str) -> None:
    """Return when the node's worker has stopped. Raises `WorldError` if it still runs after some time."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            while _runs(await read_members(settings), name):  # noqa: ASYNC110
                await asyncio.sleep(_CHECK_INTERVAL_S)
    except TimeoutError:
        reason = f"{name} has not heard of its removal within {_STOP_TIMEOUT_S:g} s: stop its worker"
        raise WorldError(reason) from None


async def _unseen_after_removal(settings: FleetSettings, name: str, replica: str) -> int:
    """Return how many commits of `replica` no member has or ever will have.

    It counts commits made after the members had recorded where the id ends.
    """
    fleet = await read_members(settings)
    own = fleet.evidence(name)
    others = [fleet.evidence(other) for other in fleet.members.active]
    if own is None or own.replica != replica:
        return 0
    final = fleet.members.facts[replica].final
    seen = max((evidence.clock[replica] for evidence in others if evidence is not None), default=0)
    return max(0, own.clock[replica] - max(seen, final))
