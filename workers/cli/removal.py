"""`deltaic node remove`: what the removal of a member would lose, and the removal.

What a node alone knows is told by headers: its own entry in its own clock, against the most that any other member has
seen of it. A node that runs hands that over before it goes.
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
from workers.cli.display import age, printable
from workers.config.settings import default_fleet_file, load_settings
from workers.fleet.members import Census, take_census
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.rpc.client import FleetClient, NodeUnavailable
from workers.system.clock import wall_ms
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from workers.config.settings import FleetSettings
    from workers.rpc.client import NodeClient

__all__ = ["VIA", "remove", "serving_member"]

STOP_WAIT_S = 30.0
_AGAIN_S = 0.2

VIA = click.option("--via", help="The member that is to write the change down; default: the first that serves.")


async def serving_member(clients: FleetClient, census: Census, via: str | None, *, but: str) -> NodeClient:
    """The member that is to write a change down; raises `UnknownNode`, `WorldError`."""
    members = [name for name in census.members.active if name != but and name in clients.nodes]
    if via is not None and via not in members:
        raise UnknownNode(via, members)
    for name in [via] if via is not None else members:
        if await clients.nodes[name].serving():
            return clients.nodes[name]
    raise WorldError(f"no member serves that could write it down; asked {', '.join([via] if via else members)}")


@click.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--force", is_flag=True, help="Also where the node knows what nobody else does, or cannot be asked.")
@VIA
@click.pass_obj
def remove(fleet_file: Path | None, name: str, *, dry_run: bool, force: bool, via: str | None) -> None:
    """Remove the node NAME from the running fleet. What it wrote stays; its worker stops by itself.

    If it runs and has commits that nobody else has, it first exchanges with all others. What it alone knows then, or a
    Redis of it that cannot be read, needs --force. Its replica id goes from all clocks when every member has heard of
    the removal. `deltaic node add` makes it a member again, under a new id.

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
    census = await take_census(settings)
    replica = _removable(census, name)
    if dry_run:
        for line in [*_facts_of(census, name), *await _held_back(census, name)]:
            console.print(line)
        return
    async with FleetClient(census.settings) as clients:
        member = await serving_member(clients, census, via, but=name)
        if census.alone(name) and _runs(census, name):
            await _hand_over(clients.nodes[name], console)
            census = await take_census(settings)
        lost = census.alone(name)
        if lost != 0 and not force:
            raise InvalidArgument(name, f"{_only_there(lost)}; --force removes it all the same")
        await member.remove_node(name)
    console.print(f"{member.name}: {name} is no member any more")
    if lost is None:
        console.print(f"{name}: its Redis does not answer: what it alone knew is lost to the others", style="yellow")
    else:
        await _until_stopped(census.settings, name)
        if _runs(census, name):
            console.print("its worker has stopped")
        lost = await _alone_after(census.settings, name, replica)
    if lost:
        left = f"{_commits(lost)} that only it had stay in its Redis, and reach nobody"
        console.print(f"{name}: {left}", style="yellow")
    console.print(f"its id {replica} will be folded away when all members have heard of it", style="dim")
    if name in settings.nodes:
        console.print(f"take [nodes.{name}] out of {file}", style="dim")


def _removable(census: Census, name: str) -> str:
    """The id under which it is a member; raises `UnknownNode`, `InvalidArgument`."""
    if name in census.members.active:
        return census.members.active[name]
    found = census.fact(name)
    if found is None:
        raise UnknownNode(name, list(census.members.active))
    _, fact = found
    raise InvalidArgument(name, f"it is no member any more ({fact.reason}, {age(max(0, wall_ms() - fact.at_ms))} ago)")


def _runs(census: Census, name: str) -> bool:
    record = census.record(name)
    return record is not None and record.running


def _only_there(count: int | None) -> str:
    if count is None:
        return "its Redis does not answer, so what it alone knows cannot be told"
    return f"{_commits(count)} of its own it alone knows"


def _commits(count: int) -> str:
    """A number of commits.

    >>> _commits(1), _commits(2)
    ('1 commit', '2 commits')
    """
    return f"{count} commit" + ("" if count == 1 else "s")


def _facts_of(census: Census, name: str) -> list[str]:
    """What a removal would find."""
    replica, alone = census.members.active[name], census.alone(name)
    record = census.records.get(name)
    if isinstance(record, NodeEvidence):
        state = "it runs; it would stop by itself" if record.running else "its worker does not run"
        commits = f"what it wrote stays: {_commits(record.clock[replica])}"
    else:
        reason = "nothing says where that is" if record is None else printable(str(record))
        state, commits = f"its Redis does not answer: {reason}", "what it wrote, as far as known, stays"
    if alone == 0:
        only = "all of them are known to others"
    elif alone is None or not _runs(census, name):
        only = f"{_only_there(alone)}: only --force would remove it"
    else:
        only = f"{_only_there(alone)}: it would exchange with all others first"
    return [f"{name} is a member, as {replica}", state, commits, only]


async def _held_back(census: Census, name: str) -> list[str]:
    """The removal markers that wait for it, as the others last weighed them."""
    others = [node for node in census.members.active if node != name and node in census.settings.nodes]
    async with FleetRedis(census.settings) as redis:
        answers = await redis.ask({other: [("HGET", Keys(other).header, "waiting")] for other in others})
    held = 0
    for answer in answers.values():
        if not isinstance(answer, NodeStoreUnavailable) and answer[0]:
            with contextlib.suppress(orjson.JSONDecodeError, AttributeError, TypeError):
                held = max(held, orjson.loads(answer[0]).get("held_by", {}).get(name, 0))
    return [f"{held} removal markers wait for it; the others would forget them"] if held else []


async def _hand_over(client: NodeClient, console: Console) -> None:
    try:
        result = await client.sync_all()
    except NodeUnavailable as error:
        console.print(f"{client.name} did not hand over what it knows: {error.reason}", style="yellow")
        return
    contacted = " ".join(result.peers_contacted) or "nobody"
    console.print(f"{client.name} has handed over what it alone knew, to {contacted}")


async def _until_stopped(settings: FleetSettings, name: str) -> None:
    """Waits for the end of its worker; raises `WorldError` where that does not come."""
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            while _runs(await take_census(settings), name):  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise WorldError(f"{name} has not heard of its removal within {STOP_WAIT_S:g} s: stop its worker") from None


async def _alone_after(settings: FleetSettings, name: str, replica: str) -> int:
    """What it had still written when it was removed already, and nobody took in."""
    census = await take_census(settings)
    own = census.record(name)
    others = [census.record(other) for other in census.members.active]
    if own is None or own.replica != replica:
        return 0
    final = census.members.facts[replica].final
    seen = max((record.clock[replica] for record in others if record is not None), default=0)
    return max(0, own.clock[replica] - max(seen, final))
