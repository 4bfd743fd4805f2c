"""Waiting until a node that was added is up: its own Redis says how far it is, a progress bar shows it.

Where the output is no terminal, a line says each new thing instead.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from crdt_core.errors import DeltaicError
from crdt_core.membership.incarnations import incarnation
from workers.cli.display import printable, size
from workers.replication.heartbeat import said_lately
from workers.storage.evidence import read_evidence
from workers.wire.keys import FLEET
from workers.wire.peers import connection

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.config.settings import NodeSettings

__all__ = ["Arrival", "arrival_of", "watch_arrival"]

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far a node has come on its way: `words` say it; `done` parts `of` have arrived, where that is known."""

    words: str
    up: bool = False
    done: int = 0
    of: int | None = None


def arrival_of(beat: dict[str, Any] | None) -> Arrival:
    """What a sign of life says of the way; `None` where there is none lately.

    >>> arrival_of({"joins": {"peer": "n2", "done": 700, "of": 20000, "bytes": 91000}}).words
    'joins from n2: 700 of 20000 parts, 91 kB'
    """
    if beat is None:
        return Arrival("its worker does not run yet")
    if beat.get("serving"):
        return Arrival("up", up=True)
    if beat.get("waits"):
        remedy = f" (see deltaic replica --help: {beat['remedy']})" if beat.get("remedy") else ""
        return Arrival(f"waits: {printable(str(beat['waits']))}{remedy}")
    match beat.get("joins"):
        case {"peer": str(peer), "done": int(done), "of": int(of), "bytes": int(arrived)}:
            words = f"joins from {printable(peer)}: {done} of {of} parts, {size(arrived)}"
            return Arrival(words, done=done, of=of)
        case {}:
            return Arrival("joins: asks for the state")
    return Arrival("starts")


async def watch_arrival(name: str, replica: str, node: NodeSettings) -> None:
    """Shows how node `name` comes up as `replica`, or a later id of its own; returns when it serves."""
    console = Console()
    redis = connection(node.redis)
    try:
        if not console.is_terminal:
            await _say_each(name, replica, redis, console)
            return
        columns = (TextColumn("{task.fields[node]}", style="bold"), BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=None, node=name)
            while not (arrival := await _look(name, replica, redis)).up:
                progress.update(bar, description=arrival.words, total=arrival.of, completed=arrival.done)
                await asyncio.sleep(_LOOK_S)
            progress.update(bar, description=arrival.words, total=1, completed=1)
    finally:
        await redis.aclose()


async def _say_each(name: str, replica: str, redis: Redis, console: Console) -> None:
    said = ""
    while True:
        arrival = await _look(name, replica, redis)
        if arrival.words != said:
            said = arrival.words
            console.print(f"{name}: {said}", soft_wrap=True, highlight=False)
        if arrival.up:
            return
        await asyncio.sleep(_LOOK_S)


async def _look(name: str, replica: str, redis: Redis) -> Arrival:
    try:
        record = await read_evidence(name, redis)
        beat, time = await redis.hget(FLEET, name), await redis.time()
    except (RedisError, OSError, DeltaicError) as error:
        return Arrival(f"its Redis does not answer: {printable(str(error))}")
    said = said_lately(beat, time)
    former = not record.replica or incarnation(record.replica, name) < incarnation(replica, name)
    if said is not None and said.get("serving") and (record.joining or former):
        return Arrival("starts")
    return arrival_of(said)
